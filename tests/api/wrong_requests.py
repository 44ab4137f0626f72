"""A table of wrong requests: what a client can get wrong, and what it must be answered. `{debtor}`, `{creditor}`, `{payment}`,
`{refunded}`, `{failed}`, `{key}` and `{reference}` in paths and bodies stand for objects that test_wrong_requests.py makes."""

import json
from dataclasses import dataclass, field

PAYMENTS = "/e-payment/v1/payments"
ACCOUNTS = "/accounts/v1/accounts"
CONSENTS = "/consents/v1/consents"
SCRIPTS = "/scripts/v1/scripts"
TABLES = "/scripts/v1/tables"
DIGITS = "01k9x3m6h0g00801v9r5t2n8qd"
PAY, ACC, CNS, SCR, RFD = (f"{prefix}_{DIGITS}" for prefix in ("pay", "acc", "cns", "scr", "rfd"))
GOOD = {"reference": "{fresh}", "debtor_account": "{debtor}", "creditor_account": "{creditor}",
        "amount": {"amount": 100, "currency": "CNY"}, "purpose": "goods"}


@dataclass
class Wrong:
    kind: str
    name: str
    method: str
    path: str
    status: int
    code: str
    where: tuple = None
    """("pointer" | "parameter" | "header", its name), where the request has such a place"""
    says: str = ""
    """what the detail has in it"""
    body: bytes = None
    headers: list = field(default_factory=list)
    token: str = "demo"
    """demo: the demo partner's; narrow: it may read payments and no more; stranger: of an app without entitlements; None: none;
    anything else is sent as it is, as the Authorization header"""
    key: str = "{fresh}"

    @property
    def known(self):
        """Whether the gateway learns whose request it is."""
        return self.token in ("demo", "narrow", "stranger")


ROWS = []


def row(kind, name, method, path, status, code, where=None, says="", body=None, **more):
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    ROWS.append(Wrong(kind, f"{kind}: {name}", method, path, status, code, where, says, body, **more))


def changed(**members):
    """A good payment with members changed; None leaves one out."""
    return {name: value for name, value in {**GOOD, **members}.items() if value is not None}


def text_of(**members):
    return json.dumps(changed(**members))


# ---- bodies that are not JSON of ours ----

