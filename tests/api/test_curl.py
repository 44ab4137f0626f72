"""Clients that everybody has: curl over both protocols and both versions of TLS, and nghttp."""

import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import uuid

import pytest

from harness.sandbox import ROOT

PAYMENTS = "/e-payment/v1/payments"
PING = "/example/v1/ping"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def curl(sandbox, path, *more):
    """@return protocol, status, headers of the last answer, body"""
    with tempfile.TemporaryDirectory() as scratch:
        head, body = os.path.join(scratch, "head"), os.path.join(scratch, "body")
        said = run("curl", "-sS", "-D", head, "-o", body, "-w", "%{http_version} %{http_code} %{ssl_verify_result}",
                   "--cacert", sandbox.ca, "-H", f"Authorization: Bearer {sandbox.token}", *more, sandbox.url + path)
        assert said.returncode == 0, said.stderr
        version, status, verified = said.stdout.split()
        assert verified == "0"
        with open(head, encoding="ascii") as opened:
            last = opened.read().strip().split("\n\n")[-1]
        with open(body, encoding="utf-8") as opened:
            text = opened.read()
    return version, int(status), dict(line.split(": ", 1) for line in last.split("\n")[1:]), text


@pytest.mark.parametrize("tls", ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("protocol, version", [("--http2", "2"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")])
def test_curl_pays(sandbox, protocol, version, tls):
    body = {"reference": f"CURL-{uuid.uuid4()}", "debtor_account": sandbox.debtor, "creditor_account": sandbox.creditor,
            "amount": {"amount": 12345, "currency": "CNY"}, "purpose": "goods"}
    got, status, headers, text = curl(sandbox, PAYMENTS, protocol, *tls.split(), "-H", f"Idempotency-Key: {uuid.uuid4()}",
                                      "--json", json.dumps(body))
    paid = json.loads(text)
    assert (got, status, paid["state"]) == (version, 201, "succeeded")
    got, status, _, text = curl(sandbox, headers["location"], protocol, *tls.split())
    assert (got, status, json.loads(text)) == (version, 200, paid)


def programs_of_the_readme():
    with open(f"{ROOT}/README.md", encoding="utf-8") as opened:
        return re.findall(r"^```sh\n(.*?)^```$", opened.read(), re.M | re.S)


def bash(sandbox, text, cwd):
    """What the lines print where `sandbox/run` is this sandbox's."""
    os.makedirs(f"{cwd}/sandbox", exist_ok=True)
    if not os.path.exists(f"{cwd}/sandbox/run"):
        os.symlink(sandbox.run_dir, f"{cwd}/sandbox/run")
    return subprocess.run(["bash", "-euc", text], cwd=cwd, capture_output=True, text=True, timeout=30, check=True).stdout


def test_the_request_that_up_prints_is_the_readmes_and_moves_money(sandbox, tmp_path):
    first = programs_of_the_readme()[0]
    assert first in sandbox.said.replace(sandbox.run_dir, "sandbox/run"), sandbox.said
    assert re.search(r"^HTTP/2 201", sandbox.said, re.M)
    again = first[first.index("curl"):]
    answers = bash(sandbox, first + "\n" + again, tmp_path).split("HTTP/2 ")[1:]
    assert [answer[:3] for answer in answers] == ["201", "201"]
    assert "idempotency-replayed" not in answers[0] and "idempotency-replayed: true" in answers[1]
    assert answers[0].split("\n\n")[1] == answers[1].split("\n\n")[1], "the same bytes"


def test_three_lines_of_the_readme_lead_a_stranger_to_a_payment(sandbox, tmp_path):
    first, stranger = programs_of_the_readme()
    paid = json.loads(bash(sandbox, first.split("\n", 1)[0] + "\n" + stranger, tmp_path))
    assert paid["state"] == "succeeded" and paid["amount"] == {"amount": 12345, "currency": "CNY"}
    with open(f"{ROOT}/docs/fapi.md", encoding="utf-8") as opened:
        assert stranger in opened.read(), "the guide shows the same lines"


def test_who_registers_without_a_key_is_told_how_to_go_on(anyone):
    client = anyone.http.post("/oauth/register", json={"client_name": "Trial"}).json()
    refused = anyone.http.post("/oauth/token", data={"grant_type": "client_credentials"},
                               auth=(client["client_id"], client["client_secret"]))
    assert refused.status_code == 400 and refused.json()["error"] == "invalid_dpop_proof"
    assert "plain_bearer_tokens: true" in refused.json()["error_description"]


@pytest.mark.parametrize("options", [["--tls-max", "1.1"], ["--tls-max", "1.2", "--ciphers", "AES128-SHA"],
                                     ["--tls-max", "1.2", "--ciphers", "AES256-GCM-SHA384"],
                                     ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"]], ids=" ".join)
def test_old_tls_and_weak_ciphers_are_refused(sandbox, options):
    said = run("curl", "-sS", "--cacert", sandbox.ca, *options, sandbox.url + "/healthz")
    assert said.returncode == 35, said


def test_a_large_body_asks_before_it_is_sent(sandbox, tmp_path):
    body = tmp_path / "body"
    body.write_text('{"reference":"' + "x" * 60000 + '"}')
    _, status, _, text = curl(sandbox, PAYMENTS, "--http1.1", "-H", "Expect: 100-continue", "-H", "Idempotency-Key: x",
                              "--json", f"@{body}")
    assert status == 422, text


def test_a_chunked_body_is_read(sandbox):
    _, status, _, text = curl(sandbox, PAYMENTS, "--http1.1", "-H", "Transfer-Encoding: chunked", "-H", "Idempotency-Key: x", "--json", "{}")
    assert status == 422 and json.loads(text)["code"] == "invalid_body"


def test_one_connection_carries_many_requests(sandbox):
    said = run("curl", "-sS", "--http1.1", "--cacert", sandbox.ca, "-H", f"Authorization: Bearer {sandbox.token}",
               "-w", "\n%{num_connects} %{http_code}\n", *[sandbox.url + PING] * 20)
    assert re.findall(r"^\d 200$", said.stdout, re.M) == ["1 200"] + ["0 200"] * 19


def test_nghttp_gets_many_streams(sandbox):
    said = run("nghttp", "-v", "-m", "50", f"-HAuthorization: Bearer {sandbox.token}", sandbox.url + PING)
    assert said.returncode == 0 and said.stdout.count(":status: 200") == 50
    assert "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):32" in said.stdout


def test_a_client_certificate_is_asked_for_and_not_needed(sandbox):
    tls = ssl.create_default_context(cafile=sandbox.ca)
    assert tls.verify_mode == ssl.CERT_REQUIRED
    said = run("openssl", "s_client", "-connect", f"127.0.0.1:{sandbox.port}", "-CAfile", sandbox.ca, "-servername", "localhost",
               "-alpn", "h2", "-brief")
    assert "Verification: OK" in said.stderr and "Protocol version: TLSv1.3" in said.stderr


@pytest.mark.parametrize("offered, chosen", [("h2", "h2"), ("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2")])
def test_the_protocol_is_agreed_on_in_the_handshake(sandbox, offered, chosen):
    tls = ssl.create_default_context(cafile=sandbox.ca)
    tls.set_alpn_protocols(offered.split(","))
    with socket.create_connection(("127.0.0.1", sandbox.port)) as tcp, tls.wrap_socket(tcp, server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def test_a_protocol_that_is_not_spoken_is_refused_with_its_alert(sandbox, version):
    tls = ssl.create_default_context(cafile=sandbox.ca)
    tls.minimum_version = tls.maximum_version = version
    tls.set_alpn_protocols(["h3", "spdy/3"])
    with socket.create_connection(("127.0.0.1", sandbox.port)) as tcp, pytest.raises(ssl.SSLError, match="alert no application protocol"):
        tls.wrap_socket(tcp, server_hostname="localhost")


def test_an_old_version_is_refused_with_its_alert(sandbox):
    said = run("openssl", "s_client", "-connect", f"127.0.0.1:{sandbox.port}", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert "alert protocol version" in said.stderr
