"""The bank's own pages: what a browser is shown, what it may send, what happens between two of them. A client of a world of its
own sends its customer there; attacks come by what a stranger can send: links, forms, names, cookies, guesses."""

import concurrent.futures
import html
import json
import re
import time
import urllib.parse

import pytest

from harness.browser import APPROVING, REFUSING, Browser, Landing, Page, User
from harness.fapi import DETAILS, REDIRECT_URI, FapiClient
from harness.jose import sha256

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
ORIGIN = "https://client.example"
COOKIE = "__Host-tongbao"


@pytest.fixture(scope="module")
def shop(fapi):
    """A client whose name is an attack, and which may ask for money."""
    return FapiClient.register(fapi, client_name=NASTY, scope="openid accounts:read e-payment:write e-payment:read")


@pytest.fixture(autouse=True)
def patience(db):
    """No test pays for the guesses and the codes of another."""
    def forget():
        with db.cursor() as sql:
            sql.execute("delete from oauth.login_throttle; update oauth.user_account set factor_step = 0")
    forget()
    yield forget
    forget()


@pytest.fixture
def browser(fapi):
    with Browser(fapi) as it:
        yield it


@pytest.fixture
def user(shop, patience):
    shop.users[0].last_step = 0
    return shop.users[0]


@pytest.fixture
def logged_in(browser, user, fapi):
    page = browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), user)
    assert page.status == 200 and "My approvals" in page.text, page
    return browser


def only(answer):
    """The one form of a page that asks for what a person types or decides."""
    page = answer if isinstance(answer, Page) else Page(answer)
    return next(f for f in page.forms if not f.action.endswith("/oauth/logout"))


def is_error_page(page, status=400):
    assert page.status == status, page
    assert "location" not in page.headers, "an error of the request redirected the browser"
    assert "This cannot go on" in page.text, page
    assert page.headers["x-request-id"] in page.text
    return True