AMOUNT = '"amount": {"amount": 100'
for name, body, code, says, pointer in [
    ("cut short", b'{"reference": "x"', "bad_json", "ends too early", None),
    ("an open string", b'{"reference": "x', "bad_json", "string without end", "/reference"),
    ("no body", b"", "body_missing", "got none", ""),
    ("blanks", b"  \n ", "bad_json", "ends too early", ""),
    ("a comma too many", b'{"reference": "x",}', "bad_json", "not JSON", None),
    ("single quotes", b"{'reference': 'x'}", "bad_json", "not JSON", ""),
    ("a name without quotes", b"{reference: 1}", "bad_json", "not JSON", ""),
    ("a comment", b"// x\n{}", "bad_json", "not JSON", ""),
    ("two values", b"{} {}", "bad_json", "something follows", ""),
    ("NaN", b'{"amount": NaN}', "bad_json", "not JSON", None),
    ("Infinity", b'{"amount": Infinity}', "bad_json", "not JSON", None),
    ("a leading zero", b'{"amount": 012}', "bad_json", "not JSON", None),
    ("a plus", b'{"amount": +12}', "bad_json", "not JSON", None),
    ("a name twice", b'{"reference": "x", "reference": "y"}', "bad_json", "duplicate member name", "/reference"),
    ("a name twice, deep", b'{"amount": {"amount": 1, "amount": 2}}', "bad_json", "duplicate member name", "/amount/amount"),
    ("a wrong bracket", b'{"a": [1}', "bad_json", "unexpected closing bracket", None),
    ("a control character", b'{"purpose": "a\nb"}', "bad_json", "control character", "/purpose"),
    ("NUL escaped", b'{"purpose": "a\\u0000b"}', "bad_json", "\\u0000 in a string", "/purpose"),
    ("NUL escaped in a name", b'{"pur\\u0000pose": 1}', "bad_json", "\\u0000 in a string", None),
    ("half a surrogate pair", b'{"purpose": "a\\ud800"}', "bad_json", "half a surrogate pair", "/purpose"),
    ("the other half", b'{"purpose": "\\udc00"}', "bad_json", "half a surrogate pair", "/purpose"),
    ("halves swapped", b'{"purpose": "\\udc00\\ud800"}', "bad_json", "half a surrogate pair", "/purpose"),
    ("an unknown escape", b'{"purpose": "\\x41"}', "bad_json", "not JSON", None),
    ("too deep", b"[" * 40 + b"]" * 40, "bad_json", "nested too deep", None),
    ("too many members", b"[" + b"1," * 1500 + b"1]", "bad_json", "too many members", None),
    ("a byte order mark", b"\xef\xbb\xbf{}", "bad_encoding", "byte order mark", ""),
    ("UTF-16", "{}".encode("utf-16"), "bad_encoding", "UTF-16", ""),
    ("UTF-16, little end first", '{"reference": 1}'.encode("utf-16-le"), "bad_encoding", "UTF-16", ""),
    ("UTF-16, big end first", '{"reference": 1}'.encode("utf-16-be"), "bad_encoding", "UTF-16", ""),
    ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "bad_encoding", "gzip", ""),
    ("zstd", b"\x28\xb5\x2f\xfd\x04\x00", "bad_encoding", "zstd", ""),
    ("Latin-1", '{"purpose": "é"}'.encode("latin-1"), "bad_encoding", "not UTF-8", "/purpose"),
    ("GBK", '{"purpose": "货款"}'.encode("gbk"), "bad_encoding", "not UTF-8", "/purpose"),
    ("overlong UTF-8", b'{"purpose": "\xc0\xaf"}', "bad_encoding", "not UTF-8", "/purpose"),
    ("UTF-8 of a surrogate", b'{"purpose": "\xed\xa0\x80"}', "bad_encoding", "not UTF-8", "/purpose"),
    ("cut UTF-8", b'{"purpose": "\xe4\xb8"}', "bad_encoding", "not UTF-8", "/purpose"),
]:
    row("JSON", name, "POST", PAYMENTS, 400, code, None if pointer is None else ("pointer", pointer), says, body)

# ---- numbers ----

for number, status, code, says in [
    ("1e2", 400, "bad_number", "1e2: number that is not written as an integer"),
    ("12345.0", 400, "bad_number", "12345.0: number that is not written as an integer"),
    ("1E+2", 400, "bad_number", "1E+2"),
    ("0.1", 400, "bad_number", "0.1"),
    ("-1.5", 400, "bad_number", "-1.5"),
    ("1e400", 400, "bad_number", "1e400"),
    ("9223372036854775808", 422, "amount_out_of_range", "9223372036854775808: number beyond"),
    ("-9223372036854775809", 422, "amount_out_of_range", "-9223372036854775809: number beyond"),
    ("1" + "0" * 50, 422, "amount_out_of_range", "number beyond"),
    ("9223372036854775807", 422, "invalid_body", "must be at most 9007199254740991"),
    ("9007199254740992", 422, "invalid_body", "must be at most 9007199254740991"),
    ("0", 422, "invalid_body", "must be at least 1"),
    ("-1", 422, "invalid_body", "must be at least 1"),
    ('"100"', 422, "invalid_body", "must be an integer"),
    ("null", 422, "invalid_body", "must be an integer"),
    ("true", 422, "invalid_body", "must be an integer"),
    ("[100]", 422, "invalid_body", "must be an integer"),
]:
    row("amount", number[:24], "POST", PAYMENTS, status, code, ("pointer", "/amount/amount"), says,
        text_of().replace(AMOUNT, f'"amount": {{"amount": {number}').encode())
