"""The decision trace: why a request was refused, for the partner whose request it was and for nobody else."""

import json
import time
import uuid

import pytest

from harness.client import assert_problem
from harness.fapi import refused
from harness.forge import Forger
from harness.h2load import h2load
from harness.partner import Partner

PAYMENTS = "/e-payment/v1/payments"
PING = "/example/v1/ping"
STAGES = ["admit", "route", "authenticate", "constrain", "entitle", "limit", "query", "body", "script:before", "schema",
          "consent", "idempotency", "handler", "script:after", "reply"]


@pytest.fixture(scope="module")
def theirs(sandbox):
    with Partner(sandbox, "Traces' other partner").client() as client:
        yield client


def tampered(token):
    header, claims, signature = token.split(".")
    return f"{header}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def trace_of(client, answer):
    got = client.get(f"/traces/v1/traces/{answer.headers['tongbao-trace-id']}")
    assert got.status_code == 200, got.text
    trace = got.json()
    assert trace["object"] == "trace" and trace["id"] == answer.headers["tongbao-trace-id"]
    assert trace["request_id"] == answer.headers["x-request-id"]
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
    assert answer.json()["trace"] == answer.headers["tongbao-trace-id"] == trace["id"]


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
    answer = anyone.get(PING, headers={"authorization": f"Bearer {tampered(sandbox.token)}"})
    assert answer.status_code == 401 and "signature" not in answer.text
    assert_problem(api.get(f"/traces/v1/traces/{answer.headers['tongbao-trace-id']}"), 404, "not_found")


def test_traces_need_their_scope(sandbox, api):
    answer = api.get(PING)
    with sandbox.client(sandbox.cli("token", "--scope", "example:read").strip()) as client:
        assert_problem(client.get(f"/traces/v1/traces/{answer.headers['x-request-id']}"), 403, "insufficient_scope")


# ---- the client's id beside the server's ----

def named(client, name, **more):
    return [t["id"] for t in client.get("/traces/v1/traces", params={"request_id": name, **more}).json()["data"]]


def test_nobody_hides_a_request_by_sending_its_id_again(api, theirs, anyone):
    """The server's id is the key: what others send under the client's id neither hides nor replaces the trace."""
    name = str(uuid.uuid4())
    first = api.get(PAYMENTS + "?limit=0", headers={"x-request-id": name})
    later = [c.get(PING, headers={"x-request-id": name}) for c in (api, theirs, anyone) for _ in range(3)]
    assert {a.headers["x-request-id"] for a in (first, *later)} == {name}
    assert len({a.headers["tongbao-trace-id"] for a in (first, *later)}) == 10
    assert trace_of(api, first)["refused_by"] == "query"


def test_a_name_used_again_leads_to_all_of_them_newest_first(api, theirs, anyone):
    name = str(uuid.uuid4())
    sent = [api.get(path, headers={"x-request-id": name}) for path in (PING, PAYMENTS + "?limit=0", PING)]
    other = theirs.get(PING, headers={"x-request-id": name})
    ids = [a.headers["tongbao-trace-id"] for a in reversed(sent)]
    assert named(api, name) == ids == named(api, name.upper()) and named(api, name, limit=1) == ids[:1]
    assert named(theirs, name) == [other.headers["tongbao-trace-id"]]
    assert named(api, str(uuid.uuid4())) == []
    seen = anyone.get("/operator/traces", params={"request_id": name}).json()
    assert [t["id"] for t in seen["data"]] == [other.headers["tongbao-trace-id"], *ids] and seen["has_more"] is False
    assert len({t["partner"] for t in seen["data"]}) == 2 and all(t["app"].startswith("app_") for t in seen["data"])


def test_a_client_that_sends_no_id_has_one_id_for_both(api):
    answer = api.get(PING)
    assert answer.headers["tongbao-trace-id"] == answer.headers["x-request-id"]


def test_the_newest_are_listed_without_a_name_too(api, theirs):
    ids = [theirs.get(PING).headers["tongbao-trace-id"] for _ in range(3)]
    found = theirs.get("/traces/v1/traces", params={"limit": 3}).json()
    assert [t["id"] for t in found["data"]] == ids[::-1] and found["has_more"] is True
    assert_problem(api.get("/traces/v1/traces?limit=101"), 400, "bad_parameter")
    assert_problem(api.get("/traces/v1/traces?request_id=x"), 400, "bad_parameter")


# ---- evidence stays ----

def test_strangers_push_no_partner_out(sandbox):
    """More anonymous requests than all rings hold leave a partner its trace, on every worker."""
    partner = Partner(sandbox, "Traces' quiet partner")
    with partner.client() as client:
        answers = [client.get(PAYMENTS + "?limit=0") for _ in range(4)]
        flood = h2load(sandbox, PING, 60_000, "nothing", connections=32)
        assert flood.refused == 60_000, flood.text
        assert [trace_of(client, a)["refused_by"] for a in answers] == ["query"] * 4


def test_a_partner_pushes_neither_others_nor_its_own_refusals_out(sandbox, api):
    loud, quiet = Partner(sandbox, "Traces' loud partner"), Partner(sandbox, "Traces' other quiet partner")
    with loud.client() as client, quiet.client() as other:
        mine, others = client.get(PAYMENTS + "?limit=0"), other.get(PING)
        h2load(sandbox, PING, 40_000, loud.token(), connections=8)
        assert trace_of(client, mine)["refused_by"] == "query"
        assert trace_of(other, others)["status"] == 200


# ---- refusals of strangers and of the authorization server ----

