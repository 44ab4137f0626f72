"""Guessing is slowed, and nobody can keep somebody else out by it: failures are counted for a login from one address, for a browser
that has logged in with it before, and, with a higher bound, for the login alone. Clients that name customers who do not exist are
counted alike."""

import threading

import httpx
import pytest

from harness.browser import Browser
from harness.fapi import CIBA_GRANT, FapiClient, refused

KNOWN = "__Host-tongbao-known-"


@pytest.fixture(scope="module")
def shop(fapi):
    return FapiClient.register(fapi)


@pytest.fixture(autouse=True)
def patience(db, shop):
    """No test pays for the guesses and the codes of another."""
    def forget():
        with db.cursor() as sql:
            sql.execute("delete from oauth.login_throttle; update oauth.user_account set factor_step = 0")
        for user in shop.users:
            user.last_step = 0
    forget()
    yield forget
    forget()


class Elsewhere(Browser):
    """A browser at another address of this machine."""

    def __init__(self, server, address):
        super().__init__(server)
        self.http = httpx.Client(verify=server.ca, timeout=20.0, follow_redirects=False, headers={"Accept": "text/html"},
                                 transport=httpx.HTTPTransport(verify=server.ca, http2=True, local_address=address))


@pytest.fixture
def at(fapi):
    opened = []

    def at(last):
        opened.append(Elsewhere(fapi, f"127.0.0.{last}"))
        return opened[-1]
    yield at
    for browser in opened:
        browser.close()


def page_of(browser, shop):
    return browser.open(shop.server.url + "/oauth/dashboard")


def guess(browser, shop, user, password="guess"):
    return browser.submit(page_of(browser, shop).asks_password(), {"login": user.login, "password": password})


def logged_in(browser, shop, user):
    page = browser.login(page_of(browser, shop), user)
    return page.status == 200 and not page.asks_password() and not page.asks_code()


def leave(browser):
    """Log out; what marks the browser stays."""
    del browser.http.cookies["__Host-tongbao"]


def marks(browser):
    return [c for c in browser.http.cookies.jar if c.name.startswith(KNOWN)]


def attempts(db, kind, n):
    with db.cursor() as sql:
        sql.execute("update oauth.login_throttle set attempts_n = %s where subject like %s returning 1", (n, kind + " %"))
        assert sql.fetchall(), f"nothing is counted for {kind}"


# ---- a stranger ----

def test_a_stranger_keeps_nobody_out(at, shop):
    user, stranger, owner = shop.users[0], at(2), at(3)
    assert [guess(stranger, shop, user).status for _ in range(7)] == [400] * 5 + [429] * 2
    assert logged_in(owner, shop, user)


def test_strangers_at_many_addresses_are_slowed_together_and_a_known_browser_is_not(at, shop, db):
    user, owner = shop.users[0], at(3)
    assert logged_in(owner, shop, user)
    leave(owner)
    assert guess(at(2), shop, user).status == 400
    attempts(db, "login", 99)
    assert guess(at(4), shop, user).status == 400
    slowed = guess(at(5), shop, user, user.password)
    assert slowed.status == 429 and 0 < int(slowed.headers["retry-after"]) <= 900
    assert logged_in(owner, shop, user)


def test_a_known_browser_is_counted_by_itself(at, shop):
    user, owner = shop.users[0], at(3)
    assert logged_in(owner, shop, user)
    leave(owner)
    assert [guess(owner, shop, user).status for _ in range(7)] == [400] * 5 + [429] * 2
    assert guess(owner, shop, shop.users[1]).status == 400, "what is known is known for its login alone"
    assert logged_in(at(3), shop, user), "another browser of the same address"


def patience_of_codes(db, user):
    with db.cursor() as sql:
        sql.execute("update oauth.user_account set factor_step = 0")
    user.last_step = 0


def test_a_right_code_forgets_what_its_browser_missed(at, shop, db):
    user, owner = shop.users[0], at(3)
    assert logged_in(owner, shop, user)
    for _ in range(2):
        leave(owner)
        assert [guess(owner, shop, user).status for _ in range(4)] == [400] * 4
        patience_of_codes(db, user)
        assert logged_in(owner, shop, user)


# ---- the second factor ----

def wrong_code(browser, shop, user):
    page = guess(browser, shop, user, user.password)
    return browser.submit(page.asks_code(), {"code": "000000"}).status if page.status == 200 else page.status


def test_codes_are_counted_for_the_login_wherever_they_come_from(at, shop):
    user, owner = shop.users[0], at(3)
    assert logged_in(owner, shop, user)
    leave(owner)
    assert [wrong_code(at(20 + i), shop, user) for i in range(7)] == [400] * 5 + [429] * 2
    assert logged_in(owner, shop, user), "a browser that is known is counted by itself"


