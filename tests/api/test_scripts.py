"""Partners' scripts in the way of their requests: what they may decide, what becomes of a request when they fail, and that they
never hide or change what was done. Scripts are put straight into the books."""

import time
import uuid

import pytest

from harness.sandbox import wait_until
from harness.client import assert_problem
from harness.partner import Partner, new_id
from harness.scripted import KNOWN_WITHIN_S, SETTLE, Scripted, answering, await_workers, hook

PAYMENTS = "/e-payment/v1/payments"


# ---- deciding ----

def test_a_script_denies_and_says_why(sandbox):
    it = Scripted(sandbox, hook("""
        if request.method == "POST" and request.body.amount.amount > 5000 then
            return { deny = { code = "above_limit", detail = "at most 50.00" } }
        end"""))
    assert it.pay(5000).status_code == 201
    refused = it.pay(5001)
    problem = assert_problem(refused, 403, "script_denied")
    assert problem["script"] == {"code": "above_limit", "detail": "at most 50.00"}
    assert it.http.balance(it.b) == 1_000_000 + 5000
    trace = it.trace(refused)
    assert trace["refused_by"] == "script:before"
    assert trace["scripts"][0]["verdict"] == "deny" and trace["scripts"][0]["version"] == 1


def test_a_script_sees_a_copy_of_the_request_and_no_secret(sandbox):
    it = Scripted(sandbox, hook("""
        local seen = {}
        for name in pairs(request) do seen[#seen + 1] = name end
        for name in pairs(request.headers) do seen[#seen + 1] = "headers." .. name end
        table.sort(seen)
        request.body.amount.amount = 1
        return { set = { metadata = { seen = table.concat(seen, " "), route = request.route, now = request.world_time,
                                      scopes = request.scopes[1], product = request.product } } }"""))
    payment = it.pay(777).json()
    assert payment["amount"]["amount"] == 777, "its copy is its own"
    assert payment["metadata"]["seen"] == ("app body environment headers headers.content-type id method params partner path "
                                           "product query route scopes world_time")
    assert payment["metadata"]["route"] == "POST " + PAYMENTS and payment["metadata"]["product"] == "e-payment"


