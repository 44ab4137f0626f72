"""The customer's page of agreements: what an owner sees, gives and ends, and what forms from elsewhere do not."""

import pytest

from harness.browser import Browser, Page
from harness.fapi import FapiClient
from harness.partner import Partner, new_id

PATH = "/oauth/dashboard/agreements"


@pytest.fixture(scope="module")
def shop(fapi):
    """A stranger's client in a world of its own, with a customer who has accounts."""
    return FapiClient.register(fapi, scope="openid accounts:read e-payment:write e-payment:read")


@pytest.fixture(scope="module")
def book(shop):
    return shop.metadata["tongbao_sandbox"]["book"]


@pytest.fixture(scope="module")
def payer(sandbox, book):
    """Another partner of that world, which the customer's accounts are none of."""
    return Partner(sandbox, "<i>Payer's</i> partner", book=book)


@pytest.fixture
def logged_in(fapi, shop, db):
    with db.cursor() as sql:
        sql.execute("delete from oauth.login_throttle; update oauth.user_account set factor_step = 0;"
                    " select bank.end_agreement(a.book, a.id, 'bank test', now()) from bank.agreement a where a.ended_at is null")
    shop.users[0].last_step = 0
    with Browser(fapi) as browser:
        browser.login(browser.open(f"{fapi.url}/oauth/dashboard"), shop.users[0])
        yield browser


def form_of(page, end):
    return next(f for f in page.forms if f.action.endswith(end))


def agree(browser, fapi, account, partner, each=""):
    form = form_of(browser.open(fapi.url + PATH), PATH)
    return browser.submit(form, {"account": account, "partner": partner, "each": each})


def rows(db, sql, *values):
    with db.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def test_an_owner_agrees_sees_what_it_comes_to_and_ends_it(logged_in, fapi, shop, payer, db):
    account = shop.accounts[0]
    page = logged_in.open(f"{fapi.url}/oauth/dashboard")
    assert PATH in page.answer.text and not [f for f in logged_in.open(fapi.url + PATH).forms if f.action.endswith("/end")]
    done = agree(logged_in, fapi, account, payer.id, "500.00")
    assert "It is in force now." in done.text and "<i>Payer's</i> partner" in done.text and "<i>" not in done.answer.text
    assert rows(db, "select account, partner, max_each, days, split_part(made_by, '_', 1) from bank.agreement where ended_at is null") == [
        (account, payer.id, 50000, 365, "customer usr")]
    with payer.client() as client:
        payment = client.pay(payer.account(), account, 60000).json()
        refund = client.post(f"/e-payment/v1/payments/{payment['id']}/refunds", {"amount": {"amount": 50001, "currency": "CNY"}})
        assert refund.json()["code"] == "refund_not_authorised"
        refund = client.post(f"/e-payment/v1/payments/{payment['id']}/refunds", {"amount": {"amount": 50000, "currency": "CNY"}})
        assert refund.json()["state"] == "succeeded"
        page = logged_in.open(fapi.url + PATH)
        assert "Refunds so far 1" in page.text and "Refunded so far CNY 500.00" in page.text and "In force" in page.text
        form = form_of(page, "/end")
        ended = logged_in.submit(form, button=form.buttons[0])
        assert "The agreement has ended." in ended.text and not [f for f in ended.forms if f.action.endswith("/end")]
        refund = client.post(f"/e-payment/v1/payments/{payment['id']}/refunds", {})
        assert refund.json()["code"] == "refund_not_authorised"


@pytest.mark.parametrize("change, said, field", [
    ({"account": "acc_" + "0" * 26}, "Choose an account first.", "accounts"),
    ({"partner": "ptr_" + "0" * 26}, "no company with this number", "partner"),
    ({"partner": ""}, "no company with this number", "partner"),
    ({"each": "5,00"}, "not an amount", "each"),
    ({"each": "5.001"}, "not an amount", "each"),
    ({"each": "0"}, "not an amount", "each"),
    ({"each": "99999999999999999999"}, "not an amount", "each"),
])
def test_a_form_that_cannot_be_accepted_says_where(logged_in, fapi, shop, payer, db, change, said, field):
    fill = {"account": shop.accounts[0], "partner": payer.id, "each": "", **change}
    form = form_of(logged_in.open(fapi.url + PATH), PATH)
    page = logged_in.submit(form, fill)
    assert page.status == 400 and said in page.text and f'href="#{field}"' in page.answer.text
    assert rows(db, "select 1 from bank.agreement where ended_at is null") == []


