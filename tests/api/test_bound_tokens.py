"""Tokens bound to a client certificate (RFC 8705 §3): good over connections made with it, and nothing over any other. The
listener that asks for certificates is one of its own."""

import base64
import hashlib
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness import Sandbox
from harness.client import assert_problem
from harness.forge import Forger
from harness.sandbox import wait_until

PING = "/example/v1/ping"
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])


def thumbprint(path):
    with open(path, "rb") as opened:
        der = x509.load_pem_x509_certificate(opened.read()).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def bound_to(sandbox, certificate):
    return Forger(sandbox).token(claims={"cnf": {"x5t#S256": thumbprint(certificate[0])}})


@pytest.fixture(scope="module")
def own(sandbox):
    """The certificate that the token is bound to: one of the sandbox's authority."""
    return f"{sandbox.run_dir}/tls/client.pem", f"{sandbox.run_dir}/tls/client.key"


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=stranger", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture(scope="module")
def bound(sandbox, own):
    return bound_to(sandbox, own)


def status(sandbox, token, mtls=True, **options):
    with sandbox.client(token, mtls=mtls, **options) as client:
        return [client.get(PING).status_code for _ in range(2)]


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
def test_a_bound_token_is_good_with_its_certificate(sandbox, bound, own, http2):
    assert status(sandbox, bound, cert=own, http2=http2) == [200, 200]


def test_a_certificate_that_nobody_vouches_for_proves_that_its_key_is_held(sandbox, self_signed):
    assert status(sandbox, bound_to(sandbox, self_signed), cert=self_signed) == [200, 200]


def test_a_bound_token_is_nothing_without_its_certificate(sandbox, bound, own):
    assert status(sandbox, bound, cert=own) == [200, 200]  # and now it is remembered
    assert status(sandbox, bound) == [401, 401]


def test_a_bound_token_is_nothing_with_another_certificate(sandbox, bound, own, self_signed):
    assert status(sandbox, bound, cert=own) == [200, 200]
    assert status(sandbox, bound, cert=self_signed) == [401, 401]


def test_the_usual_listener_asks_for_no_certificate(sandbox, bound, own):
    assert status(sandbox, bound, mtls=False, cert=own) == [401, 401]


def test_a_bound_token_in_wrong_hands_gets_the_answer_of_any_bad_token(sandbox, bound):
    with sandbox.client(bound, mtls=True) as client:
        answer = client.get(PING)
    assert_problem(answer, 401, "token_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_bound_to_nobody_is_good_with_any_certificate_and_without(sandbox, own):
    assert status(sandbox, sandbox.token, cert=own) == [200, 200]
    assert status(sandbox, sandbox.token) == [200, 200]


# ---- sessions ----

def ask(sandbox, token, context, mtls=True, session=None):
    """One request over HTTP/1.1; its status, the session afterwards, and whether one was resumed."""
    port = sandbox.mtls_port if mtls else sandbox.port
    with socket.create_connection(("127.0.0.1", port)) as tcp, \
            context.wrap_socket(tcp, server_hostname="localhost", session=session) as s:
        s.sendall(f"GET {PING} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n"
                  "Connection: close\r\n\r\n".encode())
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return int(answer.split()[1]), s.session, s.session_reused


def context_of(sandbox, version, certificate=None):
    context = ssl.create_default_context(cafile=sandbox.ca)
    context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(*certificate)
    return context


@VERSIONS
def test_a_resumed_session_still_has_its_certificate(sandbox, bound, own, version):
    """The ticket of a session stands for the certificate it was made with, and for no other."""
    context = context_of(sandbox, version, own)
    code, session, _ = ask(sandbox, bound, context)
    again, _, reused = ask(sandbox, bound, context, session=session)
    assert (code, again, reused) == (200, 200, True)
    assert ask(sandbox, bound, context_of(sandbox, version))[0] == 401


@VERSIONS
def test_a_session_is_resumed_with_the_certificate_it_began_with(sandbox, bound, own, self_signed, version):
    context = context_of(sandbox, version, self_signed)
    code, session, _ = ask(sandbox, bound, context)
    context.load_cert_chain(*own)
    again, _, reused = ask(sandbox, bound, context, session=session)
    assert (code, again, reused) == (401, 401, True)


@VERSIONS
def test_a_session_without_the_question_is_no_answer_to_it(sandbox, bound, own, version):
    context = context_of(sandbox, version, own)
    code, session, _ = ask(sandbox, bound, context, mtls=False)
    again, _, reused = ask(sandbox, bound, context, session=session)
    assert (code, again, reused) == (401, 200, False)


@VERSIONS
def test_a_session_with_a_certificate_is_not_taken_to_the_usual_listener(sandbox, bound, own, version):
    context = context_of(sandbox, version, own)
    code, session, _ = ask(sandbox, bound, context)
    again, _, reused = ask(sandbox, bound, context, mtls=False, session=session)
    assert (code, again, reused) == (200, 401, False)


# ---- both listeners outlive their processes ----

@pytest.mark.parametrize("which", [signal.SIGHUP, signal.SIGUSR2], ids=["SIGHUP", "SIGUSR2"])
def test_a_new_generation_serves_at_both_listeners(which):
    with Sandbox(settings={"TB_WORKERS": "2"}) as own_sandbox:
        certificate = f"{own_sandbox.run_dir}/tls/client.pem", f"{own_sandbox.run_dir}/tls/client.key"
        token = bound_to(own_sandbox, certificate)
        before = own_sandbox.status()
        own_sandbox.signal(which)
        wait_until(lambda: own_sandbox.renewed(before["generation"]), 20, "a new generation")
        after = own_sandbox.status()
        assert len(before["listeners"]) == 2 and after["listeners"] == before["listeners"]
        assert status(own_sandbox, token, cert=certificate) == [200, 200]
        assert status(own_sandbox, token, mtls=False, cert=certificate) == [401, 401]
        assert status(own_sandbox, own_sandbox.token, mtls=False) == [200, 200]
