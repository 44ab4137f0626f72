"""The bank's own pages before axe-core: every page in both languages, as the server sent it. And what axe cannot see without a
screen: whether every pair of colours in the style sheet can be told apart (WCAG 2.2, 1.4.3 and 1.4.11)."""

import html
import json
import os
import re

import pytest

from bridge import node
from harness.browser import APPROVING, Browser
from harness.fapi import DETAILS, FapiClient, Server
from harness.partner import Partner
from harness.sandbox import ROOT

LEAST_RULES = 12
LANGUAGES = ("zh-CN", "en")


def payment(shop):
    return [{"type": "payment", "creditor_account": shop.accounts[-1], "amount": {"amount": 12345, "currency": "CNY"}, "reference": "INV-1"}]


def mandate():
    return [{"type": "mandate", "maximum_individual_amount": {"amount": 50000, "currency": "CNY"}, "valid_to": "2030-01-15T00:00:00Z",
             "periodic_limits": [{"period_type": kind, "period_alignment": "Calendar", "amount": {"amount": 200000, "currency": "CNY"}}
                                 for kind in ("Day", "Month")], "allowed_hours": {"from": "08:00", "to": "20:00"}}]


class Walk:
    """A customer's way through all pages, in one language."""

    def __init__(self, bank, shop, poller, language):
        self.bank, self.shop, self.poller, self.pages = bank, shop, poller, {}
        self.browser = Browser(bank, language=language)

    def keep(self, name, page):
        self.pages[name] = page.answer.text
        return page

    def ask(self, name, details, scope="openid accounts:read"):
        url = self.shop.push({"authorization_details": details, "scope": scope}).url()
        page = self.keep(name, self.browser.open(url))
        form = page.asks_decision()
        approve = form.button(APPROVING)
        form.inputs = [i for i in form.inputs if i.get("type") not in ("radio", "checkbox")]
        if details:
            self.keep(f"{name}, nothing chosen", self.browser.submit(form, button=approve))
        return url

    def login(self, user):
        url = self.shop.push().url()
        page = self.keep("login", self.browser.open(url))
        form = page.asks_password()
        self.keep("login failed", self.browser.submit(form, {"login": user.login, "password": "wrong"}))
        page = self.keep("code", self.browser.submit(form, {"login": user.login, "password": user.password}))
        self.keep("code failed", self.browser.submit(page.asks_code(), {"code": "000000"}))
        self.browser.login(page, user)
        return url

    def agree(self):
        """The page of agreements: with none, with a form that is not accepted, with one, and with one that has ended."""
        browser, end = self.browser, "/dashboard/agreements"
        payer = Partner(self.bank.sandbox, "Payer & Co", book=self.shop.metadata["tongbao_sandbox"]["book"])
        form = next(f for f in self.keep("no agreements", browser.open(f"{self.bank.url}/oauth{end}")).forms if f.action.endswith(end))
        fill = {"account": self.shop.accounts[0], "partner": payer.id, "each": "1.00"}
        self.keep("agreement not made", browser.submit(form, {**fill, "each": "x"}))
        page = self.keep("agreement made", browser.submit(form, fill))
        form = next(f for f in page.forms if f.action.endswith("/end"))
        self.keep("agreement ended", browser.submit(form, button=form.buttons[0]))

    def all(self):
        user, browser = self.shop.users[0], self.browser
        url = self.login(user)
        self.ask("ask for accounts", DETAILS)
        self.ask("ask for a payment", payment(self.shop), "openid")
        self.ask("ask for a mandate", mandate(), "openid")
        self.ask("ask who it is", None, "openid")
        browser.decide(url, user)
        for details in (payment(self.shop), mandate()):
            browser.decide(self.shop.push({"authorization_details": details, "scope": "openid"}).url(), user)
        assert self.poller.backchannel({"login_hint": user.login, "binding_message": "Compare 77"}).status_code == 200
        page = self.keep("dashboard", browser.open(f"{self.bank.url}/oauth/dashboard"))
        link = html.unescape(re.search(r"href=\"(/oauth/dashboard\?request=[^\"]+)\"", page.answer.text)[1])
        form = self.keep("back channel", browser.open(self.bank.url + link)).asks_decision()
        self.keep("decided", browser.submit(form, button=form.button(APPROVING)))
        page = browser.open(f"{self.bank.url}/oauth/dashboard")
        form = next(f for f in page.forms if f.action.endswith("/revoke"))
        self.keep("taken back", browser.submit(form, button=form.buttons[0]))
        self.agree()
        self.keep("error", browser.open(f"{self.bank.url}/oauth/authorize"))
        self.keep("logged out", browser.submit(next(f for f in page.forms if f.action.endswith("/logout"))))
        self.keep("login to the dashboard", browser.open(f"{self.bank.url}/oauth/dashboard"))
        for _ in range(6):
            slowed = browser.submit(browser.open(f"{self.bank.url}/oauth/dashboard").asks_password(), {"login": "x", "password": "y"})
        self.keep("slowed", slowed)
        return self.pages


