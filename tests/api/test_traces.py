"""The decision trace: why a request was refused, for the partner whose request it was and for nobody else."""

import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner

PAYMENTS = "/e-payment/v1/payments"
PING = "/example/v1/ping"
STAGES = ["admit", "route", "authenticate", "constrain", "entitle", "limit", "query", "body", "script:before", "schema",
          "consent", "idempotency", "handler", "script:after", "reply"]


@pytest.fixture(scope="module")
def theirs(sandbox):
    with Partner(sandbox, "Traces' other partner").client() as client:
        yield client


def trace_of(client, answer):
    got = client.get(f"/traces/v1/traces/{answer.headers['x-request-id']}")
    assert got.status_code == 200, got.text
    trace = got.json()
    assert trace["object"] == "trace" and trace["request_id"] == answer.headers["x-request-id"]
    assert trace["status"] == answer.status_code
    assert all(isinstance(s["microseconds"], float) and s["microseconds"] >= 0 for s in trace["stages"])
    return trace


def test_a_served_request_passed_every_stage(api):
    trace = trace_of(api, api.get(PING))
    assert trace["operation"] == "GET /example/v1/ping"
    assert [(s["stage"], s["verdict"]) for s in trace["stages"]] == [(name, "pass") for name in STAGES]
    assert "refused_by" not in trace and "why" not in trace


@pytest.mark.parametrize("stage, method, path, body, headers", [
    ("query", "GET", PAYMENTS + "?limit=0", None, {}),
    ("body", "POST", PAYMENTS, "{", {"content-type": "application/json"}),
    ("body", "POST", PAYMENTS, "{}", {"content-type": "text/plain"}),
    ("schema", "POST", PAYMENTS, "{}", {"content-type": "application/json"}),
    ("handler", "GET", PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd", None, {}),
    ("handler", "GET", PAYMENTS + "?starting_after=x", None, {}),
], ids=["parameter", "no JSON", "media type", "schema", "not found", "cursor"])
def test_a_refusal_names_its_stage_and_says_why(api, stage, method, path, body, headers):
    answer = api.http.request(method, path, content=body, headers=headers)
    trace = trace_of(api, answer)
    assert trace["refused_by"] == stage
    assert answer.json()["detail"].startswith(trace["why"]) and trace["why"]
    assert [s["stage"] for s in trace["stages"]] == STAGES[:STAGES.index(stage) + 1]
    assert [s["verdict"] for s in trace["stages"]] == ["pass"] * STAGES.index(stage) + ["refuse"]
    assert answer.json()["trace"] == answer.headers["x-request-id"]


def test_a_missing_key_is_seen_where_it_is_asked_for(api, sandbox):
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": sandbox.debtor, "creditor_account": sandbox.creditor,
            "amount": {"amount": 1, "currency": "CNY"}}
    assert trace_of(api, api.post(PAYMENTS, body, key=None))["refused_by"] == "idempotency"


def test_a_missing_scope_is_seen_by_its_partner(api, sandbox):
    with sandbox.client(sandbox.cli("token", "--scope", "accounts:read").strip()) as client:
        answer = client.get(PING)
    trace = trace_of(api, answer)
    assert trace["refused_by"] == "entitle" and "example:read" in trace["why"]


def test_a_used_up_limit_is_seen_by_its_partner(sandbox):
    partner = Partner(sandbox, "Traces' limited partner", limits=[("example", "GET /example/v1/ping", "once", 1, 60_000)])
    with partner.client() as client:
        answers = [client.get(PING) for _ in range(2)]
        assert_problem_of_limit(answers[1])
        assert trace_of(client, answers[1])["refused_by"] == "limit"


def assert_problem_of_limit(answer):
    assert answer.status_code == 429 and answer.json()["code"] == "rate_limited"


def test_a_trace_is_found_from_any_worker(sandbox, api):
    answer = api.get(PING)
    for _ in range(8):  # a connection each, so that other workers are asked, too
        with sandbox.client() as client:
            trace_of(client, answer)


def test_another_partner_does_not_see_it(api, theirs):
    answer = api.get(PING)
    stranger = assert_problem(theirs.get(f"/traces/v1/traces/{answer.headers['x-request-id']}"), 404, "not_found")
    nobody = assert_problem(theirs.get(f"/traces/v1/traces/{uuid.uuid4()}"), 404, "not_found")
    assert stranger["detail"] == nobody["detail"]


def test_a_request_without_a_partner_is_seen_by_no_partner(api, anyone):
    answer = anyone.get(PING, headers={"authorization": "Bearer x"})
    assert_problem(api.get(f"/traces/v1/traces/{answer.headers['x-request-id']}"), 404, "not_found")


def test_why_a_token_is_bad_is_told_to_nobody(api, anyone, sandbox):
    answer = anyone.get(PING, headers={"authorization": f"Bearer {sandbox.token[:-2]}AA"})
    assert "signature" not in answer.text
    assert_problem(api.get(f"/traces/v1/traces/{answer.headers['x-request-id']}"), 404, "not_found")


def test_traces_need_their_scope(sandbox, api):
    answer = api.get(PING)
    with sandbox.client(sandbox.cli("token", "--scope", "example:read").strip()) as client:
        assert_problem(client.get(f"/traces/v1/traces/{answer.headers['x-request-id']}"), 403, "insufficient_scope")


def test_a_name_used_twice_shows_the_newer(api):
    name = str(uuid.uuid4())
    api.get(PING, headers={"x-request-id": name})
    api.get(PAYMENTS + "?limit=0", headers={"x-request-id": name})
    assert api.get(f"/traces/v1/traces/{name}").json()["refused_by"] == "query"


def test_the_operator_alone_reads_why_a_token_was_refused(api, anyone):
    refused = anyone.get(PING, headers={"Authorization": "Bearer not-a-token"})
    assert refused.status_code == 401
    request_id = refused.headers["x-request-id"]
    assert_problem(api.get(f"/traces/v1/traces/{request_id}"), 404, "not_found")
    whole = anyone.get(f"/operator/traces/{request_id}")
    assert whole.status_code == 200, whole.text
    assert whole.json()["refused_by"] == "authenticate" and whole.json()["cause"] != ""
    assert whole.json()["cause"] not in refused.text


def test_the_type_of_a_problem_leads_to_its_meaning(anyone):
    problem = anyone.get(PING).json()
    meaning = anyone.get("/problems/" + problem["type"].rsplit("/", 1)[1])
    assert meaning.status_code == 200
    assert meaning.json()["code"] == problem["code"] and meaning.json()["remedy"]
    assert_problem(anyone.get("/problems/no_such_code"), 404, "not_found")


# ---- the operator's view ----

@pytest.mark.parametrize("token, cause", [("x.y.z", "not exact base64url"), ("x", "not three segments"), ("TAMPERED", "signature does not verify")])
def test_the_operator_sees_why_a_token_is_bad(anyone, sandbox, token, cause):
    header, claims, signature = sandbox.token.split(".")
    forged = f"{header}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}" if token == "TAMPERED" else token
    answer = anyone.get(PING, headers={"authorization": f"Bearer {forged}"})
    trace = anyone.get(f"/operator/traces/{answer.headers['x-request-id']}").json()
    assert trace["refused_by"] == "authenticate" and trace["cause"] == cause


def test_the_operator_sees_whose_request_it_was(anyone, api, sandbox, db):
    trace = anyone.get(f"/operator/traces/{api.get(PING).headers['x-request-id']}").json()
    with db.cursor() as cursor:
        cursor.execute("select partner from bank.app order by created_at, id limit 1")
        assert trace["partner"] == cursor.fetchone()[0]