row("number", "beyond 64 bits elsewhere", "POST", f"{SCRIPTS}/{SCR}/activations", 400, "bad_number", ("pointer", "/version"),
    "number beyond", b'{"version": 9223372036854775808}')
for version in (0, 1001, 2147483648, 4294967297, -1):
    row("number", f"version {version}", "POST", f"{SCRIPTS}/{SCR}/activations", 422, "invalid_body", ("pointer", "/version"),
        "must be at", {"version": version})

# ---- bodies of another shape ----

ID_WORDS = "must be an id: acc_ and 26 characters"
for member, value, pointer, says in [
    ("reference", None, "/reference", "is missing"),
    ("debtor_account", None, "/debtor_account", "is missing"),
    ("creditor_account", None, "/creditor_account", "is missing"),
    ("amount", None, "/amount", "is missing"),
    ("reference", "", "/reference", "must be visible ASCII without spaces, 1 to 64 characters"),
    ("reference", "a b", "/reference", "must be visible ASCII without spaces, 1 to 64 characters"),
    ("reference", "发票", "/reference", "must be visible ASCII without spaces, 1 to 64 characters"),
    ("reference", "x" * 65, "/reference", "must have at most 64 characters"),
    ("reference", 1, "/reference", "must be a string"),
    ("debtor_account", "", "/debtor_account", ID_WORDS),
    ("debtor_account", "123", "/debtor_account", ID_WORDS),
    ("debtor_account", PAY, "/debtor_account", ID_WORDS),
    ("debtor_account", ACC.upper(), "/debtor_account", ID_WORDS),
    ("debtor_account", ACC[:-1], "/debtor_account", ID_WORDS),
    ("debtor_account", ACC + "0", "/debtor_account", ID_WORDS),
    ("debtor_account", {"id": ACC}, "/debtor_account", "must be a string"),
    ("creditor_account", "acc_' or 1=1", "/creditor_account", ID_WORDS),
    ("creditor_account", [], "/creditor_account", "must be a string"),
    ("amount", 100, "/amount", "must be an object"),
    ("amount", "100 CNY", "/amount", "must be an object"),
    ("amount", {"amount": 100}, "/amount/currency", "is missing"),
    ("amount", {"currency": "CNY"}, "/amount/amount", "is missing"),
    ("amount", {"amount": 100, "currency": "cny"}, "/amount/currency", "must be an ISO 4217 code: three capital letters"),
    ("amount", {"amount": 100, "currency": "RMB!"}, "/amount/currency", "must be an ISO 4217 code"),
    ("amount", {"amount": 100, "currency": 156}, "/amount/currency", "must be a string"),
    ("amount", {"amount": 100, "currency": "CNY", "curency": "CNY"}, "/amount/curency", "did you mean currency?"),
    ("purpose", "", "/purpose", "must have at least 1 characters"),
    ("purpose", "x" * 141, "/purpose", "must have at most 140 characters"),
    ("purpose", "a\tb", "/purpose", "must be one line without control characters"),
    ("purpose", 1, "/purpose", "must be a string"),
    ("metadata", [], "/metadata", "must be an object"),
    ("metadata", {"a": 1}, "/metadata/a", "must be a string"),
    ("metadata", {"a": "x" * 501}, "/metadata/a", "must have at most 500 characters"),
    ("metadata", {"k" * 41: "x"}, "/metadata/" + "k" * 41, "has a name that is not allowed here"),
    ("metadata", {str(n): "x" for n in range(51)}, "/metadata", "must have at most 50 members"),
]:
    row("payment", f"{member} {json.dumps(value)[:40]}", "POST", PAYMENTS, 422, "invalid_body", ("pointer", pointer), says,
        changed(**{member: value}))
