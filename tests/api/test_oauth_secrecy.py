"""No token, code, secret, assertion or password is in any log, trace or metric, and the database has nothing that opens
anything: what was on the wire during a whole run of flows, good and bad, is searched for everywhere the bank writes."""

import glob
import os
import subprocess

import pytest

from harness import Sandbox
from harness.fapi import CIBA_GRANT, FapiClient, Server, granted, token_of
from harness.jose import Certificate
from harness.sandbox import ROOT
from harness.secrets_seen import SecretsSeen

PIECE = 24  # characters of a longer secret that must not show up either: a log line may be cut
BASIC = {"token_endpoint_auth_method": "client_secret_basic", "jwks": None, "token_endpoint_auth_signing_alg": None}


def flows(server, seen, folder):
    """Every kind of client, every endpoint, and failures of each; the request ids of all answers."""
    ids = []

    def keep_id(answer):
        if "x-request-id" in answer.headers:
            ids.append(answer.headers["x-request-id"])

    def watch(http):
        seen.watch(http)
        http.event_hooks = {**http.event_hooks, "response": [*http.event_hooks["response"], keep_id]}

    watch(server.http())
    certificate = Certificate(folder)
    watch(server.http(certificate))
    grants = ["authorization_code", "refresh_token", "client_credentials", CIBA_GRANT]
    for client in (FapiClient.register(server, grant_types=grants, backchannel_token_delivery_mode="poll"),
                   FapiClient.register(server, alg="PS256", signed=True),
                   FapiClient.register(server, certificate=certificate)):
        watch(client.browser.http)
        for user in client.users:
            seen.note(user.password, "password")
        tokens = client.tokens()
        client.fetch(tokens["access_token"])
        client.fetch(tokens["access_token"], "/oauth/userinfo")
        again = granted(client.refresh(tokens["refresh_token"]), client.token_type)["access_token"]
        client.introspect(again)
        wrong_ways(client, tokens)
        client.revoke(again)
        client.fetch(again)
        client.push().decide(approve=False)
        client.client_credentials()
        managed = {"Authorization": f"Bearer {client.metadata['registration_access_token']}"}
        server.http().get(client.metadata["registration_client_uri"], headers=managed)
        if CIBA_GRANT in client.metadata["grant_types"]:
            backchannel(client)
        client.revoke(tokens["refresh_token"])
        client.refresh(tokens["refresh_token"])
    return ids


def wrong_ways(client, tokens):
    """Each secret where it does not belong, and broken."""
    authorization = client.authorize()
    client.redeem(authorization, {"code_verifier": token_of()})
    client.redeem(authorization)
    http = client.server.http(client.certificate)
    url = client.server.endpoint("token_endpoint", client.certificate)
    http.get(url, params={"code": authorization.code, "access_token": tokens["access_token"]})
    http.post(url, json={"refresh_token": tokens["refresh_token"]})
    http.get("/accounts/v1/accounts", params={"access_token": tokens["access_token"]})
    http.get("/accounts/v1/accounts", headers={"Authorization": f"Bearer {tokens['access_token']}x"})
    http.get("/accounts/v1/accounts/" + tokens["refresh_token"])
    client.refresh(tokens["refresh_token"] + "x")
    client.post("token_endpoint", {"grant_type": tokens["refresh_token"]})
    client.post("token_endpoint", [("grant_type", "refresh_token"), ("refresh_token", "a" * 30), ("refresh_token", "b" * 30)])
    client.client_credentials(auth={**client.credentials(), "client_assertion": client.assertion()[:-3] + "AAA"})
    client.client_credentials(proof="not." + token_of() + ".proof")
    form = [("login", client.users[0].login), ("password", client.users[0].password + "x")]
    client.browser.http.post(client.server.url + "/oauth/login", data=dict(form))


