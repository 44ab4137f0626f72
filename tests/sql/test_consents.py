"""Consents from the question to the end: decisions, approvals, versions, what a use needs, and what everybody reads."""
import json
import re

import pytest
from books import APP, NOW, PARTNER, ROOT, acc, id_suffix
from consents import BO, LAN, OTHER, OTHER_APP, STRANGER, WEI, Consents, at, mandate, money, payment, reading


@pytest.fixture
def c(books):
    return Consents(books)


# ---- statuses ----

def test_a_consent_moves_along_the_edges_of_the_table_and_nowhere_else(c):
    statuses = [r["status"] for r in c.books.query("select status from consent.status")]
    edges = {tuple(r.values()) for r in c.books.query("select * from consent.edge")}
    kinds = ("customer", "bank", "partner", "time", "use")
    id = c.open(payment(debtor=1))
    for start in statuses:
        for end in statuses:
            for kind in kinds:
                c.books.query("update consent.consent set status = %s", start)
                try:
                    c.books.query("select consent.move(1, %s, %s, %s, 'x', %s)", id, end, kind, NOW)
                    moved = True
                except Exception as error:
                    assert "cannot become" in str(error)
                    moved = False
                assert moved == ((start, end, kind) in edges)
    assert not [e for e in edges if e[0] in ("RJCT", "COND", "CANC", "EXPD")]


def test_the_product_and_the_picture_in_the_docs_have_the_edges_of_the_table(c):
    edges = {tuple(r.values()) for r in c.books.query("select from_status, to_status, by_kind from consent.edge")}
    with open(f"{ROOT}/core/consent/consents.c", encoding="utf-8") as source:
        assert {tuple(e) for e in re.findall(r'\{"([A-Z]+)", "([A-Z]+)", "([a-z]+)"\}', source.read())} == edges
    with open(f"{ROOT}/docs/consents.md", encoding="utf-8") as page:
        text = page.read()
    drawn = re.findall(r"([A-Z]{4}) --> ([A-Z]{4}): (.+)", text)
    assert {(a, b, kind) for a, b, kinds in drawn for kind in kinds.split(", ")} == edges
    for row in c.books.query("select * from consent.status"):
        assert f"| `{row['status']}` | {row['name']}" in text and row["berlin"] in text
        assert (f"{row['status']} --> [*]" in text) == row["terminal"]


@pytest.mark.parametrize("detail, accounts", [
    (payment(), (1,)), (payment(debtor=1), None), (mandate(), (3,)), (reading(), (1, 3)), (None, None),
])
def test_one_approval_is_enough_where_the_company_has_not_said_otherwise(c, detail, accounts):
    id = c.open(detail)
    assert c.status(id) == "AWAU"
    decision = c.decide(id, accounts=accounts)
    assert (decision["status"], decision["refusal"]) == ("AUTH", None)
    chosen = {"debtor_account": acc((accounts or (1,))[0])} if detail and detail["type"] != "account_information" else \
        {"accounts": [acc(a) for a in accounts]} if detail else {}
    assert decision["details"] == ([{**detail, **chosen}] if detail else [])
    consent = c.read(id)
    assert consent["status"] == "AUTH" and consent["authorised_at"] == NOW and consent["version"] == 1
    assert consent["approvals"] == {"required": 1, "given": 1}
    assert consent.get("details") == (decision["details"] or [None])[0]


@pytest.mark.parametrize("detail, accounts, refusal", [
    (payment(), None, "account_required"),
    (payment(), (), "account_required"),
    (payment(), (1, 3), "account_required"),
    (mandate(), (1, 3), "account_required"),
    (reading(), None, "account_required"),
    (payment(debtor=1), (3,), "account_not_requested"),
    (reading(accounts=[acc(1)]), (1, 3), "account_not_requested"),
    (payment(), (2,), "unknown_account"),                 # another company's
    (payment(), (99,), "unknown_account"),
    (payment(debtor=2), None, "unknown_account"),
    (reading(), (1, 2), "unknown_account"),
    (payment(), (5,), "currency_mismatch"),
    (mandate(), (5,), "currency_mismatch"),
    (payment(creditor=1), (1,), "same_account"),
])
def test_a_choice_of_accounts_that_cannot_be_is_refused_and_changes_nothing(c, detail, accounts, refusal):
    id = c.open(detail)
    assert c.decide(id, accounts=accounts) == {"status": None, "refusal": refusal, "details": None}
    assert c.status(id) == "AWAU" and c.books.query("select from consent.version") == []