def test_what_a_script_sets_is_checked_like_any_body(sandbox):
    it = Scripted(sandbox, hook("""
        local body = request.body
        if body and body.betrag then
            return { set = { betrag = tb.null, amount = { amount = body.betrag, currency = "CNY" },
                             purpose = request.body.purpose or "mapped" } }
        end"""))
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": it.a, "creditor_account": it.b, "betrag": 4200}
    answer = it.http.post(PAYMENTS, body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["amount"] == {"amount": 4200, "currency": "CNY"} and answer.json()["purpose"] == "mapped"
    problem = assert_problem(it.http.post(PAYMENTS, {**body, "reference": "T-2", "betrag": "much"}), 422, "invalid_body")
    assert any(place["pointer"] == "/amount/amount" for place in problem["errors"])


def test_a_script_routes(sandbox):
    it = Scripted(sandbox, hook("""
        if request.method == "POST" then
            return { route = { channel = request.body.amount.amount > 1000 and "large" or "small",
                               account = request.body.metadata and request.body.metadata.from }, note = "by amount" }
        end"""))
    small = it.pay(1000).json()
    large = it.pay(1001)
    assert (small["channel"], large.json()["channel"]) == ("small", "large")
    assert it.http.get(f"{PAYMENTS}/{small['id']}").json()["channel"] == "small"
    assert it.trace(large)["scripts"][0]["note"] == "by amount"
    other = it.account()
    assert it.pay(10, metadata={"from": other}).json()["debtor_account"] == other
    assert_problem(it.pay(10, metadata={"from": sandbox.debtor}), 422, "unknown_account")


def test_a_script_tightens_a_limit_and_takes_nothing_from_the_agreed_ones(sandbox):
    it = Scripted(sandbox, hook('return { limit = { name = "test", quota = 3, window_s = 3600 } }'))
    answers = [it.http.get("/accounts/v1/accounts") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    problem = assert_problem_limited(answers[3])
    assert problem["violated-policies"] == ["test"]
    assert int(answers[3].headers["retry-after"]) > 1000
    it.activate("return {}")
    left = it.http.get("/accounts/v1/accounts").headers["ratelimit"]
    assert int(left.split("r=")[1].split(";")[0]) > 10**9 - 10


def assert_problem_limited(answer):
    assert answer.status_code == 429, answer.text
    problem = answer.json()
    assert problem["code"] == "rate_limited"
    return problem


def test_approvals_are_asked_for_where_somebody_can_give_them(sandbox):
    it = Scripted(sandbox, hook('if request.method == "POST" then return { approvals = 2 } end'))
    assert "no consent" in assert_problem(it.pay(), 403, "approvals_required")["detail"]
    assert it.http.get("/accounts/v1/accounts").status_code == 200


def test_approvals_of_a_consent_are_counted(sandbox, fapi):
    from test_consents import Customer, mandate
    customer = Customer(fapi, sandbox)
    token, _, consent = customer.consent(mandate(1000, ("Month", 5000)))
    partner = customer.rows("select partner from consent.consent where id = %s", consent)[0][0]
    script = new_id("scr", customer.book)
    customer.rows("insert into script.script (generation, book, id, partner, created_at) values (0, %s, %s, %s, now())",
                  customer.book, script, partner)
    for version, status in ((1, 201), (2, 403)):
        source = hook(f'if request.method == "POST" and request.consent then return {{ approvals = {version} }} end')
        customer.rows("insert into script.version (book, script, version, created_at, digest, author, reviewer, state, source)"
                      " values (%s, %s, %s, now(), sha256(convert_to(%s, 'UTF8')), 'a', 'b', 'reviewed', %s)",
                      customer.book, script, version, source, source)
        [(generation,)] = customer.rows("select script.point(%s, %s, %s, null, 100, 'deny', 'skip', 'activate', 'b', now())",
                                        customer.book, script, version)
        customer.rows(SETTLE, customer.book, script)
        await_workers(sandbox, generation)
        answer = customer.pay(token, 10)
        assert answer.status_code == status, answer.text
    assert "1 of the 2 approvals" in assert_problem(answer, 403, "approvals_required")["detail"]


@pytest.mark.parametrize("decision", [
    "{ deny = {} }", "{ allow = true }", "{ deny = { code = 'No' } }", "'deny'", "{ set = 'x' }",
    "{ limit = { name = 'x', quota = 0, window_s = 1 } }", "{ approvals = 0 }", "{ route = { path = '/x' } }", "{ 1, 2 }",
])
def test_a_decision_that_no_script_may_take_is_a_failure(sandbox, decision):
    it = Scripted(sandbox, hook(f"return {decision}"))
    assert "answer" in assert_problem(it.pay(), 403, "script_failed")["detail"]


# ---- answers ----

def test_a_script_shapes_the_answer_and_not_what_is_kept_of_it(sandbox):
    it = Scripted(sandbox, answering("""
        if request.method ~= "POST" then return end
        return { set = { purpose = "shaped", metadata = { status = tostring(response.status) } }, redact = { "/channel" },
                 links = { receipt = "/receipts/" .. response.body.id } }"""))
    answer = it.pay()
    assert answer.status_code == 201, answer.text
    assert answer.json()["purpose"] == "shaped" and answer.json()["metadata"] == {"status": "201"}
    assert f'</receipts/{answer.json()["id"]}>; rel="receipt"' in answer.headers.get_list("link")
    assert it.http.get(f"{PAYMENTS}/{answer.json()['id']}").json()["purpose"] == "goods"
    assert it.trace(answer)["scripts"][0] | {"cpu_microseconds": 0} == {
        "hook": "on_response", "version": 1, "verdict": "change", "cpu_microseconds": 0, "lookups": 0}


def test_a_pointer_with_a_star_reaches_every_element(sandbox):
    it = Scripted(sandbox, answering('return { redact = { "/data/*/purpose", "/nothing/here" } }'))
    for _ in range(3):
        assert it.pay().json()["purpose"] == "goods"
    page = it.http.get(PAYMENTS).json()
    assert len(page["data"]) == 3 and all("purpose" not in payment for payment in page["data"])


@pytest.mark.parametrize("decision", [
    "{ set = { amount = { amount = 1 } } }",
    "{ set = { id = 'pay_01' } }",
    "{ set = { debtor_account = response.body.creditor_account } }",
    "{ set = { state = 'failed' } }",
    "{ set = { refunded = tb.null } }",
    "{ set = { amount = 'much' } }",
    "{ redact = { '/amount' } }",
    "{ redact = { '/amount/amount' } }",
    "{ set = { purpose = ('x'):rep(500) } }",
    "{ links = { ['a\\r\\nset-cookie: x'] = '/x' } }",
    "{ links = { a = 'https://elsewhere.example/' } }",
])
def test_what_was_done_cannot_be_told_otherwise(sandbox, decision):
    it = Scripted(sandbox, answering(f"if request.method == 'POST' then return {decision} end"))
    answer = it.pay(321)
    assert answer.status_code == 201 and answer.json()["amount"]["amount"] == 321
    stored = it.http.get(f"{PAYMENTS}/{answer.json()['id']}").json()
    assert stored == answer.json()
    assert it.trace(answer)["scripts"][0]["verdict"] == "answer"


def test_problems_are_not_shaped(sandbox):
    it = Scripted(sandbox, answering("error('called')"))
    missing = it.http.get(f"{PAYMENTS}/{new_id('pay')}")
    assert_problem(missing, 404, "not_found")
    assert "scripts" not in it.trace(missing)


# ---- failing ----

FAILURES = [
    ("error('no')", "error"), ("local x = nil; return x.y", "error"), ("while true do end", "budget"),
    ("local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end", "memory"), ("return { f = print or error }", "answer"),
    ("return function() end", "answer"),
]


@pytest.mark.parametrize("body, ended", FAILURES)
def test_a_failing_script_follows_its_policy(sandbox, body, ended):
    it = Scripted(sandbox, hook(body))
    refused = it.pay()
    detail = assert_problem(refused, 403, "script_failed")["detail"]
    said = it.trace(refused)["scripts"][0]["why"]
    assert f"did not decide: {ended}: {said}" in detail, "in a sandbox the answer says it, too"
    assert ended != "error" or "script:1: " in said, "with the line"
    assert it.trace(refused, operator=True)["scripts"][0]["why"] == said
    wait_until(it.failures, 2, "the failure is written down")
    assert it.failures()[0][:2] == ("on_request", ended)
    it.point(1, on_request="allow")
    it.await_workers()
    answer = it.pay()
    assert answer.status_code == 201
    assert it.trace(answer)["scripts"][0]["verdict"] == ended


def test_a_script_that_trips_over_a_wrong_body_leaves_it_to_the_schema(sandbox):
    it = Scripted(sandbox, hook("return request.body.amount.amount > 1 and { note = 'much' } or nil"))
    answer = it.http.post(PAYMENTS, {"reference": "R"}, key=new_id("key"))
    assert "/amount" in {place["pointer"] for place in assert_problem(answer, 422, "invalid_body")["errors"]}
    assert it.trace(answer)["scripts"][0]["verdict"] == "error"
    assert it.pay().status_code == 201


@pytest.mark.parametrize("body, ended", FAILURES)
def test_a_script_that_fails_on_the_answer_undoes_nothing(sandbox, body, ended):
    it = Scripted(sandbox, answering(f"if request.method == 'POST' then {body} end"))
    answer = it.pay(55)
    assert answer.status_code == 201 and answer.json()["state"] == "succeeded"
    assert it.trace(answer)["scripts"][0]["verdict"] == ended
    it.point(1, on_response="withhold")
    it.await_workers()
    key = str(uuid.uuid4())
    reference = f"T-{uuid.uuid4()}"
    assert_problem(it.pay(66, key=key, reference=reference), 502, "answer_withheld")
    assert it.http.balance(it.b) == 1_000_000 + 55 + 66, "it was done, once"
    it.activate("return {}")
    again = it.pay(66, key=key, reference=reference)
    assert again.status_code == 201 and again.headers["idempotency-replayed"] == "true"
    assert it.http.balance(it.b) == 1_000_000 + 55 + 66


def test_a_script_that_wants_more_memory_than_a_request_has_fails_alone(sandbox):
    it = Scripted(sandbox, answering("""
        if request.method ~= "POST" then return end
        local many = {}
        for i = 1, 4000 do many[i] = "x" .. i end
        for i = 1, 16 do tb.lookup("t", ("k"):rep(60000) .. i) end
        return { set = { metadata = many } }"""))
    answer = it.pay(70)
    assert answer.status_code == 201 and answer.json()["amount"]["amount"] == 70
    assert it.trace(answer)["scripts"][0]["verdict"] in ("answer", "memory", "ended")
    assert it.http.balance(it.b) == 1_000_000 + 70


def test_a_text_that_cannot_be_read_is_a_failure(sandbox):
    it = Scripted(sandbox, "\nthis is not Lua")
    assert "script:2: " in assert_problem(it.pay(), 403, "script_failed")["detail"]
    assert it.failures() or wait_until(it.failures, 2, "the failure is written down")


def test_a_script_that_keeps_failing_is_left_alone_for_a_while(sandbox):
    it = Scripted(sandbox, hook("error('always')"))
    for _ in range(20):
        assert_problem(it.http.get("/accounts/v1/accounts"), 403, "script_failed")
    off = it.http.get("/accounts/v1/accounts")
    assert "turned off" in assert_problem(off, 403, "script_failed")["detail"]
    assert it.trace(off)["scripts"][0]["verdict"] == "off"
    told = wait_until(lambda: it.one("select times from script.breaker where script = %s", it.script), 2, "the books know")
    assert told == 1
    it.activate("return {}")
    assert it.http.get("/accounts/v1/accounts").status_code == 200, "what is new has not failed yet"


def test_failing_now_and_then_turns_nothing_off(sandbox):
    it = Scripted(sandbox, hook("if request.query.limit == '1' then error('one') end"))
    for i in range(60):
        answer = it.http.get("/accounts/v1/accounts", params={"limit": 1 if i % 3 == 0 else 2})
        assert answer.status_code == (403 if i % 3 == 0 else 200)
        assert it.one("select 1 from script.breaker where script = %s", it.script) is None


# ---- keys ----

def test_a_repeated_key_gets_its_answer_whatever_the_script_says_now(sandbox):
    it = Scripted(sandbox, "return {}")
    key, reference = str(uuid.uuid4()), f"T-{uuid.uuid4()}"
    first = it.pay(10, key=key, reference=reference)
    for source in (hook('return { deny = { code = "no" } }'), hook("error('x')"), hook("return { approvals = 3 }"),
                   hook("return { set = { amount = { amount = 99 } } }"), hook("return { set = { amount = 'broken' } }"),
                   hook('return { limit = { name = "l", quota = 1, window_s = 3600 } }')):
        it.activate(source)
        for _ in range(2):
            again = it.pay(10, key=key, reference=reference)
            assert again.status_code == 201 and again.headers["idempotency-replayed"] == "true", (source, again.text)
            assert again.text == first.text
        reused = it.pay(11, key=key, reference=reference)
        assert_problem(reused, 422, "idempotency_key_reused")
    it.activate("return {}")
    assert it.http.balance(it.b) == 1_000_000 + 10


def test_a_mapped_body_is_the_same_request_when_the_mapping_is_gone(sandbox):
    it = Scripted(sandbox, hook("""
        if request.body and request.body.betrag then
            return { set = { betrag = tb.null, amount = { amount = request.body.betrag, currency = "CNY" } } }
        end"""))
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": it.a, "creditor_account": it.b, "betrag": 4200}
    key = str(uuid.uuid4())
    first = it.http.post(PAYMENTS, body, key=key)
    assert first.status_code == 201
    it.activate("return {}")
    again = it.http.post(PAYMENTS, body, key=key)
    assert again.status_code == 201 and again.text == first.text, again.text
    assert_problem(it.http.post(PAYMENTS, body), 422, "invalid_body")


# ---- versions ----

def test_activation_and_rollback_count_on_every_worker_within_half_a_second(sandbox):
    it = Scripted(sandbox)
    clients = [it.client() for _ in range(8)]  # spread over the workers
    one, two = it.push("return {}"), it.push(hook('return { deny = { code = "off" } }'))
    it.point(one)
    it.await_workers()
    for version, previous, kind, status in ((two, one, "activate", 403), (one, None, "rollback", 200),
                                            (two, one, "activate", 403), (None, None, "stop", 200)):
        it.point(version, previous, kind=kind)
        time.sleep(max(0, it.pointed_at + KNOWN_WITHIN_S - time.monotonic()))
        assert [client.get("/accounts/v1/accounts").status_code for client in clients] == [status] * 8


def test_a_canary_meets_its_share_of_the_requests(sandbox):
    it = Scripted(sandbox)
    old, new = it.push(hook('return { note = "old" }')), it.push(hook('return { deny = { code = "new" } }'))
    it.point(new, old, canary=20)
    it.await_workers()
    codes = [it.http.get("/accounts/v1/accounts").status_code for _ in range(400)]
    assert 40 <= codes.count(403) <= 120, codes.count(403)
    name = str(uuid.uuid4())
    same = {it.http.get("/accounts/v1/accounts", headers={"x-request-id": name}).status_code for _ in range(10)}
    assert len(same) == 1, "the same request meets the same version"


# ---- whom it concerns ----

def test_a_script_concerns_its_partner_alone(sandbox):
    it = Scripted(sandbox, hook('return { deny = { code = "mine" } }'))
    other = Partner(sandbox, "Neighbour")
    with other.client() as theirs:
        assert theirs.get("/accounts/v1/accounts").status_code == 200
    assert it.http.get("/accounts/v1/accounts").status_code == 403
    elsewhere = Partner(sandbox, "Elsewhere", book=77)
    with elsewhere.client() as theirs:
        assert theirs.get("/accounts/v1/accounts").status_code == 200


def test_tokens_traces_and_open_pages_are_beyond_a_script(sandbox, anyone):
    it = Scripted(sandbox, hook('return { deny = { code = "all" } }'))
    refused = it.http.get("/accounts/v1/accounts")
    assert it.http.get(f"/traces/v1/traces/{refused.headers['x-request-id']}").status_code == 200
    assert anyone.get("/healthz").status_code == 200 and it.http.get("/readyz").status_code == 200
    assert it.token()


def test_a_script_widens_nothing(sandbox):
    it = Scripted(sandbox, hook("return { set = { debtor_account = '" + sandbox.debtor + "' } }"), entitlements=[("e-payment", "")])
    assert_problem(it.http.get("/accounts/v1/accounts"), 403, "not_entitled")
    assert_problem(it.pay(), 422, "unknown_account")


# ---- tables ----

def test_a_script_looks_into_its_partners_tables_and_no_others(sandbox):
    source = hook("""
        local entry = tb.lookup("payees", request.body and request.body.creditor_account or "none")
        if request.method == "POST" and not entry then return { deny = { code = "unknown_payee" } } end
        if entry then return { route = { channel = entry.channel } } end""")
    it, other = Scripted(sandbox, source), Scripted(sandbox, source)
    assert_problem(it.pay(), 403, "script_denied")
    it.put("payees", it.b, '{"channel": "rail"}')
    paid = it.pay()
    assert paid.status_code == 201 and paid.json()["channel"] == "rail"
    assert it.trace(paid)["scripts"][0]["lookups"] == 1
    assert_problem(other.http.pay(other.a, it.b, 100), 403, "script_denied")


@pytest.mark.parametrize("name", ["('x'):rep(5000)", "'a\\0b'", "'\\255'", "''", "\"'; drop table script.entry\""])
def test_no_name_of_an_entry_breaks_the_lookup(sandbox, name):
    it = Scripted(sandbox, hook(f"return {{ note = tostring(tb.lookup('t', {name})) .. tostring(tb.lookup({name}, 'k')) }}"))
    answer = it.http.get("/accounts/v1/accounts")
    assert answer.status_code == 200, answer.text
    assert it.trace(answer)["scripts"][0]["note"] == "nilnil"


def test_a_lookup_on_the_answer_is_waited_for(sandbox):
    it = Scripted(sandbox, answering("return { links = { help = tb.lookup('links', 'help').path } }"))
    it.put("links", "help", '{"path": "/help"}')
    assert it.http.get("/accounts/v1/accounts").headers["link"] == '</help>; rel="help"'


def test_calls_are_counted(sandbox):
    it = Scripted(sandbox, hook("error('x')"))
    names = ("tongbao_script_calls_total", "tongbao_script_errors_total", "tongbao_script_denied_total")
    before = [sandbox.metric(name) for name in names]
    it.pay()
    assert [sandbox.metric(name) - was for name, was in zip(names, before)] == [1, 1, 1]