for name, says in [("refrence", "did you mean reference?"), ("debitor_account", "did you mean debtor_account?"),
                   ("creditorAccount", "did you mean creditor_account?"), ("Purpose", "did you mean purpose?"),
                   ("meta_data", "did you mean metadata?"), ("amount_minor", "is not a member known here"), ("", "is not a member known here")]:
    row("unknown member", name or "without a name", "POST", PAYMENTS, 422, "invalid_body", ("pointer", f"/{name}"), says, {**GOOD, name: "x"})
for body, says in [(1, "must be an object"), ("x", "must be an object"), ([], "must be an object"), (None, "must be an object"),
                   (True, "must be an object")]:
    row("payment", f"a body {json.dumps(body)}", "POST", PAYMENTS, 422, "invalid_body", ("pointer", ""), says, json.dumps(body).encode())
for body, pointer, says in [({"amount": {"amount": 0, "currency": "CNY"}}, "/amount/amount", "must be at least 1"),
                            ({"reason": ""}, "/reason", "at least 1"), ({"reason": "a\u0001"}, "/reason", "without control characters"),
                            ({"reson": "x"}, "/reson", "did you mean reason?"), ([], "", "must be an object")]:
    row("refund", json.dumps(body), "POST", f"{PAYMENTS}/{{payment}}/refunds", 422, "invalid_body", ("pointer", pointer), says, body)
for path, body, pointer, says in [
    (SCRIPTS, {}, "/source", "is missing"), (SCRIPTS, {"source": ""}, "/source", "at least 1"),
    (SCRIPTS, {"source": "return {}", "note": "a\u0000b".replace("\u0000", "\u0007")}, "/note", "without control characters"),
    (f"{SCRIPTS}/{SCR}/reviews", {"version": 1}, "/verdict", "is missing"),
    (f"{SCRIPTS}/{SCR}/reviews", {"version": 1, "verdict": "maybe"}, "/verdict", "must be one of"),
    (f"{SCRIPTS}/{SCR}/activations", {"version": 1, "canary": 0}, "/canary", "must be at least 1"),
    (f"{SCRIPTS}/{SCR}/activations", {"version": 1, "on_request_failure": "ignore"}, "/on_request_failure", "must be one of"),
    (f"{SCRIPTS}/{SCR}/dry-runs", {"version": 1, "since": "2026-04-31T00:00:00Z"}, "/since", "must be an RFC 3339 time"),
    (f"{SCRIPTS}/{SCR}/dry-runs", {"version": 1, "since": "2026-04-30T00:00:00+23:59"}, "/since", "must be an RFC 3339 time"),
    (f"{SCRIPTS}/{SCR}/dry-runs", {"version": 1, "since": "2026-04-30T00:00:00." + "1" * 150 + "Z"}, "/since", "must be an RFC 3339 time"),
    (f"{SCRIPTS}/{SCR}/dry-runs", {"version": 1, "since": "10000-01-01T00:00:00Z"}, "/since", "must be an RFC 3339 time"),
]:
    row("script", f"{path.rsplit('/', 1)[1]} {json.dumps(body)[:60]}", "POST", path, 422, "invalid_body", ("pointer", pointer), says, body)
row("script", "no Lua", "POST", SCRIPTS, 422, "script_invalid", ("pointer", "/source"), "", {"source": "return {"})
row("script", "no such version", "POST", f"{SCRIPTS}/{SCR}/activations", 404, "not_found", None, "", {"version": 1})
for body, pointer, says in [({"days": 0}, "/days", "at least 1"), ({"days": 31}, "/days", "at most 30"),
                            ({"days": 1, "redact": ["purpose"]}, "/redact/0", "must be a JSON pointer"),
                            ({"days": 1, "redact": "x"}, "/redact", "must be an array")]:
    row("recording", json.dumps(body), "PUT", "/scripts/v1/recording", 422, "invalid_body", ("pointer", pointer), says, body)

# ---- the query ----

