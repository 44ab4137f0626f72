"""A script only narrows: whatever it decides, and whatever a payload of it looks like, its partner may do no more than without
it. What a customer consented to holds for what the script made of the request."""

import json
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import new_id
from harness.scripted import Scripted, answering, hook
from test_consents import Customer, money
from test_consents import mandate as mandate_of

PAYMENTS = "/e-payment/v1/payments"


# ---- what a customer consented to ----

class Consenting(Scripted):
    """A registered partner with a customer and a script."""

    def __init__(self, sandbox, fapi):
        self.customer = Customer(fapi, sandbox)
        self.sandbox, self.book, self.db = sandbox, self.customer.book, self.customer.db
        self.id = self.one("select partner from bank.app where id = %s", self.customer.client.id)
        self.begin_script()


@pytest.fixture(scope="module")
def consenting(sandbox, fapi):
    return Consenting(sandbox, fapi)


def setting(decision):
    return hook(f'if request.method == "POST" then return {decision} end')


def refused(answer, code):
    assert (answer.status_code, answer.json()["code"]) == (403, code), answer.text


def spent(consenting, consent):
    return consenting.one("select count(*) from e_payment.payment where consent = %s", consent)


@pytest.mark.parametrize("decision", [
    "{ set = { amount = { amount = 1235 } } }",
    "{ set = { amount = { amount = 1, currency = 'CNY' } } }",
    "{ set = { amount = { currency = 'USD' } } }",
    "{ set = { creditor_account = '$other_payee' } }",
    "{ set = { debtor_account = '$other_account' } }",
    "{ route = { account = '$other_account' } }",
    "{ set = { debtor_account = '$granted' }, route = { account = '$other_account' } }",
], ids=lambda decision: decision.translate({ord(c): None for c in "{} "}))
def test_a_payment_stays_within_its_consent(consenting, decision):
    customer = consenting.customer
    token, _, id = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(1234),
                                     "debtor_account": customer.accounts[0]})
    names = {"$other_payee": customer.other_payee, "$other_account": customer.accounts[1], "$granted": customer.accounts[0]}
    for name, value in names.items():
        decision = decision.replace(name, value)
    consenting.activate(setting(decision))
    refused(customer.pay(token, 1234), "consent_mismatch")
    assert spent(consenting, id) == 0
    consenting.activate("return {}")
    paid = customer.pay(token, 1234)
    assert paid.status_code == 201 and paid.json()["amount"] == money(1234), "the refusal used nothing up"


def test_a_script_cannot_unbind_a_payment_from_its_consent(consenting):
    customer = consenting.customer
    token, _, id = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(55)})
    for member in ("consent", "partner", "app", "book", "state", "channel"):
        consenting.activate(setting(f"{{ set = {{ {member} = 'x' }} }}"))
        assert_problem(customer.pay(token, 55), 422, "invalid_body")
    consenting.activate(setting("{ route = { channel = 'own', variant = 'other', adapter = 'other_bank' } }"))
    paid = customer.pay(token, 55)
    assert paid.status_code == 201 and paid.json()["consent"] == id and paid.json()["creditor_account"] == customer.payee
    refused(customer.pay(token, 55), "consent_consumed")


def test_a_mandate_counts_what_the_script_made_of_the_payment(consenting):
    customer = consenting.customer
    token, _, id = customer.consent(mandate_of(1000, ("Month", 2000)))
    consenting.activate(setting("{ set = { amount = { amount = request.body.amount.amount * 10 } } }"))
    assert customer.pay(token, 100).json()["amount"] == money(1000)
    refused(customer.pay(token, 101), "consent_limit_exceeded")
    assert customer.pay(token, 100).status_code == 201
    refused(customer.pay(token, 1), "consent_limit_exceeded")
    assert spent(consenting, id) == 2


# ---- what is another's ----

def test_no_decision_reaches_what_the_partner_may_not_debit(sandbox):
    other = Scripted(sandbox)
    it = Scripted(sandbox)
    for account in (other.a, sandbox.debtor, new_id("acc"), "acc_", "x", ""):
        for decision in (f"{{ route = {{ account = '{account}' }} }}", f"{{ set = {{ debtor_account = '{account}' }} }}"):
            it.activate(hook(f'if request.method == "POST" then return {decision} end'))
            answer = it.pay()
            assert answer.status_code == 422 and answer.json()["code"] in ("unknown_account", "invalid_body"), (decision, answer.text)
    assert other.http.balance(other.a) == 1_000_000 and it.http.balance(it.a) == 1_000_000