def whole(anyone, answer):
    got = anyone.get(f"/operator/traces/{answer.headers['tongbao-trace-id']}")
    assert got.status_code == 200, got.text
    return got.json()


def test_an_expired_token_leaves_a_trace_for_its_partner(sandbox, api, anyone, theirs):
    now = int(time.time())
    late = Forger(sandbox).token(claims={"iat": now - 600, "exp": now - 60})
    answer = anyone.get(PING, headers={"authorization": f"Bearer {late}"})
    assert assert_problem(answer, 401, "token_invalid")["detail"] == "the access token has expired"
    assert trace_of(api, answer)["refused_by"] == "authenticate"
    assert whole(anyone, answer)["app"].startswith("app_") and "cause" not in trace_of(api, answer)
    assert_problem(theirs.get(f"/traces/v1/traces/{answer.headers['tongbao-trace-id']}"), 404, "not_found")


@pytest.mark.parametrize("header, detail", [
    ("Basic eDp5", "the Authorization header is of another scheme than Bearer and DPoP"),
    ("Bearer x.y.z", "this is no access token of this server"),
    ("DPoP {token}", "the access token is sent as DPoP, and not bound to a key"),
])
def test_a_sandbox_says_which_kind_of_401_it_is(sandbox, anyone, header, detail):
    answer = anyone.get(PING, headers={"authorization": header.format(token=sandbox.token)})
    assert assert_problem(answer, 401, "token_invalid")["detail"] == detail


def test_a_refused_client_leaves_a_trace_for_its_app(client, anyone):
    form = {"grant_type": "client_credentials", "client_id": client.id, "client_assertion": "x.y.z",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    stranger = anyone.http.post("/oauth/token", data=form)
    refused(stranger, 401, "invalid_client")
    trace = whole(anyone, stranger)
    assert trace["app"] == client.id and trace["operation"] == "POST /oauth/token" and trace["cause"]
    own = client.push({"scope": "no such scope"}).answer
    refused(own, 400, "invalid_scope")
    assert whole(anyone, own)["app"] == client.id and whole(anyone, own)["partner"] == trace["partner"]


def test_the_browsers_error_page_leaves_a_trace(anyone):
    page = anyone.get("/oauth/authorize?client_id=app_nobody&request_uri=urn:x")
    assert page.status_code == 400 and page.headers["content-type"].startswith("text/html")
    trace = whole(anyone, page)
    assert trace["operation"] == "GET /oauth/authorize" and trace["why"]


def test_the_operator_alone_reads_why_a_token_was_refused(api, anyone):
    refused = anyone.get(PING, headers={"Authorization": "Bearer not-a-token"})
    assert refused.status_code == 401
    assert_problem(api.get(f"/traces/v1/traces/{refused.headers['tongbao-trace-id']}"), 404, "not_found")
    trace = whole(anyone, refused)
    assert trace["refused_by"] == "authenticate" and trace["cause"] != ""
    assert trace["cause"] not in refused.text


def test_the_type_of_a_problem_leads_to_its_meaning(anyone):
    problem = anyone.get(PING).json()
    meaning = anyone.get("/problems/" + problem["type"].rsplit("/", 1)[1])
    assert meaning.status_code == 200
    assert meaning.json()["code"] == problem["code"] and meaning.json()["remedy"]
    assert_problem(anyone.get("/problems/no_such_code"), 404, "not_found")


# ---- the operator's view ----

def test_the_operators_command_reads_every_trace(sandbox, api, theirs, anyone):
    name = str(uuid.uuid4())
    answers = [c.get(PING, headers={"x-request-id": name}) for c in (api, theirs, anyone)]
    ids = [a.headers["tongbao-trace-id"] for a in answers]
    listed = json.loads(sandbox.cli("trace", "--correlation", name, "--json"))
    assert [t["id"] for t in listed] == ids[::-1] and [t["status"] for t in listed] == [401, 200, 200]
    partner = listed[1]["partner"]
    assert [t["id"] for t in json.loads(sandbox.cli("trace", "--partner", partner, "--limit", "1", "--json"))] == ids[1:2]
    one = json.loads(sandbox.cli("trace", ids[0], "--json"))
    asked = whole(anyone, answers[0])
    times, same = ([stage.pop("microseconds") for stage in trace["stages"]] for trace in (one, asked))
    assert times == pytest.approx(same, rel=0.01, abs=0.2), "each process measures for itself how long a tick is"
    assert one == asked and one["operation"] == "GET /example/v1/ping"
    assert ids[2] in sandbox.cli("trace", "--correlation", name) and "no Authorization header" in sandbox.cli("trace", ids[2])
    sandbox.cli("trace", name, exit_code=1)


@pytest.mark.parametrize("token, cause", [("x.y.z", "not exact base64url"), ("x", "not three segments"), ("TAMPERED", "signature does not verify")])
def test_the_operator_sees_why_a_token_is_bad(anyone, sandbox, token, cause):
    forged = tampered(sandbox.token) if token == "TAMPERED" else token
    answer = anyone.get(PING, headers={"authorization": f"Bearer {forged}"})
    trace = anyone.get(f"/operator/traces/{answer.headers['x-request-id']}").json()
    assert trace["refused_by"] == "authenticate" and trace["cause"] == cause


def test_the_operator_sees_whose_request_it_was(anyone, api, sandbox, db):
    trace = anyone.get(f"/operator/traces/{api.get(PING).headers['x-request-id']}").json()
    with db.cursor() as cursor:
        cursor.execute("select partner from bank.app order by created_at, id limit 1")
        assert trace["partner"] == cursor.fetchone()[0]