def test_nobody_but_the_user_who_was_asked_decides_first(c):
    id = c.open(payment(debtor=1))
    for user in (LAN, STRANGER, "usr_" + id_suffix(9)):
        assert c.decide(id, user)["refusal"] == "unknown_consent"
    c.books.query("update oauth.user_account set state = 'locked' where id = %s", WEI)
    assert c.decide(id)["refusal"] == "unknown_consent"
    assert c.decide("cns_" + id_suffix(99))["refusal"] == "unknown_consent"


def test_a_decision_is_taken_once(c):
    id = c.given(payment())
    assert c.decide(id, accounts=(1,))["refusal"] == "not_pending"
    no = c.open(payment())
    assert c.decide(no, approve=False)["status"] == "RJCT"
    assert c.decide(no, accounts=(1,))["refusal"] == "not_pending"
    assert c.read(no)["ended_by"] == "customer"


def test_a_question_that_nobody_answers_ends_within_the_hour(c):
    id = c.open(payment(debtor=1))
    assert c.decide(id, wall=at(3600))["refusal"] == "expired"
    assert c.status(id, at(3599)) == "AWAU" and c.status(id, at(3600)) == "EXPD"


# ---- approvals ----

def test_two_of_three_must_approve_and_until_then_nothing_can_be_done(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'payment', 2)")
    id = c.open(payment())
    assert c.decide(id, accounts=(1,))["status"] == "AWAF"
    assert c.pay(id) == "consent_pending"
    assert c.use(id, types="payment") == "consent_pending"
    assert c.decide(id, WEI)["refusal"] == "already_approved"
    assert c.decide(id, STRANGER)["refusal"] == "unknown_consent"
    assert c.read(id)["approvals"] == {"required": 2, "given": 1}
    decision = c.decide(id, LAN)
    assert decision["status"] == "AUTH" and decision["details"][0]["debtor_account"] == acc(1)
    assert c.decide(id, BO)["refusal"] == "not_pending"
    assert c.pay(id) == "succeeded"


def test_a_later_approver_can_reject_and_what_was_given_ends(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'payment', 2)")
    id = c.given(payment())
    grant = c.grant(id)
    assert c.decide(id, LAN, approve=False)["status"] == "RJCT"
    assert c.books.one("select ended_by from oauth.grants where id = %s", grant) == "rejected by " + LAN
    assert c.pay(id) == "consent_revoked"


def test_an_approval_beyond_the_limit_of_the_role_does_not_count(c):
    c.books.query("select consent.set_role_limit(1, 'pty_1', 'initiator', 'CNY', 299)")
    c.books.query("select consent.set_role_limit(1, 'pty_1', 'approver', 'CNY', 300)")
    id = c.open(payment(300))
    assert c.decide(id, accounts=(1,))["status"] == "AWAF"
    assert c.read(id)["approvals"] == {"required": 1, "given": 0}
    assert c.decide(id, LAN)["status"] == "AUTH"
    assert c.decide(c.open(payment(299)), accounts=(1,))["status"] == "AUTH"
    too_much = c.given(payment(301))
    assert c.decide(too_much, LAN)["refusal"] == "over_limit" and c.status(too_much) == "AWAF"


def test_a_mandate_needs_a_role_good_for_the_most_of_a_period(c):
    c.books.query("select consent.set_role_limit(1, 'pty_1', 'initiator', 'CNY', 250)")
    assert c.decide(c.open(mandate(100, [("Day", "Calendar", 250)])), accounts=(1,))["status"] == "AUTH"
    assert c.decide(c.open(mandate(100, [("Day", "Calendar", 250), ("Year", "Consent", 251)])), accounts=(1,))["status"] == "AWAF"


def test_in_a_company_with_limits_a_role_may_approve_nothing_in_other_currencies(c):
    c.books.query("select consent.set_role_limit(1, 'pty_1', 'initiator', 'JPY', 1000000)")
    assert c.decide(c.open(payment(1)), accounts=(1,))["status"] == "AWAF"
    assert c.decide(c.open(reading()), accounts=(1,))["status"] == "AUTH"       # no amount, no limit


# ---- versions ----