def backchannel(client):
    message = f"S-{token_of(6)}"
    waiting = client.backchannel({"binding_message": message}).json()
    client.poll(waiting["auth_req_id"])
    client.browser.decide_waiting(client.server.url + "/oauth/dashboard", client.users[0], message)
    granted(client.poll(waiting["auth_req_id"]))
    client.poll(waiting["auth_req_id"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A sandbox that logs all it can, after all flows: itself, the secrets, and the ids of its answers."""
    settings = {"TB_LOG_ACCESS": "all", "TB_LOG_LEVEL": "debug", "TB_WORKERS": "2"}
    with Sandbox(settings=settings) as sandbox:
        seen = SecretsSeen()
        ids = flows(Server(sandbox), seen, tmp_path_factory.mktemp("keys"))
        yield sandbox, seen.values, ids


def kinds(values):
    return {where.split()[-1] for where in values.values()}


def test_the_run_showed_secrets_of_every_kind(run):
    """Otherwise nothing below would mean anything."""
    _, values, ids = run
    assert {"code", "access_token", "refresh_token", "id_token", "client_assertion", "code_verifier", "password", "cookie",
            "dpop", "authorization", "request", "request_uri", "response", "auth_req_id", "registration_access_token",
            "totp_secret"} <= kinds(values), sorted(kinds(values))
    assert len(values) > 100 and len(ids) > 100


def leaks(text, values):
    """Which secrets, or long pieces of their ends, are in a text."""
    found = []
    for value, where in values.items():
        end = value[-PIECE:] if len(value) > PIECE else value
        # A JWT's beginning is its header, which says no secret; what is not a JWT must not show its beginning either.
        start = value[:PIECE] if len(value) > PIECE and not value.startswith(("eyJ", "urn:")) else end
        if end in text or start in text:
            found.append(f"{where}: …{end}")
    return found


def test_logs_tell_no_secret(run):
    sandbox, values, _ = run
    assert "/oauth/token" in sandbox.log(), "the access log is on"
    for file in [f"{sandbox.run_dir}/tongbao.log", *glob.glob(f"{sandbox.run_dir}/gateway/**/*", recursive=True),
                 *glob.glob(f"{sandbox.run_dir}/*.log")]:
        if os.path.isfile(file):
            with open(file, encoding="utf-8", errors="replace") as opened:
                assert not leaks(opened.read(), values), file


def test_traces_tell_no_secret(run):
    sandbox, values, ids = run
    seen = 0
    with sandbox.client(token=None) as anyone:
        for name in ids:
            trace = anyone.get(f"/operator/traces/{name}")
            if trace.status_code == 200:
                seen += 1
                assert not leaks(trace.text, values), trace.text
    assert seen > 50


def test_metrics_tell_no_secret(run):
    sandbox, values, _ = run
    with sandbox.client(token=None) as anyone:
        text = anyone.get("/metrics").text
    assert "tongbao" in text or "tb_" in text, text[:200]
    assert not leaks(text, values)


def test_the_database_keeps_digests_only(run):
    sandbox, values, _ = run
    binaries = os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin")
    dump = subprocess.run([os.path.join(binaries, "pg_dump"), "--data-only", "--dbname", sandbox.env["TB_DB"]], cwd=ROOT,
                          capture_output=True, text=True, timeout=60, check=True).stdout
    assert "oauth.grants" in dump and "oauth.user_account" in dump
    assert not leaks(dump, values)
    octets = [line for line in dump.splitlines() if "\\\\x" in line]
    for line in octets:
        raw = bytes.fromhex("".join(c for c in line.partition("\\\\x")[2].split("\t")[0] if c in "0123456789abcdef"))
        assert not leaks(raw.decode("latin-1"), values), line[:100]


def test_problems_and_pages_repeat_no_secret(run):
    """What was wrong is named, not quoted."""
    sandbox, _, _ = run
    secret = token_of()
    with sandbox.client(token=None) as anyone:
        for path in (f"/oauth/authorize?client_id={secret}&request_uri={secret}", f"/oauth/par?x={secret}"):
            assert secret not in anyone.get(path).text
        answer = anyone.http.post("/oauth/token", data={"grant_type": "authorization_code", "code": secret, "client_id": secret,
                                                        "client_assertion": secret})
        assert secret not in answer.text and answer.status_code in (400, 401)


def test_client_secrets_of_a_sandbox_are_kept_as_digests(run):
    sandbox, _, _ = run
    server = Server(sandbox)
    client = FapiClient.register(server, dpop_bound_access_tokens=True, **BASIC)
    secret = client.metadata["client_secret"]
    answer = server.http().post(server.metadata["token_endpoint"], auth=(client.id, secret), headers={
        "DPoP": client.proof("POST", server.metadata["token_endpoint"])}, data={"grant_type": "client_credentials"})
    granted(answer)
    with sandbox.db() as db, db.cursor() as cursor:
        cursor.execute("select coalesce(string_agg(s::text, ' '), '') from oauth.client_secret s")
        assert secret not in cursor.fetchone()[0]
    assert secret not in sandbox.log()
