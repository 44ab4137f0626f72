"""What happens to codes and tokens at the endpoints that issue, explain and take them back. Grants are made in the database as
a customer's decision makes them, so that every case starts from a known one; test_fapi_modules.py takes the whole way."""
import json
import secrets
import threading
import time

import pytest

from harness.fapi import NEW, REDIRECT_URI, RESOURCE, FapiClient, granted, refused
from harness.jose import Certificate, Key, peek, sha256, verified
from harness.sandbox import wait_until

DETAILS = [{"type": "account_information", "permissions": ["balances", "details", "entries"]}]


class Grant:
    """A customer's grant to a client and the code that leads to it."""

    def __init__(self, db, client, scope="openid accounts:read", details=None, claims=None, dpop_jkt=None, age_s=0):
        self.client, self.verifier, self.code = client, secrets.token_urlsafe(48), secrets.token_urlsafe(32)
        self.id, self.nonce = "grn_" + secrets.token_hex(13), secrets.token_urlsafe(8)
        self.db = db
        db.autocommit = True
        with db.cursor() as cursor:
            cursor.execute("select b.book, a.partner from bank.app a join bank.book b on b.world = a.world where a.id = %s", (client.id,))
            book, partner = cursor.fetchone()
            cursor.execute("select id, name from oauth.user_account where book = %s order by id limit 1", (book,))
            self.subject, self.name = cursor.fetchone()
            cursor.execute("select oauth.open_grant(%s, %s, %s, %s, %s, %s, %s, null, %s, %s, 'urn:test:sca', now(), now())",
                           (self.id, book, client.id, partner, self.subject, scope, json.dumps(details) if details else None,
                            json.dumps(claims) if claims else None, self.nonce))
            cursor.execute("select oauth.put_code(%s, %s, %s, 'https://client.example/callback', %s, %s, now() - %s * interval '1 s')",
                           (sha256(self.code), self.id, client.id, sha256(self.verifier), dpop_jkt, age_s))

    def redeem(self, client=None, **changes):
        form = {"grant_type": "authorization_code", "code": self.code, "code_verifier": self.verifier, **changes}
        return (client or self.client).post("token_endpoint", {n: v for n, v in form.items() if v is not None}, proof=NEW)

    def tokens(self):
        return granted(self.redeem(), self.client.token_type)

    def end(self):
        with self.db.cursor() as cursor:
            cursor.execute("select oauth.end_grant(%s, 'bank', now())", (self.id,))

    def ended(self):
        with self.db.cursor() as cursor:
            cursor.execute("select ended_at is not null from oauth.grants where id = %s", (self.id,))
            return cursor.fetchone()[0]


@pytest.fixture
def grant(db, client):
    return lambda **options: Grant(db, options.pop("client", client), **options)


def userinfo(client, token, **options):
    return client.fetch(token, "/oauth/userinfo", **options)


# ---- codes ----

def test_a_code_gives_tokens_of_its_grant(grant, client, fapi):
    it = grant(details=DETAILS)
    tokens = it.tokens()
    assert (tokens["scope"], tokens["token_type"], tokens["expires_in"]) == ("openid accounts:read", "DPoP", 300)
    assert tokens["authorization_details"] == DETAILS
    claims = peek(tokens["access_token"])[1]
    assert (claims["sub"], claims["grant"], claims["client_id"]) == (it.subject, it.id, client.id)
    assert (claims["cnf"], claims["acr"]) == ({"jkt": client.dpop.thumbprint}, "urn:test:sca")
    assert claims["authorization_details"] == DETAILS
    told = client.id_token(tokens["id_token"], it.nonce)
    assert (told["sub"], told["acr"]) == (it.subject, "urn:test:sca") and abs(told["auth_time"] - time.time()) < 60
    assert "name" not in told
    header = peek(tokens["id_token"])[0]
    token_kid = peek(tokens["access_token"])[0]["kid"]
    assert header["kid"] != token_kid, "answers are signed with other keys than tokens"
    assert {header["kid"], token_kid} <= {key["kid"] for key in fapi.jwks()["keys"]}


