"""Customer, app, consent and accounts are of one world: what an app asks for is shown to nobody of another, and nobody of another can
give it, whatever page they come from and whoever was logged in before."""

import psycopg2
import pytest

from harness.browser import APPROVING, Browser, Landing
from harness.fapi import CIBA_GRANT, DETAILS, FapiClient
from harness.partner import new_id


@pytest.fixture(scope="module")
def shop(fapi):
    return FapiClient.register(fapi, client_name="Shop of one world", backchannel_token_delivery_mode="poll",
                               grant_types=["authorization_code", "refresh_token", "client_credentials", CIBA_GRANT])


@pytest.fixture
def stranger(other_client, db):
    """A user of another world."""
    with db.cursor() as sql:
        sql.execute("delete from oauth.login_throttle; update oauth.user_account set factor_step = 0")
    user = other_client.users[0]
    user.last_step = 0
    return user


@pytest.fixture
def browser(fapi):
    with Browser(fapi) as it:
        yield it


def consents_of(db, shop):
    with db.cursor() as sql:
        sql.execute("select count(*) from consent.consent where app = %s", (shop.id,))
        return sql.fetchone()[0]


def test_a_login_of_another_world_is_no_login_for_this_app(browser, shop, stranger, fapi):
    page = browser.open(shop.push().url())
    form = page.asks_password()
    failed = browser.submit(form, {"login": stranger.login, "password": stranger.password})
    assert failed.status == 400 and failed.asks_password() and not failed.asks_code(), "as a login that nobody has"
    nobody = browser.submit(failed.asks_password(), {"login": "nobody@nowhere", "password": stranger.password})
    assert nobody.text == failed.text
    assert browser.open(f"{fapi.url}/oauth/dashboard").asks_password(), "and nobody is logged in by it"


def test_who_is_logged_in_from_another_world_is_asked_to_log_in(browser, shop, stranger, fapi, db, other_client):
    browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), stranger)
    before = consents_of(db, shop)
    for changes in ({}, {"prompt": "login"}):
        pushed = shop.push(changes)
        page = browser.open(pushed.url())
        assert page.asks_password() and not page.asks_decision(), page
        assert not any(account in page.answer.text for account in other_client.accounts), "no account is shown"
    # nor does a form do it that the page did not show
    csrf = dict(page.forms[0].values())["csrf"]
    for decision in ("approve", "refuse"):
        pushed = shop.push()
        sent = [("csrf", csrf), ("client_id", shop.id), ("request_uri", pushed.request_uri), ("decision", decision)]
        sent += [(account, account) for account in other_client.accounts[:1]]
        answer = browser.http.post(f"{fapi.url}/oauth/decide", data=dict(sent), headers={"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 303 and "code=" not in answer.headers["location"], (decision, answer.status_code, answer.text)
    assert consents_of(db, shop) == before


def test_half_a_login_of_another_world_goes_no_further_for_this_app(browser, shop, stranger, fapi):
    page = browser.open(f"{fapi.url}/oauth/dashboard")
    assert browser.submit(page.asks_password(), {"login": stranger.login, "password": stranger.password}).asks_code()
    pushed = shop.push()
    page = browser.open(pushed.url())
    assert page.asks_password() and not page.asks_code()
    form = page.asks_password()
    values = [(name, value) for name, value in form.values() if name not in ("login", "password")] + [("code", stranger.code())]
    answer = browser.http.post(form.action, data=dict(values), headers={"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"})
    assert browser.follow(answer).asks_password()
    assert not browser.open(f"{fapi.url}/oauth/dashboard").text.startswith("My approvals")


def test_without_a_prompt_the_app_hears_that_nobody_is_logged_in(browser, shop, stranger, fapi):
    browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), stranger)
    landing = browser.open(shop.push({"prompt": "none"}).url())
    assert isinstance(landing, Landing) and landing.parameters["error"] == "login_required"


def test_a_user_of_the_apps_own_world_takes_over_in_the_same_browser(browser, shop, stranger, fapi):
    browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), stranger)
    shop.users[0].last_step = 0
    page = browser.login(browser.open(shop.push().url()), shop.users[0])
    form = page.asks_decision()
    assert form and form.button(APPROVING)


def test_a_request_without_a_browser_is_nobodys_of_another_world(browser, shop, stranger, fapi, db, other_client):
    """The hint names nobody there; and if a row did, its page would not open."""
    answer = shop.backchannel({"login_hint": stranger.login})
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_user_id")
    opened = shop.backchannel({"login_hint": shop.users[0].login})
    assert opened.status_code == 200, opened.text
    with db.cursor() as sql:
        sql.execute("select digest from oauth.backchannel where client = %s order by created_at desc limit 1", (shop.id,))
        digest = sql.fetchone()[0]
        sql.execute("select id, book from oauth.user_account where login = %s", (stranger.login,))
        user, book = sql.fetchone()
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            sql.execute("update oauth.backchannel set user_id = %s where digest = %s", (user, digest))
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            sql.execute("update oauth.backchannel set user_id = %s, book = %s where digest = %s", (user, book, digest))
    browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), stranger)
    assert not browser.open(f"{fapi.url}/oauth/dashboard?request={digest}").asks_decision()


def test_the_books_take_no_consent_and_no_grant_across_worlds(shop, stranger, db, other_client):
    """Whatever a page forgets: user, app and book that do not belong together are refused by the tables."""
    with db.cursor() as sql:
        sql.execute("select id, book, company from oauth.user_account where login = %s", (stranger.login,))
        user, book, company = sql.fetchone()
        sql.execute("select a.partner, b.book, u.id, u.company from bank.app a join bank.book b on b.world = a.world"
                    " join oauth.user_account u on u.book = b.book where a.id = %s limit 1", (shop.id,))
        partner, home, own, own_company = sql.fetchone()
        open_consent = "select consent.open(%s, %s, %s, %s, %s, %s, null, 'openid', null, now())"
        open_grant = "select oauth.open_grant(%s, %s, %s, %s, %s, 'openid', null, null, null, null, null, now(), now())"
        for where, who, whose in ((book, user, company), (home, user, own_company), (book, own, company)):
            with pytest.raises(psycopg2.errors.ForeignKeyViolation):
                sql.execute(open_consent, (where, new_id("cns", where), partner, shop.id, whose, who))
            with pytest.raises(psycopg2.errors.ForeignKeyViolation):
                sql.execute(open_grant, (new_id("grn", where), where, shop.id, partner, who))
        sql.execute(open_consent, (home, new_id("cns", home), partner, shop.id, own_company, own))
        sql.execute(open_grant, (new_id("grn", home), home, shop.id, partner, own))
