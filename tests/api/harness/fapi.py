"""A FAPI 2.0 client whose every claim, header and parameter can be wrong: registration, PAR with and without request objects,
authorization through a browser, tokens, proofs of possession, CIBA. Clients are strangers: all they have is the URL.

    server = Server(sandbox)
    client = FapiClient.register(server)
    tokens = client.tokens()                                     # PAR, login, approval, code, token
    client.fetch(tokens["access_token"], "/oauth/userinfo")

    pushed = client.push({"scope": "openid"}, auth=client.credentials({"aud": "https://elsewhere.example"}))
    refused(pushed.answer, 401, "invalid_client")
"""

import copy
import json
import re
import secrets
import time
import urllib.parse

import httpx
from yardstick import slowness

from .browser import Browser, Landing, User
from .client import Prompt
from .jose import Key, changed, sha256, verified

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CIBA_GRANT = "urn:openid:params:grant-type:ciba"
REDIRECT_URI = "https://client.example/callback"
SCOPE = "openid accounts:read"
DETAILS = [{"type": "account_information", "permissions": ["balances", "entries", "details"]}]
RESOURCE = "/accounts/v1/accounts"
NEW = object()  # "make a good one"


def token_of(length=32):
    return secrets.token_urlsafe(length)


def refused(answer, statuses, *codes):
    """The answer is an OAuth error (RFC 6749 §5.2) of one of the statuses and codes, in the form all of them have."""
    statuses = (statuses,) if isinstance(statuses, int) else statuses
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"].split(";")[0] == "application/json", answer.headers
    assert "no-store" in answer.headers["cache-control"], answer.headers
    assert answer.headers["date"] and answer.headers["x-request-id"], answer.headers
    body = answer.json()
    assert body["error"] in codes, body
    assert set(body) <= {"error", "error_description", "error_uri"}, body
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*", body.get("error_description", "")), body
    return body