def test_the_name_is_told_when_the_request_asked_for_it(grant, client):
    it = grant(claims={"id_token": {"name": None}, "userinfo": {"acr": None}})
    tokens = it.tokens()
    assert peek(tokens["id_token"])[1]["name"] == it.name
    info = userinfo(client, tokens["access_token"]).json()
    assert info == {"sub": it.subject, "name": it.name, "acr": "urn:test:sca"}


@pytest.mark.parametrize("changes", [
    {"code_verifier": None}, {"code_verifier": "short"}, {"code_verifier": "v" * 43}, {"code_verifier": "v" * 129},
    {"redirect_uri": "https://client.example/callback/"}, {"code": "unknown"},
], ids=str)
def test_a_code_needs_what_it_was_asked_for_with(grant, changes):
    refused(grant().redeem(**changes), 400, "invalid_grant")


def test_a_missing_code_is_a_malformed_request(grant):
    refused(grant().redeem(code=None), 400, "invalid_request")


def test_the_redirect_uri_need_not_be_repeated_but_may(grant):
    granted(grant().redeem(redirect_uri=REDIRECT_URI))


def test_a_code_is_over_after_sixty_seconds(grant):
    refused(grant(age_s=61).redeem(), 400, "invalid_grant")
    granted(grant(age_s=50).redeem())


def test_another_client_cannot_redeem_and_cannot_harm(grant, other_client):
    it = grant()
    refused(it.redeem(client=other_client), 400, "invalid_grant")
    it.tokens()


def test_a_code_bound_to_a_key_gives_no_token_to_another(grant, client):
    it = grant(dpop_jkt=Key("ES256").thumbprint)
    refused(it.redeem(), 400, "invalid_grant")
    assert it.ended(), "nothing may come of it any more"
    granted(grant(dpop_jkt=client.dpop.thumbprint).redeem())


def test_a_client_that_forgot_its_proof_may_try_again_with_the_same_code(grant, client):
    it = grant()
    answer = client.post("token_endpoint", {"grant_type": "authorization_code", "code": it.code, "code_verifier": it.verifier})
    refused(answer, 400, "invalid_dpop_proof")
    it.tokens()


def test_using_a_code_again_ends_what_came_of_it_at_once(grant, client):
    it = grant()
    tokens = it.tokens()
    assert userinfo(client, tokens["access_token"]).status_code == 200
    refused(it.redeem(), 400, "invalid_grant")
    assert userinfo(client, tokens["access_token"]).status_code == 401
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert it.ended()


