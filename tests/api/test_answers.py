"""What every answer carries, and what a request is told that cannot be served."""

import json
import re
import socket
import ssl
import uuid

import httpx
import pytest

from harness.client import assert_problem

PAYMENTS = "/e-payment/v1/payments"
PING = "/example/v1/ping"
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")

# (what, method, path, body, headers, status): one of each kind of answer that the gateway itself gives
KINDS = [
    ("made", "POST", PAYMENTS, "PAYMENT", {}, 201),
    ("read", "GET", "/accounts/v1/accounts/DEBTOR", None, {}, 200),
    ("ping", "GET", PING, None, {}, 200),
    ("healthy", "GET", "/healthz", None, {}, 200),
    ("ready", "GET", "/readyz", None, {}, 200),
    ("malformed", "POST", PAYMENTS, "{", {}, 400),
    ("no key", "POST", PAYMENTS, "PAYMENT", {"idempotency-key": None}, 400),
    ("bad parameter", "GET", PAYMENTS + "?x=1", None, {}, 400),
    ("bad cursor", "GET", PAYMENTS + "?starting_after=x", None, {}, 400),
    ("no token", "GET", PING, None, {"authorization": None}, 401),
    ("bad token", "GET", PING, None, {"authorization": "Bearer x"}, 401),
    ("no such payment", "GET", PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd", None, {}, 404),
    ("no such path", "GET", "/nowhere", None, {}, 404),
    ("no such method", "DELETE", PAYMENTS, None, {}, 405),
    ("too large", "POST", PAYMENTS, "x" * 65537, {}, 413),
    ("too long", "GET", "/" + "x" * 9000, None, {}, 414),
    ("wrong type", "POST", PAYMENTS, "PAYMENT", {"content-type": "text/plain"}, 415),
    ("misdirected", "GET", PING, None, {"host": "bank.example"}, 421),
    ("invalid", "POST", PAYMENTS, "{}", {}, 422),
]


def ask(api, sandbox, method, path, body, headers):
    if body == "PAYMENT":
        body = json.dumps({"reference": f"T-{uuid.uuid4()}", "debtor_account": sandbox.debtor,
                           "creditor_account": sandbox.creditor, "amount": {"amount": 1, "currency": "CNY"}})
    sent = {"authorization": f"Bearer {sandbox.token}"}
    if body is not None:
        sent |= {"content-type": "application/json", "idempotency-key": str(uuid.uuid4())}
    sent = {k: v for k, v in {**sent, **headers}.items() if v is not None}
    return api.http.request(method, path.replace("DEBTOR", sandbox.debtor), content=body, headers=sent)


@pytest.fixture(scope="module", params=["HTTP/2", "HTTP/1.1"])
def plain(request, sandbox):
    """A client that sends no Authorization of its own, over either protocol."""
    with sandbox.client(token=None, http2=request.param == "HTTP/2") as client:
        yield client


@pytest.fixture(params=KINDS, ids=lambda k: k[0])
def answer_of(request, plain, sandbox):
    _, method, path, body, headers, status = request.param

    def send(**more):
        answer = ask(plain, sandbox, method, path, body, {**headers, **{k.replace("_", "-"): v for k, v in more.items()}})
        assert answer.status_code == status, answer.text
        return answer
    return send


# ---- every answer ----

def test_every_answer_has_a_name(answer_of):
    first, second = answer_of(), answer_of()
    assert UUID.match(first.headers["x-request-id"]) and first.headers["x-request-id"] != second.headers["x-request-id"]
    assert TRACEPARENT.match(first.headers["traceparent"])


def test_every_answer_has_the_name_the_client_gave(answer_of):
    name = str(uuid.uuid4())
    assert answer_of(x_request_id=name).headers["x-request-id"] == name
    assert answer_of(x_fapi_interaction_id=name).headers["x-request-id"] == name


def test_every_answer_repeats_the_interaction_id(answer_of):
    name = str(uuid.uuid4()).upper()
    got = answer_of(x_fapi_interaction_id=name, x_request_id=str(uuid.uuid4())).headers
    assert got["x-fapi-interaction-id"] == name and got["x-request-id"] != name.lower()
    assert "x-fapi-interaction-id" not in answer_of().headers
    assert "x-fapi-interaction-id" not in answer_of(x_fapi_interaction_id="7").headers


def test_every_answer_stays_in_the_clients_trace(answer_of):
    trace = uuid.uuid4().hex
    got = answer_of(traceparent=f"00-{trace}-00f067aa0ba902b7-01").headers["traceparent"]
    assert TRACEPARENT.match(got) and got[3:35] == trace and got[36:52] != "00f067aa0ba902b7" and got.endswith("-01")


def test_no_answer_is_kept_by_a_cache(answer_of):
    assert answer_of().headers["cache-control"] == "no-store"


def test_no_answer_says_what_serves_it(answer_of):
    assert not {"server", "x-powered-by", "via"} & set(answer_of().headers)


def test_every_refusal_is_a_problem(answer_of):
    answer = answer_of()
    if answer.status_code < 400:
        assert answer.headers["content-type"] == "application/json"
        return
    problem = assert_problem(answer, answer.status_code, answer.json()["code"])
    assert re.fullmatch(r"[a-z][a-z0-9_]*", problem["code"])
    assert problem["instance"] == "urn:uuid:" + problem["request_id"]
    assert problem["type"] == problem["doc_url"] and problem["type"].startswith("https://")
    assert problem["retryable"] is (answer.status_code in (408, 429, 503, 504))


@pytest.mark.parametrize("name", ["x", "", "not-a-uuid", "6BA7B810-9DAD-11D1-80B4", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "x" * 500,
                                  "6ba7b810-9dad-11d1-80b4-00c04fd430c8,6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
def test_a_name_that_is_no_uuid_is_replaced(plain, name):
    got = plain.get("/healthz", headers={"x-request-id": name}).headers["x-request-id"]
    assert UUID.match(got) and got != name


def test_a_name_in_upper_case_comes_back_in_lower_case(plain):
    name = str(uuid.uuid4())
    assert plain.get("/healthz", headers={"x-request-id": name.upper()}).headers["x-request-id"] == name


@pytest.mark.parametrize("sent", ["x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "00-" + "0" * 32 + "-b7ad6b7169203331-01",
                                  "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                                  "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_a_broken_trace_is_begun_anew(plain, sent):
    got = plain.get("/healthz", headers={"traceparent": sent}).headers["traceparent"]
    assert TRACEPARENT.match(got) and got[3:35] not in sent


# ---- routes ----

@pytest.mark.parametrize("path", ["/", "/nope", "/e-payment", "/e-payment/v1", PAYMENTS + "/", "//e-payment/v1/payments", PAYMENTS + "x",
                                  "/E-Payment/v1/payments", "/e-payment/v2/payments", PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd/refunds/",
                                  "/e-payment;v=1/v1/payments"])
def test_a_path_that_is_not_there_is_not_found(api, path):
    assert_problem(api.get(path), 404, "no_such_route")


@pytest.mark.parametrize("path, shown", [
    (PAYMENTS + "/x", "x is not a payment id: pay_ and 26 characters"),
    (PAYMENTS + "/acc_01k9x3m6h0g00801v9r5t2n8qd", "acc_01k9x3m6h0g00801v9r5t2n8qd is not a payment id"),
    (PAYMENTS + "/PAY_01k9x3m6h0g00801v9r5t2n8qd", "PAY_01k9x3m6h0g00801v9r5t2n8qd is not a payment id"),
    (PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8q", "pay_01k9x3m6h0g00801v9r5t2n8q is not a payment id"),
    (PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qu", "pay_01k9x3m6h0g00801v9r5t2n8qu is not a payment id"),
    ("/accounts/v1/accounts/acc_%30", "acc_0 is not an account id: acc_ and 26 characters"),
])
def test_what_is_no_id_is_said_to_be_none(api, anyone, path, shown):
    problem = assert_problem(api.get(path), 404, "not_found")
    assert problem["detail"].startswith(shown)
    assert problem["errors"][0]["parameter"].endswith("_id")
    assert_problem(anyone.get(path), 401, "token_missing")


@pytest.mark.parametrize("path", ["/example/v1/../v1/ping", "/example/v1/%2e%2e/v1/ping", "/./example/v1/ping", "/example/v1/ping%00",
                                  "/example%2fv1/ping", "/example/v1%5cping", "/example/v1/ping%", "/example/v1/%c0%ae", "/example/v1/ping%0a"])
def test_a_path_that_means_two_things_is_refused(sandbox, path):
    status, _, _ = raw(sandbox, f"GET {path} HTTP/1.1")
    assert status == 400


def test_a_percent_encoded_path_is_the_same_path(sandbox):
    status, _, _ = raw(sandbox, "GET /ex%61mple/v1/ping HTTP/1.1")
    assert status == 200


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]
TAKEN = {PAYMENTS: {"POST", "GET"}, PING: {"GET"}, "/healthz": {"GET"}, PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd": {"GET"},
         PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd/refunds": {"POST", "GET"}}


@pytest.mark.parametrize("path, method", [(p, m) for p in TAKEN for m in METHODS if m not in TAKEN[p]])
def test_a_method_that_is_not_there_is_told_which_are(api, path, method):
    # httpx turns methods to upper case, so this one goes out as it is
    request = api.http.build_request("GET", path)
    request.method = method
    answer = api.http.send(request)
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == with_head(TAKEN[path])


def with_head(methods):
    """What is read with GET answers HEAD, too."""
    return methods | {"HEAD"} if "GET" in methods else methods


def test_head_is_answered_like_get_without_the_body(api):
    got, head = api.get(PING), api.http.head(PING)
    assert head.status_code == got.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"]


def test_a_refused_method_costs_no_token(anyone):
    """What is not there is not there for anybody: no token is asked for."""
    assert anyone.get("/nope").status_code == 404
    assert anyone.http.delete(PAYMENTS).status_code == 405


# ---- bodies ----

def raw(sandbox, line, headers=(), body=b""):
    """One HTTP/1.1 request as it is written here. @return status, headers, body"""
    host = sandbox.url.removeprefix("https://")
    lines = [line, f"Host: {host}", f"Authorization: Bearer {sandbox.token}", "Connection: close", *headers]
    tls = ssl.create_default_context(cafile=sandbox.ca)
    tls.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", sandbox.port), 10) as tcp, tls.wrap_socket(tcp, server_hostname="localhost") as s:
        s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    return int(first.split()[1]), httpx.Headers([f.split(": ", 1) for f in fields]), rest


def post(api, body, content_type="application/json"):
    return api.post(PAYMENTS, body, headers={"Content-Type": content_type})


@pytest.mark.parametrize("body, reason", [
    (" ", None), ("{", None), ('{"a":1', None), ('{"a":1}}', None), ('{"a":1} x', None), ("{} {}", None), ('{"a":1,}', None),
    ("{'a':1}", None), ("{a:1}", None), ("[1,]", None), ("// no\n{}", None), ("nul", None), ("truee", None), ("NaN", None), ("-", None),
    ("1.", None), (".5", None), ('"a', None), ('"\\x"', None), ('"\\u12"', None), ('{"a" 1}', None), ("\ufeff{}", None), ("}", None), ("]", None),
    ('{"reference":"a","reference":"b"}', None), ('{"amount":{"amount":1,"amount":1}}', None), ('{"a":1,"\\u0061":2}', None),
    ("[" * 33 + "]" * 33, "nested too deep"), ("[" * 60000, "nested too deep"), ('{"a":' * 33 + "1" + "}" * 33, "nested too deep"),
    ("[" + "1," * 1001 + "1]", "too many members"), ("{" + ",".join(f'"{i}":1' for i in range(1001)) + "}", "too many members"),
    ('{"a":"\\u0000"}', None), ('{"\\u0000":1}', None), (b'{"a":"\x00"}', "control character in a string"), (b'{"a":"b\nc"}', None), (b"{}\x00", None),
    (b'{"a":"\xff"}', "not UTF-8"), (b'{"a":"\xc0\x80"}', "not UTF-8"), (b'{"a":"\xed\xa0\x80"}', "not UTF-8"), (b'{"a":"\xf4\x90\x80\x80"}', "not UTF-8"),
    ('{"a":"\\ud800"}', None), ('{"a":"\\udc00\\ud800"}', None), ('{"a":18446744073709551616}', None), ('{"a":1.5}', None), ('{"a":1e999}', None),
    ('{"a":-1e-999}', None), ("1" * 60000, None), (b"\xfe\xff\x00{\x00}", None), (b"\x1f\x8b\x08\x00", None),
], ids=lambda v: repr(v)[:40])
def test_a_body_that_is_not_json_is_refused(api, body, reason):
    answer = post(api, body)
    assert answer.json()["code"] in ("bad_json", "bad_number", "bad_encoding"), "which of them: wrong_requests.py"
    problem = assert_problem(answer, 400, answer.json()["code"])
    assert re.search(r" at line \d+, column \d+$", problem["detail"])
    assert reason is None or problem["detail"].startswith(reason), problem["detail"]


def test_a_refused_body_is_told_where(api):
    body = '{\n  "amount": {\n    "amount": 1.5,\n    "currency": "CNY"\n  }\n}'
    problem = assert_problem(post(api, body), 400, "bad_number")
    assert problem["errors"][0]["pointer"] == "/amount/amount" and "line 3, column 15" in problem["detail"]


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", "true", "[{}]"])
def test_a_body_that_is_no_object_is_invalid(api, body):
    problem = assert_problem(post(api, body), 422, "invalid_body")
    assert problem["errors"][0]["pointer"] == ""


@pytest.mark.parametrize("written", ["text/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                                     "application/jsonx", "application/json-patch+json", "application/xml", "", "application"])
def test_another_media_type_is_refused(api, written):
    assert_problem(post(api, "{}", written), 415, "unsupported_media_type")


@pytest.mark.parametrize("written", ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json ;charset=utf-8"])
def test_json_is_taken_however_it_is_written(api, written):
    assert_problem(post(api, "{}", written), 422, "invalid_body")


def test_a_missing_media_type_is_refused(api):
    request = api.http.build_request("POST", PAYMENTS, content=b"{}", headers={"idempotency-key": "k"})
    assert "content-type" not in request.headers
    assert_problem(api.http.send(request), 415, "unsupported_media_type")


def test_a_body_of_the_most_bytes_is_read_and_one_more_is_not(api):
    assert_problem(post(api, '{"a":"' + "x" * (65536 - 8) + '"}'), 422, "invalid_body")
    problem = assert_problem(post(api, '{"a":"' + "x" * (65536 - 7) + '"}'), 413, "body_too_large")
    assert "65536" in problem["detail"]


def test_a_body_beyond_all_bounds_is_not_held(sandbox):
    """It is refused by its length, before it was sent."""
    status, _, _ = raw(sandbox, f"POST {PAYMENTS} HTTP/1.1", ["Content-Length: 2000000", "Content-Type: application/json"])
    assert status == 413
    with sandbox.client() as client:
        assert_problem(post(client, b"x" * 2_000_000), 413, "body_too_large")


def test_a_read_takes_no_body(api):
    answer = api.http.request("GET", PING, content=b"{}", headers={"content-type": "application/json"})
    assert_problem(answer, 400, "bad_request")


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "content-type"])
def test_a_field_that_is_single_cannot_come_twice(sandbox, name):
    host = ["Content-Type: application/json", "Idempotency-Key: a", "Content-Length: 2"]
    value = {"authorization": f"Bearer {sandbox.token}", "idempotency-key": "b", "content-type": "text/plain"}[name]
    status, _, body = raw(sandbox, f"POST {PAYMENTS} HTTP/1.1", [*host, f"{name}: {value}"], b"{}")
    assert status == 400 and json.loads(body)["code"] == "bad_request"


@pytest.mark.parametrize("headers", [["X-A: " + "b" * 40000], [f"X-{i}: y" for i in range(101)]], ids=["too large", "too many"])
def test_a_head_beyond_its_bounds_is_refused(sandbox, headers):
    status, _, _ = raw(sandbox, f"GET {PING} HTTP/1.1", headers)
    assert status == 431
    with sandbox.client() as client:
        assert_problem(client.get(PING, headers=dict(h.lower().split(": ") for h in headers)), 431, "headers_too_large")


# ---- the shape of a failure is that of its path ----

def assert_oauth_error(answer, status, error):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json" and answer.headers["cache-control"] == "no-store"
    assert UUID.match(answer.headers["x-request-id"])
    body = answer.json()
    assert body["error"] == error and set(body) == {"error", "error_description"}
    assert re.fullmatch(r"[ !#-\[\]-~]+", body["error_description"])


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_a_method_the_authorization_server_does_not_take_is_refused_in_its_shape(plain):
    answer = plain.http.put("/oauth/token", content=b"x=y", headers=FORM)
    assert_oauth_error(answer, 405, "invalid_request")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("content, headers, status", [
    (b"grant_type=x&client_id=" + b"y" * 70000, FORM, 413), (b"{}", {"content-type": "application/json"}, 415), (b"a=1&a=2", FORM, 400)],
    ids=["too large", "no form", "twice"])
def test_a_body_the_authorization_server_does_not_take_is_refused_in_its_shape(plain, content, headers, status):
    assert_oauth_error(plain.http.post("/oauth/token", content=content, headers=headers), status, "invalid_request")


def test_what_is_refused_before_the_path_is_looked_at_has_its_shape_too(plain):
    twice = [("authorization", "Basic eDp5"), ("authorization", "Basic eDp5"), *FORM.items()]
    assert_oauth_error(plain.http.post("/oauth/token", content=b"a=1", headers=twice), 400, "invalid_request")


def test_the_query_of_an_unjudged_route_is_its_handlers(plain):
    """RFC 6749 §3.1: parameters nobody knows are ignored."""
    assert_oauth_error(plain.http.post("/oauth/token?a=%zz&b&b", content=b"grant_type=x", headers=FORM), 401, "invalid_client")


def test_a_client_that_is_not_recognised_is_challenged(plain):
    answer = plain.http.post("/oauth/token", content=b"grant_type=x", headers={"authorization": "Basic eDp5", **FORM})
    assert_oauth_error(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("method, headers, status", [
    ("GET", [], 400), ("PUT", [], 405), ("GET", [("authorization", "x"), ("authorization", "y")], 400)],
    ids=["the handler", "the method", "before the path"])
def test_where_people_read_a_failure_is_a_page(plain, method, headers, status):
    answer = plain.http.request(method, "/oauth/authorize", headers=[("accept-language", "en"), *headers])
    assert answer.status_code == status and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en"' in answer.text and answer.headers["x-request-id"] in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_an_answer_may_be_kept_where_its_handler_says_so(plain):
    assert plain.get("/oauth/jwks").headers.get_list("cache-control") == ["public, max-age=300"]


# ---- scopes ----

@pytest.mark.parametrize("scope, method, path", [
    ("accounts:read", "GET", PING), ("example:read", "GET", PAYMENTS), ("e-payment:read", "POST", PAYMENTS),
    ("e-payment:write", "GET", PAYMENTS), ("e-payment:write e-payment:read", "GET", "/accounts/v1/accounts"),
    ("e-payment:read", "POST", PAYMENTS + "/pay_01k9x3m6h0g00801v9r5t2n8qd/refunds"), ("e-payment", "GET", PAYMENTS),
    ("e-payment:readx", "GET", PAYMENTS), ("E-PAYMENT:READ", "GET", PAYMENTS)])
def test_a_token_opens_what_its_scope_says(sandbox, scope, method, path):
    with sandbox.client(sandbox.cli("token", "--scope", scope).strip()) as client:
        answer = client.http.request(method, path)
        assert_problem(answer, 403, "insufficient_scope")
        wanted = answer.headers["www-authenticate"]
        assert wanted.startswith('Bearer error="insufficient_scope", scope="') and wanted.split('"')[3] in answer.json()["detail"]


# ---- the platform ----

@pytest.mark.parametrize("kind", [k for k in KINDS if k[5] >= 400], ids=lambda k: k[0])
def test_the_type_of_a_problem_leads_to_its_meaning(plain, sandbox, kind):
    problem = ask(plain, sandbox, *kind[1:5]).json()
    meaning = plain.get(problem["type"])
    assert meaning.status_code == 200
    assert {k: meaning.json()[k] for k in ("code", "status", "title", "retryable")} == {k: problem[k] for k in ("code", "status", "title", "retryable")}
    assert meaning.json()["remedy"]



def test_health_and_readiness_need_no_token(anyone):
    assert anyone.get("/healthz").json() == {"status": "ok"}
    assert anyone.get("/readyz").json() == {"status": "ready"}


def test_metrics_tell_what_was_asked(anyone, api):
    for _ in range(3):
        api.get(PING)
    answer = anyone.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(re.match(r'^[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? -?[0-9.e+-]+$', line) for line in lines), lines[:5]
    assert any("ping" in line for line in lines)