def test_a_script_gives_no_scope(sandbox):
    it = Scripted(sandbox, hook("return { set = { scopes = { 'e-payment:write' } }, route = { channel = 'e-payment' } }"))
    with it.client(scope="accounts:read") as reader:
        assert_problem(reader.post(PAYMENTS, {}), 403, "insufficient_scope")
        assert reader.get("/accounts/v1/accounts").status_code == 200


def test_what_a_script_denies_with_is_always_a_denial(sandbox):
    """The code of the problem is the gateway's; the script's own stands inside, and nothing of it is markup or a header."""
    it = Scripted(sandbox, hook(r"""return { deny = { code = "consent_consumed", detail = 'x"}\r\nset-cookie: a=b <script>' } }"""))
    answer = it.pay()
    problem = assert_problem(answer, 403, "script_denied")
    assert problem["script"]["code"] == "consent_consumed" and problem["script"]["detail"].startswith('x"}\r\nset-cookie')
    assert "set-cookie" not in answer.headers and answer.headers["content-type"] == "application/problem+json"
    assert problem["title"] and problem["type"].endswith("script_denied")


@pytest.mark.parametrize("decision", [
    r"{ deny = { code = 'no\n' } }", "{ deny = { code = 'script_failed\\0' } }", "{ deny = { code = 'x', detail = ('y'):rep(201) } }",
    "{ deny = { code = 'x', status = 200 } }", "{ deny = { code = 'x', type = 'https://elsewhere.example/' } }",
    r"{ route = { channel = 'a\n' } }", r"{ route = { channel = 'a\r\nx-evil: 1' } }", "{ route = { channel = '../x' } }",
    "{ route = { account = ('x'):rep(65) } }", "{ note = ('x'):rep(201) }", "{ approvals = 6 }", "{ approvals = 1.5 }",
    "{ limit = { name = 'x', quota = 100000001, window_s = 1 } }", "{ limit = { name = 'x', quota = 2^53, window_s = 86400 } }",
    "{ limit = { name = 'x', quota = -1, window_s = 1 } }", "{ limit = { name = 'x', quota = 1, window_s = 86401 } }",
    "{ limit = { name = 'x', quota = 1.5, window_s = 1 } }", "{ limit = { name = 'an_endless_name_', quota = 1, window_s = 1 } }",
    "{ limit = { name = 'x', quota = 1/0, window_s = 1 } }", "{ limit = {} }",
])
def test_a_decision_out_of_its_range_is_a_failure_that_says_so(sandbox, decision):
    it = Scripted(sandbox, hook(f"return {decision}"))
    answer = it.pay()
    assert_problem(answer, 403, "script_failed")
    trace = it.trace(answer, operator=True)["scripts"][0]
    assert trace["verdict"] == "answer" and len(trace["why"]) > 10, trace


def test_the_largest_limit_is_one(sandbox):
    it = Scripted(sandbox, hook("return { limit = { name = 'fifteen_letters', quota = 100000000, window_s = 1 } }"))
    assert it.pay().status_code == 201


def test_a_script_has_few_names_for_its_limits(sandbox):
    """Each is a bucket of the memory that all partners' limits share."""
    it = Scripted(sandbox, hook("""
        return { limit = { name = "n" .. request.query.limit, quota = 1000, window_s = 86400 } }"""))
    answers = [it.http.get("/accounts/v1/accounts", params={"limit": 1 + n % 10}) for n in range(20)]
    assert [a.status_code for a in answers] == ([200] * 8 + [403] * 2) * 2
    assert "more than 8 names" in it.trace(answers[9], operator=True)["scripts"][0]["why"]
    it.activate(hook("return { limit = { name = 'other', quota = 1000, window_s = 86400 } }"))
    assert it.http.get("/accounts/v1/accounts").status_code == 200, "an activation begins anew"


# ---- answers ----

