"""OWASP API Security Top 10 (2023), walked over every operation there is: a new one is in these tables without being told."""

import glob
import json
import re
import uuid

import pytest

from harness.client import assert_problem
from harness.inventory import operations
from harness.partner import Partner, new_id
from harness.sandbox import ROOT

OPERATIONS = operations()
SCOPED = [o for o in OPERATIONS if o.scope and o.scope != "openid"]  # openid opens nothing without a customer: test_tokens.py
WITH_OBJECTS = [o for o in SCOPED if o.parameters]
SCOPES = sorted({o.scope for o in SCOPED})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SCRIPT = "return { on_request = function(request) end }"


def key_of(operation):
    return operation.key


class Owner:
    """A partner with one object of every kind."""

    def __init__(self, sandbox, name, book=1):
        self.partner = Partner(sandbox, name, book=book)
        self.client = self.partner.client()
        account, other = self.partner.account(), self.partner.account()
        made = self.client.pay(account, other, 100)
        refund = self.client.post(made.headers["location"] + "/refunds", {"amount": {"amount": 1, "currency": "CNY"}})
        self.grantee = Partner(sandbox, name + "'s grantee", book=book)
        agreement = self.client.post(f"/accounts/v1/accounts/{account}/agreements", {"kind": "refund", "partner": self.grantee.id})
        # A new parameter of a path fails here until somebody says which object stands for it.
        self.objects = {"account_id": account, "payment_id": made.json()["id"], "refund_id": refund.json()["id"],
                        "agreement_id": agreement.json()["id"],
                        "trace_id": made.headers["tongbao-trace-id"], "code": "not_found", "consent_id": self.consent(book),
                        "client_id": self.partner.app, "script_id": self.push()["script"], "version": "1",
                        "table": "t" + uuid.uuid4().hex, "key": uuid.uuid4().hex}
        self.push()
        self.good = {
            "payment_create": lambda: {"reference": f"T-{uuid.uuid4()}", "debtor_account": account, "creditor_account": other,
                                       "amount": {"amount": 1, "currency": "CNY"}, "metadata": {"a": "b"}},
            "refund_create": lambda: {"amount": {"amount": 1, "currency": "CNY"}, "metadata": {"a": "b"}},
            "agreement_create": self.agreement,
            "push": lambda: {"source": SCRIPT},
            "review": lambda: {"version": self.push()["version"], "verdict": "approve"},
            "activate": lambda: {"version": 1},
            "entry_put": lambda: {"value": "x"},
            "recording_put": lambda: {"days": 1},
            "dry_run_post": lambda: {"version": 1, "against": None},
        }
        for version in (1, 2):
            self.script("review_version", version, "approve", "operator:b", None, "operator:b")
        self.objects["dry_run_id"] = self.dry_run()

    def consent(self, book):
        """A consent that a customer is still to give."""
        consent, user = new_id("cns", book), new_id("usr", book)
        company = self.partner.one("select party from bank.account where book = %s limit 1", book)
        self.partner.run("insert into oauth.user_account (id, book, login, name, company, role, password, secret, created_at)"
                         " values (%s, %s, %s, 'Test', %s, 'approver', '-', '-', now())", user, book, user, company)
        self.partner.run("select consent.open(%s, %s, %s, %s, %s, %s, %s, 'accounts:read', null, now())", book, consent,
                         self.partner.id, self.partner.app, company, user,
                         json.dumps([{"type": "account_information", "permissions": ["balances"]}]))
        return consent

    def agreement(self):
        """Another one, after the one in force has ended."""
        self.partner.run("select bank.end_agreement(a.book, a.id, 'bank test', now()) from bank.agreement a where a.partner = %s",
                         self.grantee.id)
        return {"kind": "refund", "partner": self.grantee.id}

    def push(self):
        """Another version of the partner's script, by the bank."""
        return self.partner.one("select a.body::json from script.push_version(%s, 0, %s, %s, %s, 'operator:a', null, 'operator:a', now()) a",
                                self.partner.book, self.partner.id, new_id("x")[2:], SCRIPT)

    def dry_run(self):
        """A dry run, over when it has looked at what there is of recordings."""
        answer = self.client.post(f"/scripts/v1/scripts/{self.objects['script_id']}/dry-runs", self.good["dry_run_post"](), key=None)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def script(self, step, *values):
        more = ", %s" * len(values)
        self.partner.run(f"select script.{step}(%s, 0, %s, %s{more}, now())", self.partner.book, self.partner.id,
                         self.objects["script_id"], *values)

    def run_scripts(self):
        """What operations on scripts use up: a version to roll back to, an entry to take away."""
        for version in (1, 2):
            self.script("activate_version", version, 100, "deny", "skip", "operator:a")
        self.partner.run("select script.write_entry(%s, 0, %s, %s, %s, '1', 'operator:a', now())", self.partner.book, self.partner.id,
                         self.objects["table"], self.objects["key"])

    def ask(self, operation, objects, client=None, **changes):
        path = operation.at(**objects)
        body = self.good[operation.body_schema]() | changes if operation.body_schema else None
        if operation.path.startswith("/scripts/"):
            self.run_scripts()
        if operation.path.endswith("/recording"):
            self.client.http.put("/scripts/v1/recording", json={"days": 1})
        if operation.method == "POST":
            return (client or self.client).post(path, body)
        return (client or self.client).http.request(operation.method, path, json=body)