def test_taking_accounts_away_is_a_version_that_needs_nobody_else(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'account_information', 2)")
    id = c.given(reading(), (1, 3))
    c.decide(id, LAN)
    assert c.use(id, 3) is None
    decision = c.change(id, [1])
    assert decision["status"] == "AUTH" and decision["details"][0]["accounts"] == [acc(1)]
    assert (c.use(id, 1), c.use(id, 3)) == (None, "not_found")
    assert c.read(id)["version"] == 2 and c.read(id)["approvals"]["given"] == 2
    assert [r["version"] for r in c.receipts(id)] == [1, 2]


def test_more_accounts_are_approved_again_and_nothing_is_open_before(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'account_information', 2)")
    id = c.given(reading(), (1,))
    grant = c.grant(id)
    c.decide(id, LAN)
    assert c.change(id, [1, 3])["status"] == "AWAF"
    assert c.use(id, 1) == "consent_pending" and c.books.query("select from bank.consent_access") == []
    assert c.books.one("select details->0->'accounts' from oauth.grants where id = %s", grant) == [acc(1), acc(3)]
    assert c.decide(id, BO)["status"] == "AUTH"
    assert c.use(id, 3) is None
    assert [len(r["accounts"]) for r in c.books.query("select accounts from consent.version order by version")] == [1, 2]


@pytest.mark.parametrize("accounts, user, refusal", [
    ([], WEI, "account_required"), ([2], WEI, "unknown_account"), ([1], STRANGER, "unknown_consent"),
])
def test_a_change_of_accounts_has_its_own_refusals(c, accounts, user, refusal):
    id = c.given(reading(), (1,))
    assert c.change(id, accounts, user)["refusal"] == refusal and c.read(id)["version"] == 1


def test_a_payment_consent_has_no_other_versions(c):
    assert c.change(c.given(payment()), [3])["refusal"] == "unknown_consent"


# ---- the end ----

@pytest.mark.parametrize("by_kind, by", [("customer", WEI), ("customer", LAN), ("partner", PARTNER), ("bank", "ops")])
def test_a_revoked_consent_is_over_at_once_with_all_that_was_given_under_it(c, by_kind, by):
    id = c.given(reading(), (1,))
    grants = [c.grant(id), c.grant(id)]
    assert c.revoke(id, by_kind, by) == [], "no token of it is withdrawn: each is refused by the consent, and told why"
    assert c.use(id, 1) == "consent_revoked" and c.books.query("select from bank.consent_access") == []
    assert c.read(id)["status"] == "CANC" and c.read(id)["ended_by"] == by_kind
    assert c.books.query("select from oauth.revoked_token") == []
    assert [r["id"] for r in c.books.query("select id from oauth.grants where ended_at is not null order by id")] == grants
    assert c.books.query("select from oauth.refresh") == []
    assert c.revoke(id, by_kind, by) == []


@pytest.mark.parametrize("by_kind, by", [("customer", STRANGER), ("partner", OTHER), ("anybody", WEI)])
def test_who_has_no_part_in_a_consent_cannot_end_it(c, by_kind, by):
    id = c.given(reading(), (1,))
    grant = c.grant(id)
    assert c.revoke(id, by_kind, by) == [] and c.status(id) == "AUTH"
    assert c.books.one("select consent.known(1, %s, %s, %s)", id, by_kind, by) is False
    assert c.books.one("select ended_at from oauth.grants where id = %s", grant) is None


def test_revoking_what_is_used_up_ends_its_tokens_and_leaves_its_status(c):
    id = c.given(payment())
    grant = c.grant(id)
    c.pay(id)
    assert c.revoke(id) == [grant] and c.status(id) == "COND"
    assert [r["jti"] for r in c.books.query("select jti from oauth.revoked_token")] == [grant], "what it could read is closed"


def test_a_consent_ends_at_its_time_whether_the_clerk_has_run_or_not(c):
    id = c.given(reading(valid_to=at(10)), (1,))
    grant = c.grant(id)
    assert c.use(id, 1, at(9)) is None
    assert c.use(id, 1, at(10)) == "consent_expired" and c.status(id, at(10)) == "EXPD"
    assert c.books.one("select status from consent.consent") == "AUTH"
    assert c.books.one("select consent.expire(1, %s, 100)", at(9)) == 0
    assert c.books.one("select consent.expire(1, %s, 100)", at(10)) == 1
    assert c.books.one("select status from consent.consent") == "EXPD" and c.read(id)["ended_by"] == "time"
    assert c.books.one("select ended_by from oauth.grants where id = %s", grant) == "consent expired"
    assert c.use(id, 1, at(10)) == "consent_expired"