@pytest.mark.parametrize("path", [
    "//elsewhere.example/x", "/\\\\elsewhere.example", "https://elsewhere.example/", "javascript:alert(1)", "", "x",
    "/x\\n", "/x\\r\\nset-cookie: a=b", "/x>; rel=\\\"next", "/" + "x" * 256, "/%0d%0aset-cookie:%20a=b\\n", "/ü",
])
def test_a_link_stays_on_this_host_and_in_its_header(sandbox, path):
    it = Scripted(sandbox, answering(f'return {{ links = {{ help = "{path}" }} }}'))
    answer = it.http.get("/accounts/v1/accounts")
    assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert not any("help" in link for link in answer.headers.get_list("link"))
    assert it.trace(answer)["scripts"][0]["verdict"] == "answer"


@pytest.mark.parametrize("name", ["a b", 'a"', "a\\n", "https://elsewhere.example/rel", "", "A", "a;title=x", "x" * 41])
def test_a_relation_is_a_plain_word(sandbox, name):
    it = Scripted(sandbox, answering(f"return {{ links = {{ [\"{name.replace(chr(34), chr(92) + chr(34))}\"] = '/help' }} }}"))
    answer = it.http.get("/accounts/v1/accounts")
    assert it.trace(answer)["scripts"][0]["verdict"] == "answer" and "/help" not in str(answer.headers.get_list("link"))


def test_links_are_few(sandbox):
    it = Scripted(sandbox, answering("local l = {} for i = 1, 9 do l['l' .. i] = '/x' end return { links = l }"))
    answer = it.http.get("/accounts/v1/accounts")
    assert it.trace(answer)["scripts"][0]["verdict"] == "answer" and "link" not in answer.headers


@pytest.mark.parametrize("decision", [
    "{ set = { created_at = '2020-01-01T00:00:00.000Z' } }",
    "{ set = { amount = { currency = 'USD' } } }",
    "{ set = { consent = 'cns_x' } }",
    "{ set = { refunded = { amount = 5, currency = 'CNY' } } }",
    "{ set = { failure = { code = 'funds' } } }",
    "{ status = 500 }", "{ headers = { ['set-cookie'] = 'a=b' } }", "{ body = {} }",
    "{ redact = { '/id' } }", "{ redact = { '/state' } }", "{ redact = { '' } }", "{ redact = { '/' } }", "{ redact = { 'purpose' } }",
], ids=lambda decision: decision.translate({ord(c): None for c in "{} "}))
def test_an_answer_says_what_was_done(sandbox, decision):
    it = Scripted(sandbox, answering(f"if request.method == 'POST' then return {decision} end"))
    answer = it.pay(321)
    assert answer.status_code == 201
    assert it.trace(answer)["scripts"][0]["verdict"] == "answer", answer.text
    assert it.http.get(f"{PAYMENTS}/{answer.json()['id']}").json() == answer.json()
    assert "set-cookie" not in answer.headers


def test_a_huge_text_makes_no_huge_answer(sandbox):
    it = Scripted(sandbox, answering("return { set = { metadata = { x = ('y'):rep(500000) } } }"))
    answer = it.pay()
    assert answer.status_code == 201 and len(answer.content) < 2000
    assert it.trace(answer)["scripts"][0]["verdict"] in ("answer", "memory", "error")


def test_a_body_that_a_script_blew_up_is_refused(sandbox):
    it = Scripted(sandbox, hook("if request.method == 'POST' then return { set = { purpose = ('y'):rep(300000) } } end"))
    answer = it.pay()
    assert answer.status_code in (403, 422) and answer.json()["code"] in ("invalid_body", "script_failed"), answer.text
    it.activate(hook("""local m = {} for i = 1, 5000 do m['k' .. i] = 'v' end
                        if request.method == 'POST' then return { set = { metadata = m } } end"""))
    answer = it.pay()
    assert answer.status_code in (403, 422), answer.text


def test_a_deep_patch_is_no_fault_of_the_gateway(sandbox):
    it = Scripted(sandbox, hook("""
        local deep = {} local at = deep
        for i = 1, 28 do at.x = {} at = at.x end
        if request.method == "POST" then return { set = { metadata = deep } } end"""))
    answer = it.pay()
    assert answer.status_code in (403, 422), answer.text


def test_a_denial_is_told_in_the_callers_json_however_it_is_written(sandbox):
    it = Scripted(sandbox, hook("return { deny = { code = 'x', detail = '\\1\\31\\127\"\\\\' } }"))
    problem = assert_problem(it.pay(key=str(uuid.uuid4())), 403, "script_denied")
    assert problem["script"]["detail"] == "\x01\x1f\x7f\"\\" and json.dumps(problem)
