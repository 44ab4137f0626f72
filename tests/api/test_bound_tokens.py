"""Tokens bound to a client certificate (RFC 8705 §3): good over connections made with it, and nothing over any other."""

import base64
import hashlib
import socket
import ssl
import subprocess

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.forge import Forger

PING = "/example/v1/ping"


def thumbprint(path):
    with open(path, "rb") as opened:
        der = x509.load_pem_x509_certificate(opened.read()).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


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
    return Forger(sandbox).token(claims={"cnf": {"x5t#S256": thumbprint(own[0])}})


def status(sandbox, token, **options):
    with sandbox.client(token, **options) as client:
        return [client.get(PING).status_code for _ in range(2)]


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
def test_a_bound_token_is_good_with_its_certificate(sandbox, bound, own, http2):
    assert status(sandbox, bound, cert=own, http2=http2) == [200, 200]


def test_a_bound_token_is_nothing_without_it(sandbox, bound, own):
    assert status(sandbox, bound, cert=own) == [200, 200]  # and now it is remembered
    assert status(sandbox, bound) == [401, 401]


def test_a_bound_token_is_nothing_with_another_certificate(sandbox, bound, own, self_signed):
    assert status(sandbox, bound, cert=own) == [200, 200]
    with sandbox.client(bound, cert=self_signed) as client:
        try:
            assert client.get(PING).status_code == 401
        except httpx.TransportError:
            pass  # a certificate nobody vouches for need not get as far as that


def test_a_token_bound_to_nobody_is_good_with_any_certificate(sandbox, own):
    assert status(sandbox, sandbox.token, cert=own) == [200, 200]


def test_a_resumed_session_still_has_its_certificate(sandbox, bound, own):
    """The ticket of a session stands for the certificate it was made with, and for no other."""
    def ask(context, session=None):
        with socket.create_connection(("127.0.0.1", sandbox.port)) as tcp, \
                context.wrap_socket(tcp, server_hostname="localhost", session=session) as s:
            host = sandbox.url.removeprefix("https://")
            s.sendall(f"GET {PING} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bound}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
            return int(answer.split()[1]), s.session, s.session_reused
    context = ssl.create_default_context(cafile=sandbox.ca)
    context.load_cert_chain(*own)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    code, session, _ = ask(context)
    again, _, reused = ask(context, session)
    assert (code, again, reused) == (200, 200, True)
    bare = ssl.create_default_context(cafile=sandbox.ca)
    bare.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask(bare)[0] == 401