def post(browser, path, pairs, **headers):
    """POST a form as a browser does from one of the bank's pages, or as said."""
    fields = {"Content-Type": "application/x-www-form-urlencoded", "Origin": browser.origin, "Sec-Fetch-Site": "same-origin"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    fields = {name: value for name, value in fields.items() if value is not None}
    return browser.http.post(browser.origin + path, content=urllib.parse.urlencode(pairs), headers=fields)


def post_at_once(fapi, browser, path, forms):
    """POST all forms at the same time, each on a connection of its own; the answers in order."""
    twins = [Browser(fapi) for _ in forms]
    for twin in twins:
        twin.http.headers["Cookie"] = f"{COOKIE}={cookie_of(browser)}"
        twin.http.get(browser.origin + "/oauth/style.css")  # so that all of them are connected
    with concurrent.futures.ThreadPoolExecutor(len(forms)) as pool:
        answers = list(pool.map(lambda pair: post(pair[0], path, pair[1]), zip(twins, forms)))
    for twin in twins:
        twin.close()
    return answers


def cookie_of(browser):
    return browser.http.cookies.get(COOKIE)


# ---- what every page has ----

def policy_of(page):
    return dict(directive.strip().split(" ", 1) for directive in page.headers["content-security-policy"].split(";"))


def test_every_page_lets_nothing_in(browser, user, shop, fapi):
    url = shop.push().url()
    login = browser.open(url)
    code = browser.submit(only(login), {"login": user.login, "password": user.password})
    ask = browser.login(code, user)
    assert ask.asks_decision()
    pages = {"login": login, "code": code, "ask": ask, "dashboard": browser.open(f"{fapi.url}/oauth/dashboard"),
             "error": browser.open(f"{fapi.url}/oauth/authorize"), "foreign form": Page(post(browser, "/oauth/decide", {})),
             "method": Page(browser.http.put(f"{fapi.url}/oauth/authorize")), "logged out": browser.open(f"{fapi.url}/oauth/dashboard?done=out")}
    for name, page in pages.items():
        assert page.headers["content-type"] == "text/html; charset=utf-8", name
        policy = policy_of(page)
        assert policy["default-src"] == "'none'" and policy["style-src"] == "'self'", name
        assert policy["frame-ancestors"] == "'none'" and policy["base-uri"] == "'none'", name
        wanted = ["'self'", ORIGIN] if name in ("login", "code", "ask") else ["'self'"]
        assert policy["form-action"].split() == wanted, name
        assert "unsafe" not in page.headers["content-security-policy"], name
        assert page.headers["x-frame-options"] == "DENY", name
        assert page.headers["x-content-type-options"] == "nosniff", name
        assert page.headers["referrer-policy"] == "no-referrer", name
        assert page.headers["cache-control"] == "no-store", name
        assert "strict-transport-security" not in page.headers, "a sandbox on localhost"
        assert not re.search(r"<script|<[a-z][^>]*\s(on\w+|style)=|javascript:|<iframe|<object|<img", page.answer.text, re.I), name
        assert re.search(r"<html lang=\"(en|zh-CN)\">", page.answer.text), name


@pytest.mark.parametrize("uri, said", [("https://shop.example:8443/back?x=1", "https://shop.example:8443"), ("http://127.0.0.1:9/back", "http://127.0.0.1:9"),
                                       ("http://[::1]:9/back", "http:")])
def test_a_form_may_lead_to_the_client_and_nowhere_else(browser, fapi, uri, said):
    shop = FapiClient.register(fapi, redirect_uris=[uri], **({"application_type": "native"} if uri.startswith("http:") else {}))
    page = browser.open(shop.push({"redirect_uri": uri}).url())
    assert policy_of(page)["form-action"] == f"'self' {said}"


@pytest.mark.parametrize("uri", ["https://shop.example;script-src/back", "https://shop.example,evil.example/back", "https://me@shop.example/back"])
def test_no_redirect_uri_writes_a_policy(browser, fapi, db, uri):
    """Registration refuses such a URI; the page does not rely on that."""
    shop = FapiClient.register(fapi)
    pushed = shop.push()
    with db.cursor() as sql:
        sql.execute("update oauth.pushed_request set params = jsonb_set(params, '{redirect_uri}', to_jsonb(%s::text)) where client = %s",
                    (uri, shop.id))
        sql.execute("update oauth.client set metadata = jsonb_set(metadata, '{redirect_uris,0}', to_jsonb(%s::text)) where app = %s",
                    (uri, shop.id))
    page = browser.open(pushed.url())
    assert page.status == 200 and policy_of(page)["form-action"] == "'self' https:" and "script-src" not in page.headers["content-security-policy"]


def test_no_page_answers_to_other_origins(browser, shop, fapi):
    for path in (shop.push().url(), f"{fapi.url}/oauth/dashboard", f"{fapi.url}/oauth/style.css"):
        answer = browser.http.get(path, headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    asked = browser.http.options(shop.push().url(), headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 405 and not [name for name in asked.headers if name.startswith("access-control-")]


def test_the_style_sheet_is_served_as_one(browser, fapi):
    answer = browser.http.get(f"{fapi.url}/oauth/style.css")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in answer.headers["cache-control"] and "http" not in answer.text


def test_values_stay_text(browser, user, shop, fapi):
    state = "\"><svg onload=alert(3)>"
    page = browser.open(shop.push({"state": state, "login_hint": "\" autofocus onfocus=\"alert(4)"}).url() + "&lang=%22%3E%3Cb%3E")
    assert NASTY in page.text and html.escape(NASTY, quote=True).replace("&#x27;", "&#39;") in page.answer.text
    assert "<svg" not in page.answer.text and "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", page.answer.text)
    assert "value=\"&quot; autofocus onfocus=&quot;alert(4)\"" in page.answer.text
    failed = browser.submit(only(page), {"login": NASTY, "password": NASTY})
    assert failed.status == 400 and "<script" not in failed.answer.text and "<img" not in failed.answer.text
    ask = browser.login(browser.open(shop.push({"state": state}).url()), user)
    assert "<script" not in ask.answer.text and "<img" not in ask.answer.text
    landing = browser.submit(ask.asks_decision(), button=ask.asks_decision().button(APPROVING))
    assert landing.parameters["state"] == state
    dashboard = browser.open(f"{fapi.url}/oauth/dashboard")
    assert NASTY in dashboard.text and "<script" not in dashboard.answer.text and "<img" not in dashboard.answer.text


@pytest.mark.parametrize("accept, locales, lang, tag", [
    ("en", None, None, "en"), ("zh-CN,zh;q=0.9,en;q=0.5", None, None, "zh-CN"), ("fr", None, None, "zh-CN"),
    ("zh-CN", "en-GB zh", None, "en"), ("en", "zh", None, "zh-CN"), ("en", "en", "zh-CN", "zh-CN"), ("zh", None, "en", "en")])
def test_the_language_is_the_customers(shop, fapi, accept, locales, lang, tag):
    with Browser(fapi, language=accept) as browser:
        url = shop.push({"ui_locales": locales} if locales else None).url() + (f"&lang={lang}" if lang else "")
        page = browser.open(url)
        assert f"<html lang=\"{tag}\">" in page.answer.text
        other = re.search(r"<nav[^>]*><a href=\"([^\"]+)\" lang=\"([^\"]+)\"", page.answer.text)
        turned = browser.open(fapi.url + html.unescape(other[1]))
        assert f"<html lang=\"{other[2]}\">" in turned.answer.text and other[2] != tag
        # what is sent from it is answered in it
        assert f"<html lang=\"{other[2]}\">" in browser.submit(only(turned), {"login": "x", "password": "y"}).answer.text


# ---- the request ----

def test_only_client_id_and_request_uri_count(browser, user, shop, client, fapi):
    pushed, plain = shop.push(), shop.parameters()[0]
    authorize = fapi.url + "/oauth/authorize"
    own = {"client_id": shop.id, "request_uri": pushed.request_uri}
    for query in ({}, {name: v if isinstance(v, str) else json.dumps(v) for name, v in plain.items()}, {"client_id": shop.id},
                  {"request_uri": pushed.request_uri}, {**own, "client_id": client.id}, {**own, "client_id": "app_nobody"},
                  {**own, "request_uri": pushed.request_uri + "x"}, {**own, "request_uri": "https://client.example/request.jwt"},
                  {**own, "request_uri": ""}):
        assert is_error_page(browser.open(authorize + "?" + urllib.parse.urlencode(query))), query
    twice = urllib.parse.urlencode([*own.items(), *own.items()])
    assert is_error_page(browser.open(f"{authorize}?{twice}"))
    # what comes beside them changes nothing
    evil = urllib.parse.urlencode({**own, "redirect_uri": "https://evil.example/", "scope": "openid", "state": "evil", "response_mode": "jwt"})
    landing = browser.decide(f"{authorize}?{evil}", user)
    assert landing.address == REDIRECT_URI and landing.parameters["state"] == pushed.parameters["state"]


def by_form(fapi, pairs, query="", kind="application/x-www-form-urlencoded"):
    """POST a form of a partner's page: it comes from another site, so without the cookies that are SameSite=Lax."""
    headers = {"Content-Type": kind, "Origin": "https://client.example", "Sec-Fetch-Site": "cross-site"}
    content = pairs if isinstance(pairs, str) else urllib.parse.urlencode(pairs)
    with Browser(fapi) as stranger:
        return stranger.http.post(f"{fapi.url}/oauth/authorize{query}", content=content, headers=headers)


def test_a_form_of_the_partners_page_leads_to_the_same_page(browser, user, shop, fapi):
    """OpenID Connect Core §3.1.2.1: GET and POST."""
    pushed = shop.push()
    own = {"client_id": shop.id, "request_uri": pushed.request_uri}
    answer = by_form(fapi, {**own, "scope": "evil", "lang": "zh-CN"})
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location.startswith("/oauth/authorize?") and location.endswith("lang=zh-CN") and "evil" not in location
    browser.login(browser.open(fapi.url + location), user)
    # Whoever is logged in stays it: no new cookie takes the place of the one that the redirect shows again.
    answer = by_form(fapi, own)
    assert "set-cookie" not in answer.headers
    assert browser.open(fapi.url + answer.headers["location"]).asks_decision()
    assert pushed.decide(browser=browser, user=user)["code"]
    assert is_error_page(Page(by_form(fapi, own)))


def test_a_form_of_the_partners_page_is_judged_as_its_link_is(shop, client, fapi):
    pushed = shop.push()
    own = {"client_id": shop.id, "request_uri": pushed.request_uri}
    text = urllib.parse.urlencode(own)
    for form in ({}, {"client_id": shop.id}, {"request_uri": pushed.request_uri}, {**own, "client_id": client.id},
                 {**own, "client_id": "app_nobody"}, {**own, "request_uri": pushed.request_uri + "x"}, {**own, "request_uri": ""},
                 [*own.items(), *own.items()], [*own.items(), ("x", "1"), ("x", "1")], text + "&x=%zz", text + "&x=%ff"):
        assert is_error_page(Page(by_form(fapi, form))), form
    for form, query in ((own, "?" + text), (own, "?state=x"), ({}, "?" + text), ({"client_id": shop.id}, "?request_uri=x")):
        assert is_error_page(Page(by_form(fapi, form, query))), (form, query)
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        assert is_error_page(Page(by_form(fapi, own, kind=kind)), 415), kind
    assert is_error_page(Page(by_form(fapi, {**own, "x": "y" * 40000})), 413)
    assert pushed.decide()["code"]  # nothing of this has used it up


def test_a_request_lives_for_minutes(browser, shop, db):
    pushed = shop.push()
    with db.cursor() as sql:
        sql.execute("update oauth.pushed_request set expires_at = created_at where client = %s", (shop.id,))
    assert is_error_page(browser.open(pushed.url()))


def test_opening_the_page_uses_nothing_up_and_deciding_does(browser, user, shop):
    pushed = shop.push()
    for _ in range(3):
        assert browser.open(pushed.url()).status == 200
    assert pushed.decide(browser=browser, user=user)["code"]
    assert is_error_page(browser.open(pushed.url()))


def test_many_decisions_on_one_request_give_one_code(browser, user, shop, fapi, db):
    pushed = shop.push({"authorization_details": None, "scope": "openid"})
    page = browser.login(browser.open(pushed.url()), user)
    form = page.asks_decision()
    answers = post_at_once(fapi, browser, "/oauth/decide", [[*form.values(), ("decision", choice)] for choice in ["approve"] * 12 + ["refuse"] * 4])
    landed = [a for a in answers if a.status_code == 303]
    assert len(landed) == 1 and all(a.status_code == 400 for a in answers if a not in landed)
    with db.cursor() as sql:
        sql.execute("select count(*) from oauth.grants g where g.client = %s and g.scope = 'openid'", (shop.id,))
        [n] = sql.fetchone()
    assert n == ("code" in Landing(landed[0]).parameters)


def test_what_cannot_be_given_without_a_page_is_refused_at_once(browser, user, shop):
    pushed = shop.push({"prompt": "none"})
    landing = browser.open(pushed.url())
    assert landing.status == 303 and landing.parameters["error"] == "login_required", landing
    assert landing.parameters["iss"] == shop.server.issuer and landing.parameters["state"] == pushed.parameters["state"]
    browser.login(browser.open(shop.push().url()), user)
    assert browser.open(shop.push({"prompt": "none"}).url()).parameters["error"] == "consent_required"
    # what is not essential, or can be reached, is no obstacle
    for wanted in ({"acr": {"values": ["urn:example:retina"]}}, {"acr": {"essential": True, "values": ["x", "urn:openbanking:psd2:sca"]}},
                   {"acr": {"essential": True, "value": "urn:openbanking:psd2:sca"}}, {"acr": None}):
        assert browser.open(shop.push({"claims": {"id_token": wanted}}).url()).asks_decision(), wanted
    other = {"id_token": {"sub": {"value": "usr_somebody_else"}}}
    end = browser.login(browser.open(shop.push({"claims": other}).url()), user)  # asks for another login, if there was one before
    assert end.parameters["error"] == "login_required"


def test_a_client_can_ask_for_a_fresh_login(browser, user, shop, db, patience):
    browser.login(browser.open(shop.push().url()), user)
    with db.cursor() as sql:
        sql.execute("update oauth.browser_session set auth_time = auth_time - interval '5 minutes' where user_id in "
                    "(select id from oauth.user_account where login = %s)", (user.login,))
    assert browser.open(shop.push({"max_age": 600}).url()).asks_decision()
    for changes in ({"max_age": 60}, {"max_age": 0}, {"prompt": "login"}):
        pushed = shop.push(changes)
        page = browser.open(pushed.url())
        assert page.asks_password() and not page.asks_decision(), changes
        patience()
        user.last_step = 0
        assert browser.decide(pushed.url(), user).parameters["code"], changes
        with db.cursor() as sql:
            sql.execute("update oauth.browser_session set auth_time = auth_time - interval '5 minutes'")


# ---- logging in ----

def test_the_session_cookie_stays_with_the_bank(browser, shop):
    page = browser.open(shop.push().url())
    [cookie] = page.headers.get_list("set-cookie")
    value, *attributes = [part.strip() for part in cookie.split(";")]
    assert re.fullmatch(COOKIE + r"=[A-Za-z0-9_-]{43}", value)
    assert set(attributes) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}  # no Domain, no life beyond the browser's


def test_each_step_of_the_login_gives_a_new_session(browser, user, shop, fapi):
    page = browser.open(shop.push().url())
    before = cookie_of(browser)
    code = browser.submit(only(page), {"login": user.login, "password": user.password})
    half = cookie_of(browser)
    browser.login(code, user)
    whole = cookie_of(browser)
    assert len({before, half, whole}) == 3
    for old in (before, half):
        with Browser(fapi) as thief:
            thief.http.cookies.set(COOKIE, old, domain="localhost.local")
            thief.http.headers["Cookie"] = f"{COOKIE}={old}"
            assert thief.open(f"{fapi.url}/oauth/dashboard").asks_password()
    with Browser(fapi) as twin:
        twin.http.headers["Cookie"] = f"{COOKIE}={whole}"
        assert "My approvals" in twin.open(f"{fapi.url}/oauth/dashboard").text


def test_half_a_login_opens_nothing(browser, user, shop, fapi):
    pushed = shop.push()
    page = browser.submit(only(browser.open(pushed.url())), {"login": user.login, "password": user.password})
    assert page.asks_code() and not page.asks_decision()
    assert browser.open(f"{fapi.url}/oauth/dashboard").asks_code()
    answer = post(browser, "/oauth/decide", [*page.asks_code().values(), ("decision", "approve")])
    assert Page(answer).status == 303 and answer.headers["location"].startswith("/oauth/authorize?")
    assert "Wei" not in page.text, "half a login tells whose it is"


def test_a_session_ends_by_idling_by_age_and_by_logging_out(logged_in, user, db, fapi, patience):
    dashboard = f"{fapi.url}/oauth/dashboard"

    def passes(column):
        with db.cursor() as sql:
            sql.execute(f"update oauth.browser_session set {column} = {column} - interval '31 minutes'")

    for column in ("idle_until", "expires_at"):
        assert "My approvals" in logged_in.open(dashboard).text
        passes(column)
        assert logged_in.open(dashboard).asks_password(), column
        patience()
        user.last_step = 0
        logged_in.login(logged_in.open(dashboard), user)
    page = logged_in.open(dashboard)
    old = cookie_of(logged_in)
    out = logged_in.submit(next(f for f in page.forms if f.action.endswith("/oauth/logout")))
    assert "You are logged out" in out.text
    logged_in.http.headers["Cookie"] = f"{COOKIE}={old}"
    assert logged_in.open(dashboard).asks_password()


def test_using_a_session_does_not_make_it_older_than_half_an_hour(logged_in, db, fapi):
    with db.cursor() as sql:
        sql.execute("update oauth.browser_session set expires_at = expires_at - interval '25 minutes'")
        logged_in.open(f"{fapi.url}/oauth/dashboard")
        sql.execute("select idle_until = expires_at from oauth.browser_session where digest = %s", (sha256(cookie_of(logged_in)),))
        assert sql.fetchone() == (True,)


def test_a_failed_login_says_nothing(browser, user, shop):
    url = shop.push().url()
    texts = set()
    for login, password in ((user.login, "wrong"), ("nobody@w1", "wrong"), (user.login, ""), ("' or 1=1 --", "x"),
                            (user.login, "x" * 300), (user.login + " ", user.password)):
        page = browser.submit(only(browser.open(url)), {"login": login, "password": password})
        assert page.status == 400 and page.asks_password() and not page.asks_code(), page
        texts.add(re.sub(r"value=\"[^\"]*\"", "", page.answer.text))
        with shop.server.sandbox.db() as db, db.cursor() as sql:
            sql.execute("delete from oauth.login_throttle")
    assert len(texts) == 1, "failures can be told apart"


def test_a_login_is_written_in_either_case(browser, user, shop):
    page = browser.submit(only(browser.open(shop.push().url())), {"login": user.login.upper(), "password": user.password})
    assert page.asks_code()


def test_a_code_counts_once(fapi, user, shop, patience):
    code = user.code()

    def with_code(text):
        with Browser(fapi) as browser:
            page = browser.submit(only(browser.open(shop.push().url())), {"login": user.login, "password": user.password})
            return browser.submit(page.asks_code(), {"code": text})

    assert with_code(code).asks_decision()
    assert with_code(code).status == 400
    older = user.code_at(user.last_step - 1)
    assert with_code(older).status == 400, "a code older than one that was used"
    for wrong in ("", "000000", "12345", "1234567", "abcdef", user.code_at(user.last_step + 10), user.code_at(user.last_step - 10)):
        patience()
        assert with_code(wrong).status == 400, wrong


def test_a_code_may_have_a_blank(browser, user, shop):
    page = browser.submit(only(browser.open(shop.push().url())), {"login": user.login, "password": user.password})
    code = user.code()
    assert browser.submit(page.asks_code(), {"code": f"{code[:3]} {code[3:]} "}).asks_decision()


# ---- guessing ----

def guess(browser, url, login, password="guess"):
    return browser.submit(only(browser.open(url)), {"login": login, "password": password})


@pytest.mark.parametrize("known", [True, False])
def test_guessing_a_password_is_slowed_and_never_for_good(browser, user, shop, db, known):
    login = user.login if known else "nobody@nowhere"
    url = shop.push().url()
    assert [guess(browser, url, login).status for _ in range(5)] == [400] * 5
    slowed = guess(browser, url, login, user.password)
    assert slowed.status == 429 and 0 < int(slowed.headers["retry-after"]) <= 60, "the right password in time"
    assert "Try again in 1 minutes" in slowed.text and not slowed.asks_code()
    waits = []
    with db.cursor() as sql:
        for _ in range(6):
            sql.execute("update oauth.login_throttle set blocked_until = counted_from")
            assert guess(browser, url, login).status == 400
            waits.append(int(guess(browser, url, login).headers["retry-after"]))
        sql.execute("update oauth.login_throttle set blocked_until = counted_from")
    assert [round(w / 60) for w in waits] == [2, 4, 8, 15, 15, 15], waits
    page = guess(browser, url, login, user.password)
    assert bool(page.asks_code()) == known
    if known:
        assert browser.login(page, user).asks_decision()
        assert guess(browser, url, login).status == 400, "success has not forgotten the failures before it"


def test_guessing_a_code_is_slowed_too(fapi, user, shop):
    statuses = []
    for _ in range(7):  # a new browser each time: what is counted is the user's
        with Browser(fapi) as browser:
            page = guess(browser, shop.push().url(), user.login, user.password)
            if page.status == 200:
                page = browser.submit(page.asks_code(), {"code": "000000"})
            statuses.append(page.status)
    assert statuses == [400] * 5 + [429] * 2, "the right password hides wrong codes"


def test_guesses_at_once_are_counted_before_they_are_judged(browser, user, shop, fapi):
    form = only(browser.open(shop.push().url()))
    pairs = [*((n, v) for n, v in form.values() if n not in ("login", "password")), ("login", user.login), ("password", "guess")]
    statuses = [answer.status_code for answer in post_at_once(fapi, browser, "/oauth/login", [pairs] * 24)]
    assert statuses.count(400) == 5 and statuses.count(429) == 19, statuses


def test_one_address_cannot_try_many_logins(browser, shop):
    url = shop.push().url()
    statuses = [guess(browser, url, f"user{i}@w9").status for i in range(32)]
    assert statuses == [400] * 30 + [429] * 2
    pairs = [*((n, v) for n, v in only(browser.open(url)).values() if n not in ("login", "password")), ("login", "a"), ("password", "b")]
    forwarded = post(browser, "/oauth/login", pairs, X_Forwarded_For="203.0.113.9")
    assert forwarded.status_code == 429, "a header moves the counter"


def test_a_login_nobody_has_takes_as_long(browser, user, shop, patience):
    url = shop.push().url()
    least = {}
    for tries in range(24):  # the least of some; what else the machine does only adds, and may fall on one of the two
        for login in (user.login, "nobody@w1"):
            patience()
            form = only(browser.open(url))
            pairs = [*((n, v) for n, v in form.values() if n not in ("login", "password")), ("login", login), ("password", "guess")]
            began = time.perf_counter()
            post(browser, "/oauth/login", pairs)
            least[login] = min(least.get(login, 9), time.perf_counter() - began)
        known, unknown = least.values()
        if tries >= 5 and abs(known - unknown) < 0.5 * known:
            return
    raise AssertionError(least)


def test_a_locked_user_is_out_at_once(logged_in, user, fapi, sandbox):
    sandbox.cli("user", "lock", user.login)
    try:
        assert logged_in.open(f"{fapi.url}/oauth/dashboard").asks_password()
        page = logged_in.open(f"{fapi.url}/oauth/dashboard")
        assert logged_in.submit(only(page), {"login": user.login, "password": user.password}).status == 400
    finally:
        sandbox.cli("user", "unlock", user.login)


def test_operators_make_users_and_reset_them(browser, fapi, sandbox, db):
    with db.cursor() as sql:
        sql.execute("select company from oauth.user_account order by created_at limit 1")
        [company] = sql.fetchone()
    made = json.loads(sandbox.cli("user", "add", "New.User@w1", company, "New <User>", "--role", "approver", "--json"))
    fresh = User(made["login"], made["password"], made["totp_secret"])
    page = browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), fresh)
    assert "Logged in as New <User>" in page.text
    sandbox.cli("user", "add", "new.user@w1", company, "Again", exit_code=1)
    again = json.loads(sandbox.cli("user", "reset", "new.user@w1", "--json"))
    assert again["password"] != made["password"] and again["totp_secret"] != made["totp_secret"]
    assert browser.open(f"{fapi.url}/oauth/dashboard").asks_password()
    assert browser.submit(only(browser.open(f"{fapi.url}/oauth/dashboard")), {"login": made["login"], "password": made["password"]}).status == 400
    listed = {u["login"]: u for u in json.loads(sandbox.cli("user", "list", "--company", company, "--json"))}
    assert listed["new.user@w1"]["role"] == "approver" and not {"password", "secret"} & set(listed["new.user@w1"])


