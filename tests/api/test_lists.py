"""Lists: pages in both directions, filters, and cursors that cannot be bent."""

import base64
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner

PAYMENTS = "/e-payment/v1/payments"
ACCOUNTS = "/accounts/v1/accounts"
MADE = 23


@pytest.fixture(scope="module")
def partner(sandbox):
    return Partner(sandbox, "Lists' partner")


@pytest.fixture(scope="module")
def client(partner):
    with partner.client() as client:
        yield client


@pytest.fixture(scope="module")
def accounts_of(partner):
    return [partner.account(minor=1000) for _ in range(7)]


@pytest.fixture(scope="module")
def made(client, accounts_of):
    """Payments of which every fifth was declined, oldest first."""
    payments = []
    for n in range(MADE):
        answer = client.pay(accounts_of[0], accounts_of[1], 5000 if n % 5 == 0 else 1, reference=f"LIST-{n}-{uuid.uuid4().hex[:8]}")
        payments.append(answer.json())
    return payments


def ids(page):
    return [o["id"] for o in page]


def get(client, path=PAYMENTS, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["object"] == "list" and (page["next_cursor"] is not None) == page["has_more"]
    return page


# ---- pages ----

def test_a_list_has_the_newest_first(client, made):
    page = get(client)
    assert ids(page["data"]) == ids(made[::-1])[:20] and page["has_more"]
    assert page["data"][0] == client.get(f"{PAYMENTS}/{made[-1]['id']}").json()


def test_a_list_of_nothing_is_a_list(sandbox):
    with Partner(sandbox, "Nobody yet").client() as client:
        for path in (PAYMENTS, ACCOUNTS):
            assert get(client, path) == {"object": "list", "data": [], "has_more": False, "next_cursor": None}


@pytest.mark.parametrize("limit", [1, 7, 22, 23, 24, 100])
def test_pages_are_the_whole_list_once(client, made, limit):
    assert ids(client.pages(PAYMENTS, limit=limit)) == ids(made[::-1])


def test_the_last_page_says_so(client, made):
    page = get(client, limit=MADE)
    assert len(page["data"]) == MADE and not page["has_more"] and page["next_cursor"] is None


@pytest.mark.parametrize("limit", [1, 4, 22])
def test_the_way_back_is_the_same_way(client, made, limit):
    """From the last page backwards; each page still has the newest first."""
    forward, cursors = [], []
    page = get(client, limit=limit)
    while page["has_more"]:
        cursors.append(page["next_cursor"])
        forward.append(page["data"])
        page = get(client, limit=limit, starting_after=page["next_cursor"])
    back, cursor = [], cursors[-1]
    while cursor:
        page = get(client, limit=limit, ending_before=cursor)
        back = page["data"] + back
        cursor = page["next_cursor"]
    whole = [o for some in forward for o in some]
    assert ids(back) == ids(whole)[:-1]  # the place of the cursor itself is not in front of it


def test_what_is_made_meanwhile_does_not_move_the_pages(client, made, accounts_of):
    first = get(client, limit=5)
    late = client.pay(accounts_of[0], accounts_of[1], 1).json()
    second = get(client, limit=5, starting_after=first["next_cursor"])
    assert late["id"] not in ids(second["data"])
    assert not set(ids(first["data"])) & set(ids(second["data"]))
    made.append(late)


def test_accounts_are_listed(client, accounts_of):
    assert ids(client.pages(ACCOUNTS, limit=3)) == accounts_of[::-1]
    page = get(client, ACCOUNTS, limit=3)
    following = get(client, ACCOUNTS, limit=3, starting_after=page["next_cursor"])
    back = get(client, ACCOUNTS, limit=100, ending_before=following["next_cursor"])
    assert ids(back["data"]) == accounts_of[::-1][:5]


def test_a_page_of_the_most_is_served(api):
    """A hundred objects have more members than a request may have."""
    page = get(api, ACCOUNTS, limit=100)
    assert len(page["data"]) == 100


def test_entries_are_a_statement(sandbox):
    partner = Partner(sandbox, "Entries' partner")
    client = partner.client()
    payer, payee = partner.account(minor=1000), partner.account(minor=0)
    for amount in (1, 2, 3, 4, 5):
        client.pay(payer, payee, amount)
    entries = list(client.pages(f"{ACCOUNTS}/{payer}/entries", limit=2))
    assert [e["sequence"] for e in entries] == [6, 5, 4, 3, 2, 1]
    assert [e["amount"]["amount"] for e in entries] == [-5, -4, -3, -2, -1, 1000]
    assert [e["balance"]["amount"] for e in entries] == [985, 990, 994, 997, 999, 1000]
    assert [e["kind"] for e in entries] == ["payment"] * 5 + ["opening"]
    first = get(client, f"{ACCOUNTS}/{payer}/entries", limit=2)
    second = get(client, f"{ACCOUNTS}/{payer}/entries", limit=2, starting_after=first["next_cursor"])
    back = get(client, f"{ACCOUNTS}/{payer}/entries", limit=2, ending_before=second["next_cursor"])
    assert [e["sequence"] for e in back["data"]] == [5, 4]


def test_entries_say_on_both_sides_what_moved_the_money(sandbox):
    partner = Partner(sandbox, "Statements' partner")
    client = partner.client()
    payer, payee = partner.account(minor=1000), partner.account(minor=0)
    payment = client.pay(payer, payee, 100, reference="INV-77", purpose="rent").json()
    refund = client.post(f"{PAYMENTS}/{payment['id']}/refunds", {"amount": {"amount": 30, "currency": "CNY"}, "reference": "RET-77",
                                                                 "reason": "too much"}).json()
    for account in (payer, payee):
        back, forth = get(client, f"{ACCOUNTS}/{account}/entries", limit=2)["data"]
        assert [forth[m] for m in ("source", "reference", "purpose")] == [payment["id"], "INV-77", "rent"]
        assert [back[m] for m in ("source", "reference", "purpose")] == [refund["id"], "RET-77", "too much"]


# ---- filters ----

def test_payments_are_filtered_by_state(client, made):
    for state in ("succeeded", "failed", "processing"):
        assert ids(client.pages(PAYMENTS, limit=3, state=state)) == ids(p for p in made[::-1] if p["state"] == state)


def test_a_payment_is_found_by_its_reference(client, made):
    page = get(client, reference=made[3]["reference"])
    assert ids(page["data"]) == [made[3]["id"]]
    assert get(client, reference="no such reference")["data"] == []


def test_payments_are_filtered_by_time(client, made):
    since, until = made[5]["created_at"], made[15]["created_at"]
    wanted = [p["id"] for p in made[::-1] if since <= p["created_at"] < until]
    assert wanted and ids(client.pages(PAYMENTS, limit=4, **{"created[gte]": since, "created[lt]": until})) == wanted
    offset = {"created[gte]": since.replace("Z", "+00:00")}
    assert ids(client.pages(PAYMENTS, **offset)) == [p["id"] for p in made[::-1] if p["created_at"] >= since]


def test_filters_hold_on_the_way_back(client, made):
    page = get(client, limit=2, state="failed")
    following = get(client, limit=2, state="failed", starting_after=page["next_cursor"])
    back = get(client, limit=100, state="failed", ending_before=following["next_cursor"])
    assert ids(back["data"]) == ids(p for p in made[::-1] if p["state"] == "failed")[:3]


@pytest.mark.parametrize("query, parameter", [
    ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=", "limit"), ("limit=ten", "limit"),
    ("limit=1.0", "limit"), ("limit=99999999999999999999", "limit"), ("limit=5&limit=5", "limit"),
    ("state=paid", "state"), ("state=", "state"), ("state=succeeded%7Cfailed", "state"), ("State=failed", "State"),
    ("created[gte]=yesterday", "created[gte]"), ("created[gte]=2026-02-30T00:00:00Z", "created[gte]"),
    ("created[gte]=2026-11-23", "created[gte]"), ("created[gt]=2026-11-23T00:00:00Z", "created[gt]"),
    ("reference=", "reference"), ("reference=" + "x" * 65, "reference"),
    ("offset=1", "offset"), ("page=2", "page"), ("starting_after=", "starting_after"), ("starting_after=" + "x" * 513, "starting_after"),
])
def test_a_parameter_that_is_wrong_is_named(api, query, parameter):
    problem = assert_problem(api.get(f"{PAYMENTS}?{query}"), 400, "bad_parameter")
    assert problem["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("query", ["limit=%", "limit=%4", "limit=%zz", "state=%00failed", "reference=%ff", "reference=%c0%80"])
def test_a_query_that_is_no_text_is_refused(api, query):
    assert api.get(f"{PAYMENTS}?{query}").status_code == 400


def test_a_query_may_be_percent_encoded(client, made):
    assert ids(get(client, **{})["data"]) == ids(client.get(f"{PAYMENTS}?%6cimit=2%30").json()["data"])


# ---- cursors ----

def test_a_cursor_goes_with_its_filters(client, made):
    cursor = get(client, limit=2, state="succeeded")["next_cursor"]
    assert get(client, limit=5, state="succeeded", starting_after=cursor)["data"], "the size of a page is no filter"
    for query in ({}, {"state": "failed"}, {"state": "succeeded", "created[gte]": "2020-01-01T00:00:00Z"},
                  {"state": "succeeded", "reference": "x"}):
        assert_problem(client.get(PAYMENTS, params={**query, "starting_after": cursor}), 400, "bad_cursor")


def test_a_cursor_goes_with_its_list(client, made, accounts_of):
    cursor = get(client, limit=2)["next_cursor"]
    for path in (ACCOUNTS, f"{ACCOUNTS}/{accounts_of[0]}/entries", f"{PAYMENTS}/{made[1]['id']}/refunds"):
        assert_problem(client.get(path, params={"starting_after": cursor}), 400, "bad_cursor")
    entries = get(client, f"{ACCOUNTS}/{accounts_of[0]}/entries", limit=2)["next_cursor"]
    assert_problem(client.get(f"{ACCOUNTS}/{accounts_of[1]}/entries", params={"starting_after": entries}), 400, "bad_cursor")


def test_a_cursor_goes_with_its_partner(client, api, made):
    cursor = get(client, limit=2)["next_cursor"]
    assert_problem(api.get(PAYMENTS, params={"starting_after": cursor}), 400, "bad_cursor")


def test_a_forged_cursor_is_refused(client, made):
    cursor = get(client, limit=2)["next_cursor"]
    version, place, mac = cursor.split(".")
    moved = base64.urlsafe_b64encode(made[0]["id"].encode()).rstrip(b"=").decode()
    flipped = ("B" if mac[0] == "A" else "A") + mac[1:]
    forged = ["x", "v1", "v1.", "v1..", "v1.a.b", made[0]["id"], f"v2.{place}.{mac}", f"{version}.{moved}.{mac}",
              f"{version}.{place}.{flipped}", f"{version}.{place}.", f"{version}..{mac}", cursor + "A", cursor + "=", cursor + ".x",
              cursor[:-1], f"{version}.{place}", cursor.upper(), f"{version}.{place}.{mac[:11]}", " " + cursor]
    for attempt in forged:
        assert_problem(client.get(PAYMENTS, params={"starting_after": attempt}), 400, "bad_cursor")
        assert_problem(client.get(PAYMENTS, params={"ending_before": attempt}), 400, "bad_cursor")


def test_only_one_direction_at_a_time(client, made):
    cursor = get(client, limit=2)["next_cursor"]
    assert_problem(client.get(PAYMENTS, params={"starting_after": cursor, "ending_before": cursor}), 400, "bad_parameter")