def test_one_code_in_many_hands_gives_one_token_which_ends(grant, client):
    it = grant()
    answers = []

    def taker():
        answers.append(it.redeem(client=client.on_a_connection_of_its_own()))

    threads = [threading.Thread(target=taker) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [a for a in answers if a.status_code == 200]
    assert len(good) == 1 and len(answers) == 16
    for answer in answers:
        if answer not in good:
            refused(answer, 400, "invalid_grant")
    assert userinfo(client, good[0].json()["access_token"]).status_code == 401


# ---- refresh tokens ----

def test_a_refresh_token_gives_new_tokens_and_stays(grant, client):
    tokens = grant(details=DETAILS).tokens()
    for _ in range(2):
        again = granted(client.refresh(tokens["refresh_token"]))
        assert again["access_token"] != tokens["access_token"] and "refresh_token" not in again
        assert (again["scope"], again["authorization_details"]) == (tokens["scope"], DETAILS)
        assert "nonce" not in peek(again["id_token"])[1]


def test_a_refresh_may_narrow_and_never_grow(grant, client):
    token = grant(details=DETAILS).tokens()["refresh_token"]
    assert granted(client.refresh(token, {"scope": "openid"}))["scope"] == "openid"
    assert granted(client.refresh(token))["scope"] == "openid accounts:read", "narrowing one token narrows no other"
    refused(client.refresh(token, {"scope": "openid e-payment:write"}), 400, "invalid_scope")
    less = [{"type": "account_information", "permissions": ["balances"]}]
    narrowed = granted(client.refresh(token, {"authorization_details": json.dumps(less)}))
    assert narrowed["authorization_details"][0]["permissions"] == ["balances"]
    more = [{"type": "payment", "creditor_account": "acc_" + "0" * 26, "amount": {"amount": 1, "currency": "CNY"}}]
    refused(client.refresh(token, {"authorization_details": json.dumps(more)}), 400, "invalid_authorization_details")
    refused(client.refresh(token, {"authorization_details": "{"}), 400, "invalid_authorization_details")


def test_a_refresh_token_is_bound_to_its_client_and_a_new_proof_sets_the_new_key(grant, client, other_client):
    token = grant().tokens()["refresh_token"]
    refused(other_client.refresh(token), 400, "invalid_grant")
    refused(client.refresh(token, auth=None), (400, 401), "invalid_client")
    refused(client.refresh(token, proof=[]), 400, "invalid_dpop_proof")
    other_key = Key("ES256")
    proof = client.proof("POST", client.server.metadata["token_endpoint"], key=other_key)
    again = granted(client.refresh(token, proof=proof))
    assert peek(again["access_token"])[1]["cnf"] == {"jkt": other_key.thumbprint}


def test_a_refresh_token_ends_with_its_grant(grant, client):
    it = grant()
    tokens = it.tokens()
    it.end()
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    wait_until(lambda: userinfo(client, tokens["access_token"]).status_code != 200, 1,
               "an end written by another machine counts here")


def test_only_clients_registered_for_it_get_a_refresh_token(grant, fapi):
    plain = FapiClient.register(fapi, grant_types=["authorization_code"])
    tokens = grant(client=plain).tokens()
    assert "refresh_token" not in tokens
    refused(plain.client_credentials(), 400, "unauthorized_client")
    refused(plain.refresh("x"), 400, "unauthorized_client")


# ---- client credentials and the sender constraint ----

def test_a_client_speaks_for_itself_within_its_scope(client):
    tokens = granted(client.client_credentials(scope=None))
    assert tokens["scope"] == "accounts:read" and "refresh_token" not in tokens and "id_token" not in tokens
    claims = peek(tokens["access_token"])[1]
    assert claims["sub"] == client.id and "grant" not in claims
    for scope in ("openid", "accounts:read openid", "accounts:delete", "a  b", '"'):
        refused(client.client_credentials(scope=scope), 400, "invalid_scope")


def test_a_token_of_a_certificate_counts_on_its_connections_alone(mtls_client, tmp_path):
    tokens = granted(mtls_client.client_credentials(), "Bearer")
    token = tokens["access_token"]
    assert peek(token)[1]["cnf"] == {"x5t#S256": mtls_client.certificate.thumbprint}
    assert mtls_client.fetch(token).status_code == 200
    assert mtls_client.fetch(token, certificate=None).status_code == 401
    assert mtls_client.fetch(token, certificate=Certificate(tmp_path)).status_code == 401
    assert mtls_client.fetch(token, scheme="DPoP").status_code == 401


def test_tokens_are_for_this_api_alone(client):
    refused(client.client_credentials(resource="https://elsewhere.example"), 400, "invalid_target")
    granted(client.client_credentials(resource=client.server.issuer))


# ---- introspection ----

@pytest.fixture(scope="module")
def resource_server(fapi, sandbox):
    """A client of the bank's own that may ask about the tokens of the first one's world."""
    server = FapiClient.register(fapi)
    connection = sandbox.db()
    with connection, connection.cursor() as cursor:
        cursor.execute("update oauth.client set resource_server = true where app = %s", (server.id,))
    connection.close()
    return server


@pytest.fixture
def same_world(db, client, resource_server):
    db.autocommit = True
    with db.cursor() as cursor:
        cursor.execute("select world from bank.app where id = %s", (resource_server.id,))
        before = cursor.fetchone()
        cursor.execute("update bank.app set world = (select world from bank.app where id = %s) where id = %s", (client.id, resource_server.id))
        yield
        cursor.execute("update bank.app set world = %s where id = %s", (*before, resource_server.id))


def test_a_client_learns_of_its_own_tokens_only(grant, client, other_client):
    it = grant(details=DETAILS)
    tokens = it.tokens()
    told = client.introspect(tokens["access_token"]).json()
    assert told["active"] is True and (told["sub"], told["client_id"], told["scope"]) == (it.subject, client.id, "openid accounts:read")
    assert told["cnf"] == {"jkt": client.dpop.thumbprint} and told["authorization_details"] == DETAILS
    assert told["token_type"] == "DPoP" and told["iss"] == client.server.issuer and told["exp"] - told["iat"] == 300
    assert not {"book", "env", "partner", "grant", "consent"} & set(told)
    told = client.introspect(tokens["refresh_token"], token_type_hint="access_token").json()
    assert told["active"] is True and told["exp"] > time.time() + 29 * 86400
    for token in tokens["access_token"], tokens["refresh_token"], tokens["id_token"], "x", "a.b.c":
        answer = other_client.introspect(token)
        assert answer.status_code == 200 and answer.json() == {"active": False} and "no-store" in answer.headers["cache-control"]
    assert client.introspect(tokens["id_token"]).json() == {"active": False}


def test_a_resource_server_learns_of_the_tokens_of_its_world(grant, client, resource_server, same_world, fapi):
    token = grant().tokens()["access_token"]
    assert resource_server.introspect(token).json()["client_id"] == client.id
    answer = resource_server.introspect(token, headers={"Accept": "application/token-introspection+jwt"})
    assert answer.headers["content-type"] == "application/token-introspection+jwt"
    header, claims = verified(answer.text, fapi.jwks())
    assert header["typ"] == "token-introspection+jwt"
    assert (claims["iss"], claims["aud"]) == (fapi.issuer, resource_server.id) and abs(claims["iat"] - time.time()) < 10
    assert not {"sub", "exp"} & set(claims)
    assert claims["token_introspection"]["active"] is True and claims["token_introspection"]["client_id"] == client.id
    answer = resource_server.introspect("x", headers={"Accept": "application/token-introspection+jwt"})
    assert verified(answer.text, fapi.jwks())[1]["token_introspection"] == {"active": False}


def test_a_resource_server_learns_nothing_of_other_worlds(grant, resource_server):
    assert resource_server.introspect(grant().tokens()["access_token"]).json() == {"active": False}


def test_a_plain_client_gets_no_signed_answer(client):
    token = granted(client.client_credentials())["access_token"]
    answer = client.introspect(token, headers={"Accept": "application/token-introspection+jwt"})
    assert answer.headers["content-type"] == "application/json" and answer.json()["active"] is True


def test_a_suspended_apps_tokens_are_inactive(db, grant, client, fapi, resource_server, same_world):
    token = grant().tokens()["access_token"]
    db.autocommit = True
    with db.cursor() as cursor:
        cursor.execute("update bank.app set state = 'suspended' where id = %s", (client.id,))
        try:
            assert resource_server.introspect(token).json() == {"active": False}
        finally:
            cursor.execute("update bank.app set state = 'active' where id = %s", (client.id,))


def test_introspection_and_revocation_need_a_client_and_a_token(client):
    for endpoint in "introspection_endpoint", "revocation_endpoint":
        refused(client.post(endpoint, {"token": "x"}, auth=None), (400, 401), "invalid_client")
        refused(client.post(endpoint, {}), 400, "invalid_request")


# ---- revocation ----

def test_a_revoked_access_token_ends_on_every_worker_at_once_and_its_grant_goes_on(grant, client):
    tokens = grant().tokens()
    twins = [client.on_a_connection_of_its_own() for _ in range(8)]
    assert all(userinfo(twin, tokens["access_token"]).status_code == 200 for twin in twins)
    assert client.revoke(tokens["access_token"]).status_code == 200
    assert [userinfo(twin, tokens["access_token"]).status_code for twin in twins] == [401] * 8
    assert client.introspect(tokens["access_token"]).json() == {"active": False}
    granted(client.refresh(tokens["refresh_token"]))


def test_a_revoked_refresh_token_takes_its_access_tokens_along(grant, client):
    it = grant()
    tokens = it.tokens()
    second = granted(client.refresh(tokens["refresh_token"]))
    assert client.revoke(tokens["refresh_token"], token_type_hint="refresh_token").status_code == 200
    for token in tokens["access_token"], second["access_token"]:
        assert userinfo(client, token).status_code == 401
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert client.introspect(tokens["refresh_token"]).json() == {"active": False}
    assert it.ended()


def test_nobody_revokes_what_is_not_theirs_and_nobody_can_tell(grant, client, other_client):
    tokens = grant().tokens()
    answers = [other_client.revoke(t) for t in (tokens["access_token"], tokens["refresh_token"], "unknown", "a.b.c")]
    assert {(a.status_code, a.content) for a in answers} == {(200, b"{}")}
    assert userinfo(client, tokens["access_token"]).status_code == 200
    granted(client.refresh(tokens["refresh_token"]))


# ---- userinfo ----

def test_userinfo_tells_who_the_customer_is(grant, client):
    it = grant()
    token = it.tokens()["access_token"]
    for method in "GET", "POST":
        answer = userinfo(client, token, method=method)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == {"sub": it.subject, "name": it.name}
        assert "no-store" in answer.headers["cache-control"]


def test_userinfo_wants_a_bound_token_with_openid_that_stands_for_a_customer(grant, client):
    token = grant().tokens()["access_token"]
    assert userinfo(client, token, proof=None).status_code == 401
    assert userinfo(client, token, scheme="Bearer").status_code == 401
    narrow = grant(scope="accounts:read").tokens()["access_token"]
    answer = userinfo(client, narrow)
    assert answer.status_code == 403 and 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert userinfo(client, granted(client.client_credentials())["access_token"]).status_code == 403


# ---- metadata and keys ----

def test_the_metadata_is_one_document_and_says_only_what_is_served(fapi):
    http = fapi.http()
    one, other = http.get("/.well-known/oauth-authorization-server"), http.get("/.well-known/openid-configuration")
    assert one.json() == other.json() and one.headers["content-type"] == "application/json"
    said = one.json()
    assert said["issuer"] == fapi.url
    for name, url in said.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            method = "GET" if name in ("jwks_uri", "authorization_endpoint", "userinfo_endpoint") else "POST"
            assert http.request(method, url).status_code not in (404, 405), name
    for name, url in said["mtls_endpoint_aliases"].items():
        assert url.startswith("https://") and url.rpartition("/")[2] == said[name].rpartition("/")[2] and url != said[name]


def test_keys_are_rotated_by_hand_and_old_tokens_still_count(sandbox, fapi, client, grant):
    tokens = grant().tokens()
    before = fapi.jwks()["keys"]
    listed = json.loads(sandbox.cli("keys", "list", "--json"))
    assert {key["kid"] for key in listed} == {key["kid"] for key in before}
    assert all(key["kty"] == "EC" and key["use"] == "sig" and key["alg"] == "ES256" and "d" not in key for key in before)
    rotated = json.loads(sandbox.cli("keys", "rotate", "--after", "2", "--json"))
    assert len(rotated) == len(listed) + 2

    def newer():
        new = granted(client.client_credentials())["access_token"]
        return new if peek(new)[0]["kid"] != peek(tokens["access_token"])[0]["kid"] else None
    new = wait_until(newer, 10, "another key signs")
    after = {key["kid"] for key in fapi.jwks()["keys"]}
    assert {key["kid"] for key in before} < after and peek(new)[0]["kid"] in after, "old and new are both published"
    assert client.fetch(new, RESOURCE).status_code == 200
    assert userinfo(client, tokens["access_token"]).status_code == 200, "what the old key signed still counts"
    verified(tokens["id_token"], fapi.jwks())
    assert "public" in fapi.http().get("/oauth/jwks").headers["cache-control"]


# ---- tokens bound to nobody ----

def test_tokens_bound_to_nobody_end_with_the_apps_leave_to_use_them(sandbox, db, fapi):
    """The demo app may; a stranger's app may not unless it says so, and the bank can take it back."""
    strict = FapiClient.register(fapi)
    refused(strict.client_credentials(proof=[]), 400, "invalid_dpop_proof")
    sandbox.cli("token", "--app", strict.id, exit_code=1)
    client = FapiClient.register(fapi, plain_bearer_tokens=True, dpop_bound_access_tokens=False)
    db.autocommit = True
    with db.cursor() as cursor:
        token = granted(client.client_credentials(proof=[]), "Bearer")["access_token"]
        assert client.fetch(token, scheme="Bearer", proof=[]).status_code == 200
        assert client.introspect(token).json()["active"] is True
        assert "openid" not in peek(sandbox.cli("token", "--app", client.id).strip())[1]["scope"].split()
        cursor.execute("update bank.app set plain_tokens = false where id = %s", (client.id,))
    assert client.introspect(token).json() == {"active": False}
    wait_until(lambda: client.fetch(token, scheme="Bearer", proof=[]).status_code == 401, 1, "a worker knows of it")
    granted(client.client_credentials(), "DPoP")