@pytest.fixture(scope="module")
def pages(sandbox):
    bank = Server(sandbox)
    shop = FapiClient.register(bank, scope="openid accounts:read e-payment:write e-payment:read", client_name="Blue River & Sons",
                               grant_types=["authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba"],
                               backchannel_token_delivery_mode="poll")
    kept = {}
    for language in LANGUAGES:
        for name, text in Walk(bank, shop, shop, language).all().items():
            kept[f"{name} ({language})"] = text
        with sandbox.db() as db, db.cursor() as sql:
            sql.execute("delete from oauth.login_throttle")
    bank.close()
    return kept


def judge(pages):
    """What axe says of each page. Without layout it cannot decide two of its rules and calls them incomplete; those are counted
    by test_every_page_says_what_it_is."""
    judged = node("axe.js", lines=[json.dumps({"name": name, "html": text}) for name, text in pages.items()])
    assert [one["name"] for one in judged] == list(pages)
    assert min(one["rules"] for one in judged) >= LEAST_RULES, "axe looked at less than there is"
    open_rules = ("landmark-one-main:", "page-has-heading-one:")
    return {one["name"]: one["violations"] + [i for i in one["incomplete"] if not i.startswith(open_rules)] for one in judged}


def test_axe_finds_nothing(pages):
    assert len(pages) == 46
    assert {name: found for name, found in judge(pages).items() if found} == {}


def test_axe_would_find_something(pages):
    login, error = pages["login (en)"], pages["error (en)"]
    spoilt = {"no label": login.replace("<label for=\"login\">", "<label>"), "no language": login.replace("lang=\"en\"", "", 1),
              "no landmark": error.replace("<main", "<div").replace("</main", "</div"), "no title": re.sub("<title>.*</title>", "", login),
              "an id twice": login.replace("id=\"password\"", "id=\"login\""), "an empty button": re.sub("<button>.*?</button>", "<button></button>", login)}
    assert [name for name, found in judge(spoilt).items() if not found] == []


def test_every_page_says_what_it_is(pages):
    for name, text in pages.items():
        assert f"({re.search(r'<html lang=.([^>]+).>', text)[1]})" in name
        assert text.count("<main ") == text.count("<h1>") == 1, name
        [title], [heading] = re.findall(r"<title>(.*?) · ", text), re.findall(r"<h1>(.*?)</h1>", text)
        wrong = any(word in name for word in ("failed", "nothing", "not made", "slowed"))
        assert title == (("错误：" if "zh" in name else "Error: ") if wrong else "") + heading, name
        assert ("role=\"alert\"" in text) == wrong, name
        for target in re.findall(r"href=\"#([^\"]+)\"", text):  # of the skip link and the error summary
            assert f"id=\"{target}\"" in text, (name, target)
        ids = re.findall(r"\sid=\"([^\"]+)\"", text)
        assert len(ids) == len(set(ids)), name


# ---- colours ----

# What stands on what, and how much they must differ: text 4.5, large things and edges of fields 3.
PAIRS = [("ink", "paper", 4.5), ("ink", "ground", 4.5), ("soft", "paper", 4.5), ("soft", "ground", 4.5), ("brand", "paper", 4.5), ("brand", "ground", 4.5),
         ("brand-dark", "ground", 4.5), ("on-brand", "brand", 4.5), ("on-brand", "brand-dark", 4.5), ("bad", "bad-ground", 4.5), ("bad", "paper", 4.5),
         ("good", "good-ground", 4.5), ("line", "paper", 3), ("focus", "paper", 3), ("focus", "ground", 3), ("focus", "bad-ground", 3)]
DECORATION = {"hair"}  # lines that only please


def sheet():
    with open(os.path.join(ROOT, "core/oauth/page/style.css"), encoding="utf-8") as opened:
        return re.sub(r"/\*.*?\*/", "", opened.read(), flags=re.S)


def luminance(colour):
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_colours_can_be_told_apart():
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", sheet()))
    assert abs(contrast("#ffffff", "#000000") - 21) < 1e-9 and round(contrast("#777777", "#ffffff"), 2) == 4.48
    for front, back, least in PAIRS:
        ratio = contrast(colours[front], colours[back])
        assert ratio >= least, f"{front} on {back}: {ratio:.2f}, at least {least}"
    assert {name for pair in PAIRS for name in pair[:2]} | DECORATION == set(colours)


def test_the_style_sheet_has_no_other_colours_and_hides_no_focus():
    rules = sheet().split("}", 1)[1]
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb|hsl|url\(|@import|!important", rules)
    assert set(re.findall(r"var\(--([\w-]+)\)", rules)) == set(re.findall(r"--([\w-]+): #", sheet()))
    assert ":focus-visible { outline: 3px solid" in rules and "outline: none" not in rules and "outline: 0" not in rules