@pytest.fixture(scope="module")
def owner(sandbox):
    return Owner(sandbox, "Owner")


@pytest.fixture(scope="module")
def stranger(sandbox):
    return Owner(sandbox, "Stranger")


@pytest.fixture(scope="module")
def foreigner(sandbox):
    return Owner(sandbox, "Foreigner", book=72)


def test_the_inventory_is_what_the_products_say(sandbox):
    """What is read from the sources is what `tongbao plugin doc` prints of what was built."""
    built = set()
    for plugin in glob.glob(f"{sandbox.build}/plugins/e*.so"):
        built |= set(re.findall(r"\| `([A-Z]+ /\S+)` \|", sandbox.cli("plugin", "doc", "--schemas", f"{ROOT}/schemas", plugin)))
    assert {f"{o.method} {o.path}" for o in OPERATIONS if o.path.startswith(("/e-payment/", "/example/"))} == built


# ---- API1: broken object level authorization ----

@pytest.mark.parametrize("operation", SCOPED, ids=key_of)
def test_the_owner_gets_what_is_its_own(owner, operation):
    assert owner.ask(operation, owner.objects).status_code in (200, 201, 204)


@pytest.mark.parametrize("who", ["stranger", "foreigner"])
@pytest.mark.parametrize("operation", [o for o in WITH_OBJECTS if o.method != "PUT"], ids=key_of)  # what is put is named by who puts it
def test_what_is_anothers_is_not_found(owner, request, operation, who):
    """Not its object with any of the ids being the owner's, and not told apart from what does not exist."""
    other = request.getfixturevalue(who)
    nobody = {name: new_id(prefix) if prefix else str(uuid.uuid4()) for name, prefix in operation.parameters}
    nothing = assert_problem(other.ask(operation, nobody), 404, "not_found")
    names = [name for name, _ in operation.parameters if name != "version"]  # which is a number below its script
    for mask in range(1, 2 ** len(names)):
        mixed = {**owner.objects, **{n: (owner if mask >> i & 1 else other).objects[n] for i, n in enumerate(names)}}
        answer = other.ask(operation, mixed)
        problem = assert_problem(answer, 404, "not_found")
        assert set(problem) == set(nothing) and problem["title"] == nothing["title"]


@pytest.mark.parametrize("operation", [o for o in SCOPED if o.method == "GET" and not o.parameters], ids=key_of)
def test_lists_have_only_what_is_ones_own(owner, stranger, foreigner, operation):
    owner.client.get(operation.path)
    for other in (stranger, foreigner):
        answer = other.ask(operation, {})
        assert answer.status_code == 200
        own = {"trace_id"} if operation.path.startswith("/traces/") else set(owner.objects) - {"version"}  # traces say what was asked for
        assert not [name for name in own if owner.objects[name] in answer.text]


# ---- API2: broken authentication ----

@pytest.mark.parametrize("operation", SCOPED, ids=key_of)
def test_without_a_token_nothing_is_open(owner, anyone, operation):
    assert_problem(owner.ask(operation, owner.objects, anyone), 401, "token_missing")


def test_only_the_platforms_own_pages_are_open():
    """What the authorization server serves authenticates clients and customers by itself: test_fapi_*.py."""
    assert {o.path for o in OPERATIONS if o.scope is None and not o.path.startswith("/oauth/")} == {
        "/healthz", "/readyz", "/metrics", "/operator/traces", "/operator/traces/{trace_id}", "/problems/{code}", "*",
        "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"}