def test_the_clock_is_the_worlds(c):
    c.books.query("update bank.world set clock_offset_ms = 7200000")
    id = c.given(reading(valid_to=at(7210)), (1,))
    grant = c.grant(id)
    assert c.read(id)["created_at"] == at(7200)
    assert c.books.one("select consent.expire(1, %s, 100)", at(9)) == 0
    assert c.books.one("select consent.expire(1, %s, 100)", at(10)) == 1
    # while what is given ends by the clock of the wall
    assert c.books.one("select tb.rfc3339(ended_at) from oauth.grants where id = %s", grant) == at(10)


def test_a_consent_cannot_be_used_before_it_begins(c):
    id = c.given(mandate(valid_from=at(60)))
    assert c.pay(id, 1, when=at(59)) == "consent_pending"
    assert c.pay(id, 1, when=at(60)) == "succeeded"


def test_valid_to_of_the_question_can_only_be_shortened(c):
    assert c.read(c.open(reading(valid_to=at(100)), valid_to=at(50)))["valid_to"] == at(50)
    assert c.read(c.open(reading(valid_to=at(100)), valid_to=at(200)))["valid_to"] == at(100)
    assert "valid_to" not in c.read(c.open(reading()))


# ---- reads ----

def test_a_use_needs_the_app_the_type_and_the_account(c):
    id = c.given(reading(), (1,))
    assert c.use(id, 1) is None and c.use(id) is None
    assert c.use(id, 1, app=OTHER_APP) == "consent_revoked"
    assert c.use(id, 1, types="payment|mandate") == "consent_mismatch"
    assert c.use(id, 3) == "not_found"
    assert c.use("cns_" + id_suffix(99), 1) == "consent_revoked"
    assert len(c.receipts(id)) == 2


def test_every_use_leaves_a_receipt(c):
    id = c.given(reading(), (1,))
    c.use(id, 1, at(5), operation="GET /accounts/v1/accounts/{account_id}")
    receipt, = json.loads(c.books.query("select * from consent.list_receipts(1, %s, %s, null, null, 10)", PARTNER, id)[0]["data"])
    assert receipt == {
        "id": receipt["id"], "object": "receipt", "consent": id, "version": 1, "app": APP, "outcome": "granted",
        "operation": "GET /accounts/v1/accounts/{account_id}", "account": acc(1), "request_id": "req", "created_at": at(5)}


def test_a_frequency_counts_each_operation_and_account_by_the_worlds_day(c):
    id = c.given(reading(frequency_per_day=2), (1, 3))
    before_midnight = "2026-11-23T15:59:59Z"        # in Shanghai
    assert [c.use(id, 1, when) for when in (NOW, before_midnight, before_midnight)] == [None, None, "consent_limit_exceeded"]
    assert c.use(id, 3) is None and c.use(id, 1, operation="GET /b") is None
    assert c.use(id, 1, "2026-11-23T16:00:00Z") is None
    assert len(c.receipts(id)) == 5


@pytest.mark.parametrize("permissions, shown", [
    (["balances"], {"balances"}), (["details"], {"name", "opened_at"}), (["entries"], set()),
    (["balances", "entries", "details"], {"balances", "name", "opened_at"}),
])
def test_a_consent_shows_of_an_account_what_it_permits(c, permissions, shown):
    c.books.post({"debit": 1, "credit": 3, "amount": 5})
    id = c.given(reading(*permissions), (1,))
    account = json.loads(c.books.one("select * from bank.read_account(1, %s, %s, null, %s)", PARTNER, id, acc(1)))
    assert set(account) == {"id", "object", "currency", "state"} | shown
    listed, = json.loads(c.books.query("select * from bank.list_accounts(1, %s, %s, null, null, null, 10)", PARTNER, id)[0]["data"])
    assert listed == account
    rows = c.books.query("select * from bank.list_entries(1, %s, %s, null, %s, null, null, 10)", PARTNER, id, acc(1))
    assert bool(rows) == ("entries" in permissions)
    if rows:
        assert ("balance" in json.loads(rows[0]["data"])[0]) == ("balances" in permissions)