def granted(answer, token_type="DPoP"):
    """The answer is a successful token response (RFC 6749 §5.1); its JSON."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"].split(";")[0] == "application/json", answer.headers
    assert "no-store" in answer.headers["cache-control"], answer.headers
    assert answer.headers["date"], answer.headers
    body = answer.json()
    assert body["token_type"] == token_type, body
    assert 0 < body["expires_in"] <= 300, body
    assert len(body["access_token"]) >= 22, body
    return body


class Server:
    """The authorization server and the resource server behind one URL."""

    def __init__(self, sandbox):
        self.sandbox, self.url, self.ca = sandbox, sandbox.url, sandbox.ca
        self.clients = {}
        self.metadata = self.http().get("/.well-known/oauth-authorization-server").json()
        self.issuer = self.metadata["issuer"]

    def http(self, certificate=None):
        """An HTTP/2 client; with a certificate, to show it where it is asked for."""
        if certificate not in self.clients:
            cert = certificate.files if certificate else None
            http = httpx.Client(base_url=self.url, verify=self.ca, cert=cert, http1=False, http2=True, timeout=20.0 * slowness())
            http._transport._pool._network_backend = Prompt()
            self.clients[certificate] = http
        return self.clients[certificate]

    def close(self):
        for client in self.clients.values():
            client.close()

    def jwks(self):
        return self.http().get(self.metadata["jwks_uri"]).json()

    def endpoint(self, name, certificate=None):
        """The URL of an endpoint by its name in the metadata; its mTLS alias for whoever has a certificate."""
        aliases = self.metadata.get("mtls_endpoint_aliases", {}) if certificate else {}
        return aliases.get(name) or self.metadata[name]


class Authorization:
    """One request for authorization and what became of it."""

    def __init__(self, client, parameters, verifier, answer):
        self.client, self.parameters, self.verifier, self.answer = client, parameters, verifier, answer
        self.landing = self.response = self.code = None

    @property
    def request_uri(self):
        assert self.answer.status_code == 201, f"{self.answer.status_code} {self.answer.text}"
        return self.answer.json()["request_uri"]

    def url(self, **changes):
        """Where the client sends the browser."""
        query = changed({"client_id": self.client.id, "request_uri": self.request_uri}, changes)
        return self.client.server.metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode(query)

    def decide(self, approve=True, url=None, user=None, browser=None):
        """The user decides. The response that reached the client, checked as every client checks it."""
        client = self.client
        landing = (browser or client.browser).decide(url or self.url(), user or client.users[0], approve)
        assert isinstance(landing, Landing), landing
        assert landing.status in (302, 303), landing.status
        self.landing = landing
        assert landing.address == self.parameters["redirect_uri"].split("?")[0], landing
        self.response = client.read_response(landing)
        assert self.response.get("state") == self.parameters.get("state"), self.response
        assert self.response["iss"] == client.server.issuer, self.response
        self.code = self.response.get("code")
        return self.response


class FapiClient:
    """A registered client: its keys, what it registered (`metadata`, as the server answered) and its world's users."""

    def __init__(self, server, metadata, key, certificate=None):
        self.server, self.metadata, self.key, self.certificate = server, metadata, key, certificate
        self.id = metadata["client_id"]
        self.dpop = None if metadata.get("tls_client_certificate_bound_access_tokens") else Key("ES256")
        self.signed = metadata.get("require_signed_request_object", False)
        sandbox = metadata.get("tongbao_sandbox", {})
        self.accounts = [a["id"] if isinstance(a, dict) else a for a in sandbox.get("accounts", [])]
        self.users = [User(u["login"], u["password"], u["totp_secret"]) for u in sandbox.get("users", [])]
        self._browser = None

    @classmethod
    def register(cls, server, alg="ES256", certificate=None, signed=False, **metadata):
        """A new client in a world of its own. `certificate`: it authenticates by that self-signed certificate and binds its
        tokens to it; `signed`: message signing, so JAR and JARM. `metadata`: changes to what is registered."""
        key = Key(alg)
        wanted = {"client_name": "Test client", "redirect_uris": [REDIRECT_URI], "response_types": ["code"], "scope": SCOPE,
                  "grant_types": ["authorization_code", "refresh_token", "client_credentials"]}
        if certificate:
            wanted.update(token_endpoint_auth_method="self_signed_tls_client_auth", jwks={"keys": [certificate.jwk()]},
                          tls_client_certificate_bound_access_tokens=True)
        else:
            wanted.update(token_endpoint_auth_method="private_key_jwt", token_endpoint_auth_signing_alg=alg,
                          jwks={"keys": [key.jwk()]}, dpop_bound_access_tokens=True)
        if signed:
            wanted.update(require_signed_request_object=True, request_object_signing_alg=alg,
                          authorization_signed_response_alg="ES256")
        answer = server.http().post(server.metadata["registration_endpoint"], json=changed(wanted, metadata))
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        return cls(server, answer.json(), key, certificate)

    @property
    def browser(self):
        """A browser in which a user of the client stays logged in, so that codes of the second factor last."""
        if self._browser is None:
            self._browser = Browser(self.server)
        return self._browser

    def on_a_connection_of_its_own(self):
        """The same client on another machine: same keys, new connections, so maybe another worker."""
        twin = copy.copy(self)
        twin.server = Server(self.server.sandbox)
        return twin

    # ---- what a client signs ----

    def assertion(self, claims=None, header=None, alg=None, sign=None):
        """A client assertion (RFC 7523), with changes."""
        now = int(time.time())
        good = {"iss": self.id, "sub": self.id, "aud": self.server.issuer, "jti": token_of(), "iat": now, "nbf": now,
                "exp": now + 60}
        return self.key.jwt(changed(good, claims), header, alg, sign)

    def credentials(self, claims=None, header=None, alg=None, sign=None):
        """The parameters that authenticate the client."""
        if self.certificate:
            return {"client_id": self.id}
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion(claims, header, alg, sign)}

    def proof(self, method, url, token=None, claims=None, header=None, alg=None, sign=None, key=None):
        """A DPoP proof (RFC 9449 §4.2), with changes."""
        key = key or self.dpop
        good = {"jti": token_of(), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            good["ath"] = sha256(token)
        names = {"typ": "dpop+jwt", "jwk": key.bare_jwk(), "kid": None}
        return key.jwt(changed(good, claims), {**names, **(header or {})}, alg, sign)

    def request_object(self, parameters, claims=None, header=None, alg=None, sign=None):
        """A request object (RFC 9101) of the parameters, with changes."""
        now = int(time.time())
        good = {**parameters, "iss": self.id, "aud": self.server.issuer, "nbf": now, "iat": now, "exp": now + 300,
                "jti": token_of()}
        return self.key.jwt(changed(good, claims), {"typ": "oauth-authz-req+jwt", **(header or {})}, alg, sign)

    # ---- calls ----

    def post(self, endpoint, form, auth=NEW, proof=None, headers=None, certificate=NEW):
        """POST a form to an endpoint of the metadata. `auth`: parameters that authenticate, None for none. `proof`: NEW makes
        one, a text is sent as it is, a list as several headers. `certificate`: another than the client's own, or None."""
        certificate = self.certificate if certificate is NEW else certificate
        url = self.server.endpoint(endpoint, self.certificate)
        auth = self.credentials() if auth is NEW else auth or {}
        pairs = [pair for pair in (form.items() if isinstance(form, dict) else form) if pair not in auth.items()]
        pairs += auth.items()
        if proof is NEW:
            proof = self.proof("POST", url) if self.dpop else None
        fields = [(name, value) for name, value in (headers or {}).items()]
        fields += [("DPoP", p) for p in ([proof] if isinstance(proof, str) else proof or [])]
        fields.append(("Content-Type", "application/x-www-form-urlencoded"))
        return self.server.http(certificate).post(url, content=urllib.parse.urlencode(pairs), headers=fields)

    def parameters(self, changes=None):
        """The parameters of an authorization request and the verifier of its challenge."""
        verifier = token_of()
        good = {"response_type": "code", "client_id": self.id, "redirect_uri": REDIRECT_URI, "scope": SCOPE,
                "state": token_of(16), "nonce": token_of(16), "code_challenge": sha256(verifier),
                "code_challenge_method": "S256", "authorization_details": DETAILS}
        if self.signed:
            good["response_mode"] = "jwt"
        return changed(good, changes), verifier

    def push(self, changes=None, form=None, auth=NEW, proof=None, **signing):
        """PAR (RFC 9126). `changes` of the parameters, `form`: of what is posted; `signing`: claims, header, alg, sign of the
        request object of a client that signs its requests."""
        parameters, verifier = self.parameters(changes)
        if self.signed:
            body = {"client_id": self.id, "request": self.request_object(parameters, **signing)}
        else:
            body = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        answer = self.post("pushed_authorization_request_endpoint", changed(body, form), auth, proof)
        return Authorization(self, parameters, verifier, answer)

    def authorize(self, changes=None, **options):
        """Push, and have the user approve; an Authorization with its code."""
        it = self.push(changes, **options)
        it.decide()
        assert it.code, it.response
        return it

    def read_response(self, landing):
        """What the browser brought back; of a JARM response (JARM §2.3) what the JWT says, verified."""
        if not self.signed:
            assert "response" not in landing.parameters, landing
            return landing.parameters
        assert set(landing.parameters) == {"response"}, landing
        header, claims = verified(landing.parameters["response"], self.server.jwks())
        assert header["alg"] == self.metadata.get("authorization_signed_response_alg", "ES256"), header
        assert claims["aud"] == self.id and time.time() < claims["exp"] <= time.time() + 600, claims
        return {name: value for name, value in claims.items() if name not in ("aud", "exp")}

    def redeem(self, authorization, changes=None, auth=NEW, proof=NEW, **options):
        """Exchange the code; the answer of the token endpoint."""
        good = {"grant_type": "authorization_code", "code": authorization.code, "code_verifier": authorization.verifier,
                "redirect_uri": authorization.parameters["redirect_uri"]}
        return self.post("token_endpoint", changed(good, changes), auth, proof, **options)

    @property
    def token_type(self):
        return "DPoP" if self.dpop else "Bearer"

    def tokens(self, changes=None, **options):
        """The whole flow; the token response, its id token verified when there is one."""
        authorization = self.authorize(changes, **options)
        return self.checked(authorization, self.redeem(authorization))

    def checked(self, authorization, answer):
        """The token response to an Authorization, with all that every successful one must be."""
        body = granted(answer, self.token_type)
        assert len(authorization.code) >= 22, "a code of less than 128 bits"
        assert len(authorization.request_uri.rpartition(":")[2]) >= 22, "a request_uri of less than 128 bits"
        if "refresh_token" in body:
            assert re.fullmatch(r"[\x21-\x7e]{22,}", body["refresh_token"]), body
        if "id_token" in body:
            self.id_token(body["id_token"], authorization.parameters.get("nonce"))
        return body

    def id_token(self, token, nonce=None):
        """The claims of an id token of this client (OpenID Connect Core §3.1.3.7)."""
        header, claims = verified(token, self.server.jwks())
        assert header.get("typ") in (None, "JWT"), header
        assert claims["iss"] == self.server.issuer and claims["aud"] in (self.id, [self.id]), claims
        assert claims["exp"] > time.time() and abs(claims["iat"] - time.time()) < 60 and claims["sub"], claims
        assert claims.get("nonce") == nonce, claims
        assert "s_hash" not in claims, claims
        return claims

    def client_credentials(self, scope="accounts:read", proof=NEW, auth=NEW, **changes):
        form = changed({"grant_type": "client_credentials", "scope": scope}, changes)
        return self.post("token_endpoint", form, auth, proof)

    def refresh(self, token, changes=None, auth=NEW, proof=NEW, **options):
        good = {"grant_type": "refresh_token", "refresh_token": token}
        return self.post("token_endpoint", changed(good, changes), auth, proof, **options)

    def introspect(self, token, headers=None, **form):
        return self.post("introspection_endpoint", {"token": token, **form}, headers=headers)

    def revoke(self, token, **form):
        return self.post("revocation_endpoint", {"token": token, **form})

    def fetch(self, token, path=RESOURCE, method="GET", scheme=None, proof=NEW, headers=None, certificate=NEW, **options):
        """Call the resource server. `proof`: as in post."""
        certificate = self.certificate if certificate is NEW else certificate
        origin = self.server.url
        if self.certificate:
            origin = self.server.endpoint("token_endpoint", self.certificate).rsplit("/oauth/", 1)[0]
        if proof is NEW:
            proof = self.proof(method, origin + path.split("?")[0], token) if self.dpop else None
        fields = [("Authorization", f"{scheme or self.token_type} {token}"), *(headers or {}).items()]
        fields += [("DPoP", p) for p in ([proof] if isinstance(proof, str) else proof or [])]
        return self.server.http(certificate).request(method, origin + path, headers=fields, **options)

    def works(self, token, **options):
        """Whether the resource server takes the token."""
        answer = self.fetch(token, **options)
        assert answer.status_code in (200, 401), f"{answer.status_code} {answer.text}"
        return answer.status_code == 200

    # ---- CIBA ----

    def backchannel(self, changes=None, form=None, auth=NEW, **signing):
        """A backchannel authentication request (CIBA §7.1); signed if the client registered that."""
        good = {"scope": SCOPE, "login_hint": self.users[0].login, "binding_message": f"B{secrets.token_hex(3)}",
                "authorization_details": DETAILS}
        if self.metadata.get("backchannel_token_delivery_mode") == "ping":
            good["client_notification_token"] = token_of()
        parameters = changed(good, changes)
        if self.metadata.get("backchannel_authentication_request_signing_alg"):
            body = {"request": self.request_object(parameters, **signing)}
        else:
            body = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        return self.post("backchannel_authentication_endpoint", changed(body, form), auth)

    def poll(self, auth_req_id, changes=None, auth=NEW, proof=NEW, **options):
        good = {"grant_type": CIBA_GRANT, "auth_req_id": auth_req_id}
        return self.post("token_endpoint", changed(good, changes), auth, proof, **options)