def test_one_agreement_with_a_company_about_an_account(logged_in, fapi, shop, payer):
    agree(logged_in, fapi, shop.accounts[0], payer.id)
    again = agree(logged_in, fapi, shop.accounts[0], payer.id)
    assert again.status == 400 and "already" in again.text


def test_the_rules_of_the_company_hold(logged_in, fapi, shop, payer, db, book):
    company, role = rows(db, "select company, role from oauth.user_account where login = %s", shop.users[0].login)[0]
    with db.cursor() as sql:
        sql.execute("insert into consent.rule values (%s, %s, 'mandate', 2)", (book, company))
    page = agree(logged_in, fapi, shop.accounts[0], payer.id, "1")
    assert page.status == 400 and "others have to approve" in page.text
    with db.cursor() as sql:
        sql.execute("delete from consent.rule where company = %s", (company,))
        sql.execute("insert into consent.role_limit values (%s, %s, %s, 'CNY', 10000)", (book, company, role))
    try:
        for each in ("", "100.01"):
            page = agree(logged_in, fapi, shop.accounts[0], payer.id, each)
            assert page.status == 400 and "that you may approve" in page.text
        assert "It is in force now." in agree(logged_in, fapi, shop.accounts[0], payer.id, "100").text
    finally:
        with db.cursor() as sql:
            sql.execute("delete from consent.role_limit where company = %s", (company,))


def test_nobody_sees_or_ends_another_companys_agreements(logged_in, fapi, shop, other_client, payer, db):
    agree(logged_in, fapi, shop.accounts[0], payer.id)
    [(agreement,)] = rows(db, "select id from bank.agreement where ended_at is null")
    with Browser(fapi) as other:
        other_client.users[0].last_step = 0
        other.login(other.open(f"{fapi.url}/oauth/dashboard"), other_client.users[0])
        page = other.open(fapi.url + PATH)
        assert agreement not in page.answer.text and shop.accounts[0] not in page.answer.text
        csrf = dict(form_of(page, PATH).values())["csrf"]
        for path, pairs in ((PATH + "/end", {"agreement": agreement}), (PATH, {"account": shop.accounts[1], "partner": payer.id})):
            answer = other.http.post(fapi.url + path, data={"csrf": csrf, **pairs}, headers={"Origin": other.origin})
            assert answer.status_code in (400, 404), (path, answer.status_code)
    assert rows(db, "select ended_at from bank.agreement where id = %s", agreement) == [(None,)]


def test_forms_from_elsewhere_do_nothing(logged_in, fapi, shop, payer, db):
    agree(logged_in, fapi, shop.accounts[0], payer.id)
    page = logged_in.open(fapi.url + PATH)
    for form in (form_of(page, "/end"), form_of(page, PATH)):
        pairs = dict(form.values())
        for data, headers in ((pairs, {"Origin": "https://evil.example"}), ({**pairs, "csrf": "x"}, {"Origin": logged_in.origin})):
            assert Page(logged_in.http.post(form.action, data=data, headers=headers)).status == 403
        assert logged_in.http.get(fapi.url + PATH + "/end").status_code == 405
    assert rows(db, "select count(*) from bank.agreement where ended_at is null") == [(1,)]


def test_who_is_not_logged_in_is_asked_to(fapi):
    with Browser(fapi) as browser:
        assert browser.open(fapi.url + PATH).asks_password()


def test_the_page_speaks_chinese(logged_in, fapi, shop, payer):
    agree(logged_in, fapi, shop.accounts[0], payer.id)
    page = logged_in.open(f"{fapi.url}{PATH}?lang=zh-CN")
    assert "退款授权" in page.text and "单笔退款限额" in page.text and "有效" in page.text