# ---- what marks a browser ----

def test_the_mark_is_kept_from_scripts_and_other_sites(at, shop):
    browser = at(3)
    page = guess(browser, shop, shop.users[0], shop.users[0].password)
    assert not marks(browser), "the password alone marks nothing"
    form = page.asks_code()
    answer = browser.http.post(form.action, data={**dict(form.values()), "code": shop.users[0].code()},
                               headers={"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"})
    [said] = [v for v in answer.headers.get_list("set-cookie") if v.startswith(KNOWN)]
    assert all(part in said.split("; ") for part in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax")) and "Max-Age=" in said, said
    assert shop.users[0].login not in said and any(v.startswith("__Host-tongbao=") for v in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("how", ["other login", "forged", "cut", "old"])
def test_a_mark_that_is_not_ours_for_this_login_marks_nothing(at, shop, db, how):
    user, other, browser = *shop.users, at(3)
    assert logged_in(browser, shop, other if how == "other login" else user)
    leave(browser)
    [mark] = marks(browser)
    issued, nonce, mac = mark.value.split(".")
    value = {"other login": mark.value, "forged": f"{issued}.{nonce}.{'A' * len(mac)}", "cut": f"{issued}.{nonce}",
             "old": f"{int(issued) - 181 * 86400}.{nonce}.{mac}"}[how]
    name = mark.name
    if how == "other login":
        with at(4) as owners:
            assert logged_in(owners, shop, user)
            name = marks(owners)[0].name
    browser.http.cookies.clear()
    browser.http.cookies.set(name, value, domain="localhost.local")
    assert guess(at(2), shop, user).status == 400
    attempts(db, "login", 100)
    with db.cursor() as sql:
        sql.execute("update oauth.login_throttle set blocked_until = now() + interval '5 minutes' where subject like 'login %'")
    assert guess(browser, shop, user).status == 429


def test_a_reset_by_the_bank_forgets_all_failures_of_the_login(at, fapi, sandbox, db):
    client = FapiClient.register(fapi)
    user = client.users[0]
    assert logged_in(at(3), client, user)
    for browser in (at(2), at(4)):
        guess(browser, client, user)
    wrong_code(at(5), client, user)
    sandbox.cli("user", "reset", user.login)
    with db.cursor() as sql:
        sql.execute("select subject from oauth.login_throttle where subject not like 'address %'")
        assert sql.fetchall() == []


# ---- clients that guess at customers ----

@pytest.fixture(scope="module")
def guesser(fapi):
    return FapiClient.register(fapi, redirect_uris=None, response_types=None, grant_types=[CIBA_GRANT],
                               backchannel_token_delivery_mode="poll")


def test_a_client_that_names_customers_who_do_not_exist_is_slowed(fapi, guesser, shop, db):
    asked = [guesser.backchannel({"login_hint": f"nobody{i}@w0"}) for i in range(32)]
    assert [a.status_code for a in asked] == [400] * 30 + [429] * 2
    assert all(a.json()["error"] == "unknown_user_id" for a in asked[:30])
    refused(asked[-1], 429, "temporarily_unavailable")
    assert 0 < int(asked[-1].headers["retry-after"]) <= 300
    assert guesser.backchannel().status_code == 429, "one answer for those who exist and those who do not"
    other = FapiClient.register(fapi, redirect_uris=None, response_types=None, grant_types=[CIBA_GRANT],
                                backchannel_token_delivery_mode="poll")
    assert other.backchannel().status_code == 200
    with db.cursor() as sql:
        sql.execute("update oauth.login_throttle set blocked_until = counted_from, counted_from = counted_from - interval '11 minutes'")
    assert guesser.backchannel().status_code == 200


def test_hints_that_name_somebody_do_not_count(guesser, db):
    for _ in range(7):
        assert guesser.backchannel().status_code == 200
    with db.cursor() as sql:
        sql.execute("select count(*) from oauth.login_throttle")
        assert sql.fetchone() == (0,)


def test_hints_at_once_are_counted_one_after_another(guesser, db):
    with db.cursor() as sql:
        sql.execute("delete from oauth.backchannel")
    statuses, lock = [], threading.Lock()

    def ask(n):
        twin = guesser.on_a_connection_of_its_own()
        for i in range(10):
            answer = twin.backchannel({"login_hint": f"nobody{n}-{i}@w0"})
            with lock:
                statuses.append(answer.status_code)
        twin.server.close()
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [400] * 30 + [429] * 20