TIME = "must be an RFC 3339 time such as"
for path, query, parameter, says in [
    (PAYMENTS, "limit=0", "limit", "from 1 to 100"), (PAYMENTS, "limit=101", "limit", "from 1 to 100"),
    (PAYMENTS, "limit=-1", "limit", "from 1 to 100"), (PAYMENTS, "limit=ten", "limit", "integer"), (PAYMENTS, "limit=", "limit", "integer"),
    (PAYMENTS, "limit=1.0", "limit", "integer"), (PAYMENTS, "limit=1e1", "limit", "integer"), (PAYMENTS, "limit=0x10", "limit", "integer"),
    (PAYMENTS, "limit=99999999999999999999", "limit", "integer"), (PAYMENTS, "limit=5&limit=5", "limit", "twice"),
    (PAYMENTS, "Limit=5", "Limit", "did you mean limit?"), (PAYMENTS, "limits=5", "limits", "did you mean limit?"),
    (PAYMENTS, "state=paid", "state", "must be one of processing|succeeded|failed"), (PAYMENTS, "state=", "state", "one of"),
    (PAYMENTS, "State=failed", "State", "did you mean state?"), (PAYMENTS, "status=failed", "status", "did you mean state?"),
    (PAYMENTS, "created[gte]=yesterday", "created[gte]", TIME), (PAYMENTS, "created[gte]=2026-04-31", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-31T00:00:00Z", "created[gte]", TIME), (PAYMENTS, "created[lt]=2026-02-29T00:00:00Z", "created[lt]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T00:00:00%2B23:59", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T00:00:00-16:00", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T00:00:00." + "1" * 150 + "Z", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=0000-01-01T00:00:00Z", "created[gte]", TIME), (PAYMENTS, "created[gte]=10000-01-01T00:00:00Z", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=infinity", "created[gte]", TIME), (PAYMENTS, "created[gte]=now", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T24:00:00Z", "created[gte]", TIME), (PAYMENTS, "created[gte]=2026-04-30T00:00:60Z", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T00:00:00", "created[gte]", TIME), (PAYMENTS, "created[gte]=1777507200", "created[gte]", TIME),
    (PAYMENTS, "created[gte]=2026-04-30T00:00:00%20BC", "created[gte]", TIME),
    (PAYMENTS, "crated[gte]=2026-04-30T00:00:00Z", "crated[gte]", "did you mean created[gte]?"),
    (PAYMENTS, "created=2026-04-30T00:00:00Z", "created", "is not a parameter"),
    (PAYMENTS, "reference=", "reference", "must have 1 to 64 bytes"), (PAYMENTS, "reference=" + "x" * 65, "reference", "1 to 64"),
    (PAYMENTS, "offset=1", "offset", "is not a parameter"), (PAYMENTS, "page=2", "page", "is not a parameter"),
    (PAYMENTS, "startingAfter=x", "startingAfter", "did you mean starting_after?"),
    (PAYMENTS, "starting_after=", "starting_after", "1 to 512"), (PAYMENTS, "starting_after=" + "x" * 513, "starting_after", "1 to 512"),
    (f"{PAYMENTS}/{PAY}", "expand=refunds", "expand", "is not a parameter"),
    (ACCOUNTS, "limit=0", "limit", "from 1 to 100"), (ACCOUNTS, "currency=CNY", "currency", "is not a parameter"),
    (f"{ACCOUNTS}/{{debtor}}/entries", "limit=1000", "limit", "from 1 to 100"),
    (CONSENTS, "status=OPEN", "status", "must be one of"), (CONSENTS, "type=loan", "type", "must be one of"),
    (CONSENTS, "stauts=AUTH", "stauts", "did you mean status?"), (f"{CONSENTS}/{CNS}/receipts", "limit=no", "limit", "integer"),
    (SCRIPTS, "limit=0", "limit", "from 1 to 100"), (TABLES, "limt=5", "limt", "did you mean limit?"),
]:
    row("query", f"{path.rsplit('/', 1)[1]} {query[:50]}", "GET", f"{path}?{query}", 400, "bad_parameter", ("parameter", parameter), says)
for query in ("reference=%00", "reference=%ff", "reference=%c0%80", "reference=%ed%a0%80", "%00=1"):
    row("query", query, "GET", f"{PAYMENTS}?{query}", 400, "bad_parameter", None, "not percent-encoded UTF-8")
row("query", "both directions", "GET", f"{PAYMENTS}?starting_after=x&ending_before=y", 400, "bad_parameter", ("parameter", "ending_before"), "not both")
for path in (PAYMENTS, ACCOUNTS, f"{ACCOUNTS}/{{debtor}}/entries", CONSENTS, SCRIPTS, f"{PAYMENTS}/{{payment}}/refunds"):
    for parameter in ("starting_after", "ending_before"):
        row("cursor", f"{path} {parameter}", "GET", f"{path}?{parameter}=v1.x.y", 400, "bad_cursor", ("parameter", parameter),
            "was not made by this list")

# ---- ids in the path ----

for template, parameter, prefix in [
    (PAYMENTS + "/{}", "payment_id", "pay"), (PAYMENTS + "/{}/refunds", "payment_id", "pay"),
    (f"{PAYMENTS}/{PAY}/refunds/{{}}", "refund_id", "rfd"), (ACCOUNTS + "/{}", "account_id", "acc"),
    (ACCOUNTS + "/{}/entries", "account_id", "acc"), (CONSENTS + "/{}", "consent_id", "cns"),
    (CONSENTS + "/{}/receipts", "consent_id", "cns"), (SCRIPTS + "/{}", "script_id", "scr"), (SCRIPTS + "/{}/versions", "script_id", "scr"),
]:
    for value in ("123", f"{prefix}_x", f"{prefix.upper()}_{DIGITS}", f"xyz_{DIGITS}"):
        what = parameter.replace("_", " ")
        row("id", f"{template} {value}", "GET", template.format(value), 404, "not_found", ("parameter", parameter),
            f"{value} is not {'an' if what[0] == 'a' else 'a'} {what}: {prefix}_ and 26 characters")
row("id", "a long one", "GET", f"{PAYMENTS}/{'x' * 300}", 404, "not_found", ("parameter", "payment_id"), "x... is not a payment id")
row("id", "in Chinese", "GET", f"{PAYMENTS}/%e4%bb%98", 404, "not_found", ("parameter", "payment_id"), "付 is not a payment id")
row("id", "a refund of what is no id", "POST", f"{PAYMENTS}/123/refunds", 404, "not_found", ("parameter", "payment_id"), "123", {})
for path, parameter in [(f"{PAYMENTS}/{PAY}", "payment_id"), (f"{PAYMENTS}/{PAY}/refunds", "payment_id"),
                        (f"{PAYMENTS}/{{payment}}/refunds/{RFD}", "refund_id"), (f"{ACCOUNTS}/{ACC}", "account_id"),
                        (f"{ACCOUNTS}/{ACC}/entries", "account_id"), (f"{CONSENTS}/{CNS}", "consent_id"),
                        (f"{CONSENTS}/{CNS}/receipts", "consent_id"), (f"{SCRIPTS}/{SCR}", "script_id"),
                        (f"{SCRIPTS}/{SCR}/versions", "script_id"), (f"{SCRIPTS}/{SCR}/versions/1", None),
                        (f"{SCRIPTS}/{SCR}/versions/99999999999999999999", None), (f"{SCRIPTS}/{SCR}/versions/one", None),
                        (f"{TABLES}/nothing/entries", "table"), (f"{TABLES}/nothing/entries/key", None),
                        ("/traces/v1/traces/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "trace_id"), ("/traces/v1/traces/123", "trace_id")]:
    row("unknown", path, "GET", path, 404, "not_found", parameter and ("parameter", parameter))
row("unknown", "a problem", "GET", "/problems/no_such_problem", 404, "not_found", ("parameter", "code"), token=None)
row("unknown", "a refund of none", "POST", f"{PAYMENTS}/{PAY}/refunds", 404, "not_found", None, "", {})
for table, key, parameter, says in [("A%20B", "k", "table", "a table is named by"), ("1", "k", "table", "a table is named by"),
                                    ("x" * 41, "k", "table", "a table is named by"), ("a", "x" * 129, "key", "1 to 128 characters"),
                                    ("a", "%e2%80%ae", "key", "visible characters only")]:
    row("entry", f"{table[:9]} {key[:9]}", "PUT", f"{TABLES}/{table}/entries/{key}", 400, "bad_request", ("parameter", parameter), says, {"value": 1})

# ---- paths and methods ----

for path in ("/", "/nope", "/e-payment", PAYMENTS + "/", PAYMENTS + "x", "/E-Payment/v1/payments", "/e-payment/v2/payments",
             f"{PAYMENTS}/{PAY}/", f"{PAYMENTS}/{PAY}/refund", f"{PAYMENTS}/123/nothing", "/metrics/x"):
    row("route", path, "GET", path, 404, "no_such_route", None, "nothing is served at", token=None)
for method, path in [("PUT", PAYMENTS), ("DELETE", PAYMENTS), ("PATCH", PAYMENTS), ("DELETE", f"{PAYMENTS}/{PAY}"), ("POST", ACCOUNTS),
                     ("PUT", f"{CONSENTS}/{CNS}"), ("POST", "/healthz"), ("POST", "/readyz"), ("DELETE", "/problems/not_found"), ("PUT", TABLES)]:
    row("method", f"{method} {path}", method, path, 405, "method_not_allowed", None, "this path takes", token=None)
for path in ("/example/v1/ping%00", "/example/v1%5cping", "/example%2fv1/ping", "/example/v1/%c0%ae", "/example/v1/ping%0a", "/%ff"):
    row("target", path, "GET", path, 400, "bad_request", None, "the path", token=None)
row("target", "a long path", "GET", "/" + "x" * 3000, 414, "uri_too_long", None, "2048", token=None)
row("target", "a long query", "GET", PAYMENTS + "?x=" + "x" * 8200, 414, "uri_too_long", None, "8192", token=None)
row("target", "another host", "GET", "/healthz", 421, "misdirected_request", headers=[("host", "elsewhere.example")], token=None)

# ---- who asks ----

for path in (PAYMENTS, ACCOUNTS, CONSENTS, SCRIPTS, "/example/v1/ping", f"{PAYMENTS}/123"):
    row("token", f"none for {path}", "GET", path, 401, "token_missing", ("header", "authorization"), "no Authorization", token=None)
for sent in ("Bearer x", "Bearer", "bearer x.y.z", "Basic YTpi", "Token x", "DPoP x", "x", "Bearer " + "x" * 3000, "Bearer eyJhbGciOiJub25lIn0.e30."):
    row("token", sent[:30], "GET", PAYMENTS, 401, "token_invalid", ("header", "authorization"), "", token=sent)
row("token", "the good one under DPoP", "GET", PAYMENTS, 401, "token_invalid", ("header", "authorization"), "", token="DPoP {token}")
for method, path in [("POST", PAYMENTS), ("GET", ACCOUNTS), ("GET", CONSENTS), ("GET", SCRIPTS), ("GET", "/example/v1/ping")]:
    row("scope", f"{method} {path}", method, path, 403, "insufficient_scope", None, "needs the scope", None if method == "GET" else GOOD, token="narrow")
for method, path in [("POST", PAYMENTS), ("GET", PAYMENTS), ("GET", ACCOUNTS), ("GET", "/example/v1/ping")]:
    row("entitlement", f"{method} {path}", method, path, 403, "not_entitled", None, "no entitlement", None if method == "GET" else GOOD, token="stranger")

# ---- header fields ----

for path, body in [(PAYMENTS, GOOD), (f"{PAYMENTS}/{{payment}}/refunds", {}), (SCRIPTS, {"source": "return {}"}), (f"{SCRIPTS}/{SCR}/stops", None)]:
    row("key", f"none for {path}", "POST", path, 400, "idempotency_key_missing", ("header", "idempotency-key"), "needs an", body, key=None)
for key in ("", '""', '"', '"a', 'a"b', "a b", "x" * 256, '"' + "x" * 256 + '"', "a,b", '"a\\b"', "\\"):
    row("key", repr(key)[:40], "POST", PAYMENTS, 400, "idempotency_key_invalid",
        ("header", "idempotency-key"), "1 to 255 visible ASCII", GOOD, key=key)
for name, value in [("idempotency-key", "b"), ("x-idempotency-key", "b"), ("content-type", "application/json"), ("authorization", "Bearer x")]:
    row("repeated", name, "POST", PAYMENTS, 400, "bad_request", ("header", name.removeprefix("x-")), "more than once", GOOD, headers=[(name, value)])
for media in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json", "*/*"):
    row("media type", media, "POST", PAYMENTS, 415, "unsupported_media_type", ("header", "content-type"), "application/json", GOOD,
        headers=[("content-type", media)])
for method, path in [("DELETE", f"{CONSENTS}/{CNS}"), ("POST", f"{SCRIPTS}/{SCR}/stops")]:
    row("body", f"{method} {path} takes none", method, path, 400, "bad_request", ("pointer", ""), "takes no body", {})

# ---- what the books refuse ----

row("books", "an account of nobody", "POST", PAYMENTS, 422, "unknown_account", ("pointer", "/debtor_account"), "", changed(debtor_account=ACC))
row("books", "a payee of nobody", "POST", PAYMENTS, 422, "unknown_account", ("pointer", "/creditor_account"), "", changed(creditor_account=ACC))
row("books", "to itself", "POST", PAYMENTS, 422, "same_account", ("pointer", "/creditor_account"), "", changed(creditor_account="{debtor}"))
row("books", "no currency", "POST", PAYMENTS, 422, "unknown_currency", ("pointer", "/amount/currency"), "",
    changed(amount={"amount": 1, "currency": "ZZZ"}))
row("books", "a reference again", "POST", PAYMENTS, 409, "duplicate_reference", ("pointer", "/reference"), "", changed(reference="{reference}"))
row("books", "a key again", "POST", PAYMENTS, 422, "idempotency_key_reused", None, "", GOOD, key="{key}")
row("books", "more than was paid", "POST", f"{PAYMENTS}/{{payment}}/refunds", 409, "refund_exceeds_payment", None, "",
    {"amount": {"amount": 10**9, "currency": "CNY"}})
row("books", "back in another currency", "POST", f"{PAYMENTS}/{{payment}}/refunds", 422, "currency_mismatch", None, "",
    {"amount": {"amount": 1, "currency": "USD"}})
row("books", "back of what failed", "POST", f"{PAYMENTS}/{{failed}}/refunds", 409, "payment_not_refundable", None, "", {})

# ---- too much ----

row("size", "a body", "POST", PAYMENTS, 413, "body_too_large", None, "", b'{"reference": "' + b"x" * 70_000 + b'"}')
for coding in ("gzip", "br", "identity, gzip"):
    row("coding", coding, "POST", PAYMENTS, 415, "unsupported_content_coding", ("header", "content-encoding"), "content coding", GOOD,
        headers=[("content-encoding", coding)])
for charset in ("gbk", "utf-16", "iso-8859-1"):
    row("charset", charset, "POST", PAYMENTS, 415, "unsupported_media_type", ("header", "content-type"), f"charset {charset}", GOOD,
        headers=[("content-type", f"application/json; charset={charset}")])
row("size", "a header", "GET", "/healthz", 431, "headers_too_large", headers=[("x-large", "x" * 40_000)], token=None)
row("size", "many headers", "GET", "/healthz", 431, "headers_too_large", headers=[(f"x-{n}", "1") for n in range(110)], token=None)