# ---- forms that do not come from our pages ----

FOREIGN = [{"Origin": "https://evil.example"}, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
           {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost"}]


def acts(browser, shop, fapi):
    """Every form that acts, with all a browser would send: (path, pairs)."""
    page = browser.open(shop.push().url())
    form = page.asks_decision()
    dashboard = browser.open(f"{fapi.url}/oauth/dashboard")
    return [("/oauth/decide", [*form.values(), ("decision", "approve")]), *((urllib.parse.urlsplit(f.action).path, f.values()) for f in dashboard.forms)]


def test_forms_from_elsewhere_do_nothing(logged_in, shop, user, fapi, db):
    assert isinstance(logged_in.decide(shop.push().url(), user), Landing)
    with Browser(fapi) as stranger:
        theirs = dict(only(stranger.open(f"{fapi.url}/oauth/dashboard")).values())["csrf"]
    for path, pairs in acts(logged_in, shop, fapi):
        assert dict(pairs)["csrf"]
        without = [(n, v) for n, v in pairs if n != "csrf"]
        for wrong in (without, [*without, ("csrf", "")], [*without, ("csrf", theirs)], [*without, ("csrf", cookie_of(logged_in))]):
            assert is_error_page(Page(post(logged_in, path, wrong)), 403), path
        for headers in FOREIGN:
            gone = {name: None for name in ("Origin", "Sec-Fetch-Site")}
            assert is_error_page(Page(post(logged_in, path, pairs, **{**gone, **headers})), 403), (path, headers)
        assert is_error_page(Page(post(logged_in, path + "?csrf=" + dict(pairs)["csrf"], without)), 403), path
    with db.cursor() as sql:
        sql.execute("select count(*) from consent.consent where app = %s and status = 'CANC'", (shop.id,))
        assert sql.fetchone() == (0,)
    assert "My approvals" in logged_in.open(f"{fapi.url}/oauth/dashboard").text, "a foreign form logged the customer out"


def test_a_login_form_from_elsewhere_logs_nobody_in(browser, user, shop, fapi):
    form = only(browser.open(shop.push().url()))
    pairs = [*((n, v) for n, v in form.values() if n not in ("login", "password")), ("login", user.login), ("password", user.password)]
    with Browser(fapi) as victim:  # has no cookie, or another one
        assert post(victim, "/oauth/login", pairs).status_code == 403
        victim.open(shop.push().url())
        assert post(victim, "/oauth/login", pairs).status_code == 403
    assert post(browser, "/oauth/login", pairs, Origin="https://evil.example", Sec_Fetch_Site="cross-site").status_code == 403
    assert post(browser, "/oauth/login", pairs, Origin="null").status_code == 303, "what no-referrer makes of our own"


def test_nothing_acts_by_a_link(logged_in, fapi):
    for path in ("login", "decide", "logout", "dashboard/revoke", "dashboard/decide", "dashboard/request"):
        answer = logged_in.http.get(f"{fapi.url}/oauth/{path}")
        assert answer.status_code == 405 and answer.headers["allow"] == "POST", path


def test_forms_that_are_no_forms_are_refused(logged_in, fapi):
    for body, kind, status in ((b"{}", "application/json", 415), (b"a=1&a=2", None, 400), (b"a=%zz", None, 400), (b"a=%00", None, 400),
                               (b"a=%ff", None, 400), (b"a=" + b"x" * 40000, None, 413)):
        answer = logged_in.http.post(f"{fapi.url}/oauth/decide", content=body,
                                     headers={"Content-Type": kind or "application/x-www-form-urlencoded", "Origin": fapi.url})
        assert answer.status_code == status and "text/html" in answer.headers["content-type"], (body[:20], answer.status_code)


# ---- deciding ----

def payment(shop, **changes):
    return [{"type": "payment", "creditor_account": shop.accounts[-1], "amount": {"amount": 1234567, "currency": "CNY"},
             "reference": "INV-9", "purpose": "<b>goods</b>", **changes}]


def test_the_customer_sees_what_is_asked(logged_in, shop, fapi):
    mandate = [{"type": "mandate", "maximum_individual_amount": {"amount": 50000, "currency": "CNY"}, "allowed_hours": {"from": "08:00", "to": "24:00"},
                "periodic_limits": [{"period_type": "Month", "period_alignment": "Calendar", "amount": {"amount": 200000, "currency": "CNY"}}],
                "creditor_accounts": [shop.accounts[-1]], "valid_to": "2030-01-15T00:00:00Z"}]
    for details, scope, words in (
            (payment(shop), "openid", ["CNY 12,345.67", "INV-9", "<b>goods</b>", shop.accounts[-1], "once"]),
            (mandate, "openid", ["CNY 500.00", "CNY 2,000.00 a month", "by the calendar", "08:00 – 24:00", "2030-01-15 08:00 (UTC+08:00)"]),
            (DETAILS, "openid accounts:read", ["See the balances", "See the entries", "Until you take it back"]),
            (None, "accounts:read", ["See the balances", "See the entries"]),
            (None, "openid", ["who you are"])):
        page = logged_in.open(shop.push({"authorization_details": details, "scope": scope}).url())
        for word in [*words, NASTY, ORIGIN]:
            assert word in page.text, (word, page)


def test_accounts_are_chosen_on_purpose(logged_in, shop, db):
    pushed = shop.push()
    form = logged_in.open(pushed.url()).asks_decision()
    boxes = [i["name"] for i in form.inputs if i.get("type") == "checkbox"]
    assert boxes and not [i for i in form.inputs if "checked" in i]
    bare = [(n, v) for n, v in form.values() if n not in boxes]
    none = Page(post(logged_in, "/oauth/decide", [*bare, ("decision", "approve")]))
    assert none.status == 400 and "Choose an account first" in none.text and f"href=\"#{boxes[0]}\"" in none.answer.text
    for odd in ("acc_" + "x" * 26, "{" + "," * 28 + "}", boxes[0].upper()):
        ignored = Page(post(logged_in, "/oauth/decide", [*bare, (odd, "1"), ("account", odd), ("decision", "approve")]))
        assert ignored.status == 400 and "Choose an account first" in ignored.text, odd
    with db.cursor() as sql:
        sql.execute("select id from bank.account where book <> (select min(book) from oauth.user_account) limit 1")
        [foreign] = sql.fetchone()
    stolen = Page(post(logged_in, "/oauth/decide", [*bare, (foreign, "1"), ("decision", "approve")]))
    assert stolen.status == 400 and "cannot be used" in stolen.text
    # nor are all that the client named chosen when the customer ticks none of them
    named = logged_in.open(shop.push({"authorization_details": [{**DETAILS[0], "accounts": boxes[:2]}]}).url()).asks_decision()
    assert [i["name"] for i in named.inputs if i.get("type") == "checkbox"] == boxes[:2]
    none = Page(post(logged_in, "/oauth/decide", [*((n, v) for n, v in named.values() if n not in boxes), ("decision", "approve")]))
    assert none.status == 400 and "Choose an account first" in none.text
    answer = post(logged_in, "/oauth/decide", [*bare, (boxes[1], "1"), ("decision", "approve")])
    pushed.code = Landing(answer).parameters["code"]
    tokens = shop.redeem(pushed).json()
    [granted] = tokens["authorization_details"]
    assert granted["accounts"] == [boxes[1]]
    assert [a["id"] for a in shop.fetch(tokens["access_token"]).json()["data"]] == [boxes[1]]


def test_a_payment_is_paid_from_the_account_that_was_chosen(logged_in, shop):
    pushed = shop.push({"authorization_details": payment(shop), "scope": "openid"})
    form = logged_in.open(pushed.url()).asks_decision()
    choices = [i["value"] for i in form.inputs if i.get("type") == "radio"]
    assert len(choices) >= 2 and shop.accounts[-1] not in choices
    bare = [(n, v) for n, v in form.values() if n != "account"]
    assert Page(post(logged_in, "/oauth/decide", [*bare, ("decision", "approve")])).status == 400
    assert Page(post(logged_in, "/oauth/decide", [*bare, ("account", shop.accounts[-1]), ("decision", "approve")])).status == 400
    landing = Landing(post(logged_in, "/oauth/decide", [*bare, ("account", choices[1]), ("decision", "approve")]))
    pushed.code = landing.parameters["code"]
    [granted] = shop.redeem(pushed).json()["authorization_details"]
    assert granted["debtor_account"] == choices[1] and granted["amount"] == {"amount": 1234567, "currency": "CNY"}


def test_refusing_needs_no_login(browser, shop):
    pushed = shop.push()
    page = browser.open(pushed.url())
    form = next(f for f in page.forms if f.button(REFUSING))
    landing = browser.submit(form, button=form.button(REFUSING))
    assert landing.status == 303 and landing.parameters["error"] == "access_denied" and landing.parameters["state"] == pushed.parameters["state"]
    assert is_error_page(browser.open(pushed.url())), "a refused request can still be approved"


def test_answers_by_post_are_see_other(logged_in, shop):
    for choice in ("approve", "refuse"):
        form = logged_in.open(shop.push({"authorization_details": None, "scope": "openid"}).url()).asks_decision()
        answer = post(logged_in, "/oauth/decide", [*form.values(), ("decision", choice)])
        assert answer.status_code == 303 and answer.headers["cache-control"] == "no-store", choice
    form = logged_in.open(shop.push({"authorization_details": None, "scope": "openid"}).url()).asks_decision()
    assert is_error_page(Page(post(logged_in, "/oauth/decide", [*form.values(), ("decision", "perhaps")])))


def test_a_signed_response_says_all_of_it_inside(browser, signing_client, patience):
    user = signing_client.users[0]
    user.last_step = 0
    pushed = signing_client.push()
    assert pushed.decide(browser=browser, user=user)["code"]
    refused = signing_client.push()
    assert refused.decide(False, browser=browser, user=user)["error"] == "access_denied"
    silent = signing_client.push({"prompt": "none"})
    assert signing_client.read_response(browser.open(silent.url()))["error"] == "consent_required"


# ---- the customer's own page ----

def test_the_customer_takes_back_what_was_given(logged_in, shop, user, fapi):
    pushed = shop.push()
    pushed.decide(browser=logged_in, user=user)
    tokens = shop.redeem(pushed).json()
    assert shop.works(tokens["access_token"])
    page = logged_in.open(f"{fapi.url}/oauth/dashboard")
    assert "In force" in page.text and "Uses 1" in page.text
    form = next(f for f in page.forms if f.action.endswith("/revoke"))
    done = logged_in.submit(form, button=form.buttons[0])
    assert "has been taken back" in done.text and "Taken back" in done.text
    answer = shop.fetch(tokens["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (403, "consent_revoked")
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_dashboard_calls_accounts_by_their_names(logged_in, shop, user, client, fapi, db):
    """A payee by its holder, with the number that was agreed on; an account of one's own by its name and the end of its number."""
    theirs = client.accounts[0]  # of another world: no account of this bank
    mandate = [{"type": "mandate", "maximum_individual_amount": {"amount": 50000, "currency": "CNY"}, "valid_to": "2030-01-15T00:00:00Z",
                "periodic_limits": [{"period_type": "Day", "period_alignment": "Calendar", "amount": {"amount": 50000, "currency": "CNY"}}],
                "creditor_accounts": [shop.accounts[-1], theirs]}]
    own = "select a.id, a.name, p.name from bank.account a join bank.party p on p.book = a.book and p.id = a.party where a.id = any (%s)"
    with db.cursor() as sql:
        sql.execute(own, (shop.accounts,))
        names = {account: (name, holder) for account, name, holder in sql.fetchall()}
    for details in (payment(shop), mandate):
        pushed = shop.push({"authorization_details": details, "scope": "openid"})
        pushed.decide(browser=logged_in, user=user)
        [given] = shop.redeem(pushed).json()["authorization_details"]
        text = logged_in.open(f"{fapi.url}/oauth/dashboard").text
        assert f"{names[shop.accounts[-1]][1]} {shop.accounts[-1]}" in text
        name, number = names[given["debtor_account"]][0], given["debtor_account"]
        assert f"{name} …{number[-4:]}" in text
    assert theirs in text


def test_nobody_sees_or_ends_what_another_company_gave(logged_in, shop, user, client, fapi, db, patience):
    logged_in.decide(shop.push().url(), user)
    mine = logged_in.open(f"{fapi.url}/oauth/dashboard")
    form = next(f for f in mine.forms if f.action.endswith("/revoke"))
    consent = dict(form.values())["consent"]
    with Browser(fapi) as other:
        client.users[0].last_step = 0
        page = other.login(other.open(f"{fapi.url}/oauth/dashboard"), client.users[0])
        assert NASTY not in page.text and consent not in page.answer.text
        csrf = dict(next(f for f in page.forms).values())["csrf"]
        for path, more in (("revoke", []), ("decide", [("decision", "approve")]), ("decide", [("decision", "refuse")])):
            answer = post(other, f"/oauth/dashboard/{path}", [("csrf", csrf), ("consent", consent), *more])
            assert answer.status_code in (400, 404), (path, answer.status_code)
    with db.cursor() as sql:
        sql.execute("select status from consent.consent where id = %s", (consent,))
        assert sql.fetchone() == ("AUTH",)


def test_a_second_user_approves_on_the_dashboard(logged_in, shop, user, fapi, db, patience):
    with db.cursor() as sql:
        sql.execute("select u.book, u.company from oauth.user_account u where u.login = %s", (user.login,))
        book, company = sql.fetchone()
        sql.execute("select consent.set_rule(%s, %s, 'account_information', 2)", (book, company))
    try:
        pushed = shop.push()
        assert "others have to approve after you" in logged_in.open(pushed.url()).text
        pushed.decide(browser=logged_in, user=user)
        token = shop.redeem(pushed).json()["access_token"]
        pending = shop.fetch(token)
        assert pending.status_code == 403 and pending.json()["code"] == "consent_pending"
        mine = logged_in.open(f"{fapi.url}/oauth/dashboard")
        assert "Waiting for others" in mine.text and not [f for f in mine.forms if f.action.endswith("/decide")]
        with Browser(fapi) as second:
            shop.users[1].last_step = 0
            page = second.login(second.open(f"{fapi.url}/oauth/dashboard"), shop.users[1])
            form = next(f for f in page.forms if f.action.endswith("/decide"))
            done = second.submit(form, button=form.button(re.compile("^approve")))
            assert "Your approval is on record." in done.text
        assert shop.works(token)
    finally:
        with db.cursor() as sql:
            sql.execute("select consent.set_rule(%s, %s, 'account_information', 1)", (book, company))


def test_a_request_of_the_back_channel_is_decided_here(logged_in, user, fapi, shop, patience):
    poller = FapiClient.register(fapi, redirect_uris=None, response_types=None, backchannel_token_delivery_mode="poll",
                                 grant_types=["refresh_token", "urn:openid:params:grant-type:ciba"])
    asked = poller.backchannel({"binding_message": "Compare-77"}).json()
    with Browser(fapi) as browser:
        page = browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), poller.users[0])
        assert "Compare-77" in page.text
        link = html.unescape(re.search(r"href=\"(/oauth/dashboard\?request=[^\"]+)\"", page.answer.text)[1])
        page = browser.open(fapi.url + link)
        assert "Compare-77" in page.text and "See the balances" in page.text
        # another customer can neither see nor decide it
        assert is_error_page(logged_in.open(fapi.url + link))
        form = page.asks_decision()
        assert is_error_page(Page(post(logged_in, "/oauth/dashboard/request", [
            *[(n, v) for n, v in form.values() if n != "csrf"], ("decision", "approve"),
            ("csrf", dict(logged_in.open(f"{fapi.url}/oauth/dashboard").forms[0].values())["csrf"])])))
        assert "Your approval is on record." in browser.submit(form, button=form.button(APPROVING)).text
        assert is_error_page(browser.open(fapi.url + link))
    assert poller.poll(asked["auth_req_id"]).status_code == 200


# ---- what is left behind ----

def test_no_secret_of_a_login_is_in_the_log(browser, user, shop, sandbox, fapi):
    code = user.code()
    page = browser.submit(only(browser.open(shop.push().url())), {"login": user.login, "password": "a-wrong-secret"})
    page = browser.submit(only(page), {"login": user.login, "password": user.password})
    page = browser.submit(page.asks_code(), {"code": code})
    csrf = dict(page.asks_decision().values())["csrf"]
    session = cookie_of(browser)
    landing = browser.submit(page.asks_decision(), button=page.asks_decision().button(APPROVING))
    with open(f"{sandbox.run_dir}/tongbao.log", encoding="utf-8") as opened:
        log = opened.read()
    for secret in ("a-wrong-secret", user.password, csrf, session, landing.parameters["code"]):
        assert secret not in log
    with sandbox.db() as db, db.cursor() as sql:  # nor is any of them in the tables as it is
        sql.execute("select row_to_json(s)::text from oauth.browser_session s union all select row_to_json(u)::text from oauth.user_account u "
                    "union all select row_to_json(c)::text from oauth.code c")
        rows = "\n".join(row for [row] in sql.fetchall())
    for secret in (user.password, csrf, session, landing.parameters["code"]):
        assert secret not in rows
