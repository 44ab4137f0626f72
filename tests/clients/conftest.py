"""What the tests with others' clients share: npm's packages, and one sandbox."""

import datetime
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge import install
from harness import Sandbox

os.environ.setdefault("TB_SANDBOX_FSYNC", "off")


@pytest.fixture(scope="session", autouse=True)
def packages():
    install()


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as it:
        yield it


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A client certificate that nobody but its holder signed."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "partner.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256()))
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()))
    return {"CLIENT_CERTIFICATE": str(folder / "certificate.pem"), "CLIENT_KEY": str(folder / "key.pem")}