def test_a_consent_opens_its_accounts_and_not_the_partners_own(c):
    c.books.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, PARTNER, acc(3))
    id = c.given(reading(), (1,))
    assert c.books.query("select from bank.read_account(1, %s, %s, null, %s)", PARTNER, id, acc(3)) == []
    assert c.books.query("select from bank.read_account(1, %s, null, null, %s)", PARTNER, acc(1)) == []
    assert c.books.query("select from bank.list_entries(1, %s, %s, null, %s, null, null, 10)", PARTNER, id, acc(3)) == []


def test_the_pages_of_a_consents_accounts_run_both_ways(c):
    id = c.given(reading(), (1, 3, 5))
    page = lambda after, before: c.books.query("select * from bank.list_accounts(1, %s, %s, null, %s, %s, 2)", PARTNER, id, after, before)[0]
    ids = lambda p: [a["id"] for a in json.loads(p["data"])]
    first = page(None, None)
    assert ids(first) == [acc(5), acc(3)] and first["has_more"]
    second = page(first["last"], None)
    assert ids(second) == [acc(1)] and not second["has_more"]
    back = page(None, second["first"])
    assert ids(back) == [acc(5), acc(3)] and not back["has_more"]


# ---- what is read about consents ----

def test_a_partner_reads_its_own_consents_newest_first(c):
    ids = [c.open(payment(debtor=1)), c.given(reading(), (1,)), c.given(mandate())]
    c.open(payment(debtor=1), partner=OTHER, app=OTHER_APP)

    def listed(status=None, type=None, after=None, before=None, n=10, when=NOW):
        row, = c.books.query("select * from consent.list(1, %s, %s, %s, %s, %s, %s, %s)", PARTNER, status, type, after, before, n, when)
        return [o["id"] for o in json.loads(row["data"])], row["has_more"]

    assert listed() == (ids[::-1], False)
    assert listed(n=2) == (ids[:0:-1], True) and listed(after=ids[1], n=2) == ([ids[0]], False)
    assert listed(before=ids[0], n=1) == ([ids[1]], True)
    assert listed("AWAU") == ([ids[0]], False) and listed(type="mandate") == ([ids[2]], False)
    assert listed("EXPD", when=at(3600)) == ([ids[0]], False) and listed("AWAU", when=at(3600)) == ([], False)
    assert c.read(ids[0], partner=OTHER) is None
    assert c.books.query("select from consent.list_receipts(1, %s, %s, null, null, 10)", OTHER, ids[1]) == []


def test_the_limits_of_a_mandate_show_what_is_spent_in_the_period_that_now_is(c):
    id = c.given(mandate(100, [("Month", "Calendar", 250), ("Week", "Consent", 200)]))
    c.pay(id, 70)
    month, week = c.read(id)["limits"]
    assert month == {"period_type": "Month", "period_alignment": "Calendar", "amount": money(250), "spent": money(70),
                     "from": "2026-11-01", "to": "2026-12-01"}
    assert week == {"period_type": "Week", "period_alignment": "Consent", "amount": money(200), "spent": money(70),
                    "from": "2026-11-23", "to": "2026-11-30"}
    assert [limit["spent"]["amount"] for limit in c.read(id, at(day=30))["limits"]] == [70, 0]


def test_a_customer_sees_the_companys_consents_the_undecided_first(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'payment', 2)")
    waiting, given = c.given(payment()), c.given(reading(), (1, 3))
    c.use(given, 1, at(5))
    seen = lambda user: c.books.one("select consent.of_user(1, %s, %s)", user, at(9))
    mine, lans = seen(WEI), seen(LAN)
    assert [o["id"] for o in mine] == [waiting, given]
    assert [o["may_approve"] for o in mine] == [False, False] and [o["may_approve"] for o in lans] == [True, False]
    assert all(o["may_revoke"] for o in mine)
    assert (mine[1]["uses_n"], mine[1]["last_used_at"], mine[1]["app_name"], mine[1]["partner_name"]) == (1, at(5), "App", "partner")
    assert mine[1]["accounts"] == [{"id": acc(n), "name": f"Account {n}", "currency": "CNY"} for n in (1, 3)]
    assert seen(STRANGER) == []
    assert len(c.books.one("select consent.receipts_of_user(1, %s, %s, 10)", LAN, given)) == 1
    assert c.books.one("select consent.receipts_of_user(1, %s, %s, 10)", STRANGER, given) == []