# ---- API3: broken object property level authorization ----

HIDDEN = ["id", "object", "state", "book", "partner", "app", "refunded", "failure", "created_at", "updated_at", "currency", "is_admin", "__proto__",
          "constructor", "fee", "exponent"]
SETTABLE = {("agreement_create", "partner")}


@pytest.mark.parametrize("operation", [o for o in SCOPED if o.body_schema], ids=key_of)
@pytest.mark.parametrize("name", HIDDEN)
def test_a_member_that_is_not_the_clients_to_set_is_refused(owner, operation, name):
    if (operation.body_schema, name) in SETTABLE:
        return
    body = owner.good[operation.body_schema]()
    assert name not in body
    problem = assert_problem(owner.ask(operation, owner.objects, **{name: "x"}), 422, "invalid_body")
    assert [e["pointer"] for e in problem["errors"]] == ["/" + name]
    for inner in [k for k, v in body.items() if isinstance(v, dict) and k != "metadata"]:
        if name not in body[inner]:
            problem = assert_problem(owner.ask(operation, owner.objects, **{inner: {**body[inner], name: "x"}}), 422, "invalid_body")
            assert [e["pointer"] for e in problem["errors"]] == [f"/{inner}/{name}"]


@pytest.mark.parametrize("operation", [o for o in SCOPED if o.method == "GET"], ids=key_of)
def test_no_answer_tells_of_partners_apps_or_books(owner, operation):
    text = owner.ask(operation, owner.objects).text
    assert owner.partner.id not in text and '"book"' not in text
    # a partner may have several apps, and a consent or a script's version is one app's
    assert owner.partner.app not in text or operation.path.startswith(("/consents/", "/scripts/"))


# ---- API5: broken function level authorization ----

@pytest.mark.parametrize("operation", SCOPED, ids=key_of)
def test_only_its_own_scope_opens_an_operation(owner, operation):
    others = " ".join(s for s in SCOPES if s != operation.scope)
    with owner.partner.client(others) as client:
        assert_problem(owner.ask(operation, owner.objects, client), 403, "insufficient_scope")
    with owner.partner.client(operation.scope) as client:
        assert owner.ask(operation, owner.objects, client).status_code in (200, 201, 204, 409)


@pytest.mark.parametrize("path", sorted({o.path for o in OPERATIONS} - {"*"}))  # which is no path of a URL: test_edge_syntax.py
def test_another_method_is_not_another_way_in(owner, path):
    known = {o.method for o in OPERATIONS if o.path == path}
    known |= {"HEAD"} if "GET" in known else set()
    operation = next(o for o in OPERATIONS if o.path == path)
    for method in set(METHODS) - known:
        answer = owner.client.http.request(method, operation.at(**owner.objects), headers={"x-http-method-override": next(iter(known))})
        if answer.headers["content-type"] == "application/problem+json":
            assert_problem(answer, 405, "method_not_allowed")
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == known


@pytest.mark.parametrize("operation", SCOPED, ids=key_of)
def test_another_version_is_not_another_way_in(owner, operation):
    for version in ("v0", "v2", "v01", "V1", "latest", "internal"):
        path = operation.at(**owner.objects).replace("/v1/", f"/{version}/", 1)
        assert owner.client.http.request(operation.method, path).json()["code"] == "no_such_route"


# ---- API4 and API8: resources and configuration ----

LISTS = [o for o in SCOPED if o.method == "GET" and o.path.endswith("s")]


@pytest.mark.parametrize("operation", LISTS, ids=key_of)
def test_no_list_is_without_end(owner, operation):
    assert owner.client.get(operation.at(**owner.objects) + "?limit=101").json()["code"] == "bad_parameter"


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"},
                                     {"origin": "https://evil.example", "access-control-request-method": "POST"}])
def test_no_other_site_is_let_in_by_a_browser(owner, headers):
    for method in ("GET", "OPTIONS"):
        answer = owner.client.http.request(method, "/example/v1/ping", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("sent", ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-original-url", "x-rewrite-url"])
def test_a_header_does_not_change_who_asks_or_for_what(anyone, sent):
    for value in ("127.0.0.1", "10.0.0.1", "/healthz", "for=127.0.0.1;host=evil.example"):
        assert_problem(anyone.get("/example/v1/ping", headers={sent: value}), 401, "token_missing")
