"""Keys, certificates and JWTs of a client under test, made so that everything in them can be wrong.

    key = Key("ES256")
    key.jwt({"iss": "me", "exp": 1}, header={"typ": "dpop+jwt", "kid": None})   # None leaves a member out
    key.jwt(claims, sign=Key("ES256"))                                         # says one key, signed with another
"""

import base64
import datetime
import hashlib
import json
import secrets
import time

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(text):
    """base64url of the SHA-256 of a text or bytes, as ath, x5t#S256 and S256 challenges are."""
    return b64(hashlib.sha256(text.encode() if isinstance(text, str) else text).digest())


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def changed(members, changes):
    """The members with changes; None as a value leaves a member out."""
    return {name: value for name, value in {**members, **(changes or {})}.items() if value is not None}


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def peek(token):
    """Header and claims of a JWT, not verified."""
    header, claims, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims))


class Key:
    """A key pair for one algorithm: ES256, PS256, RS256, EdDSA, or Ed25519 (the same keys by the newer name)."""

    def __init__(self, alg="ES256", kid=None):
        self.alg = alg
        if alg == "ES256":
            self.secret = ec.generate_private_key(ec.SECP256R1())
        elif alg in ("PS256", "RS256"):
            self.secret = rsa.generate_private_key(65537, 2048)
        else:
            self.secret = ed25519.Ed25519PrivateKey.generate()
        self.kid = kid or secrets.token_urlsafe(9)

    def bare_jwk(self, private=False):
        """The key and nothing else, as RFC 7638 digests it; with the secret part if asked."""
        if self.alg == "ES256":
            numbers = self.secret.public_key().public_numbers()
            jwk = {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}
            d = b64(self.secret.private_numbers().private_value.to_bytes(32, "big"))
        elif self.alg in ("PS256", "RS256"):
            numbers = self.secret.public_key().public_numbers()
            jwk = {"e": number(numbers.e), "kty": "RSA", "n": number(numbers.n)}
            d = number(self.secret.private_numbers().d)
        else:
            raw = serialization.Encoding.Raw
            jwk = {"crv": "Ed25519", "kty": "OKP",
                   "x": b64(self.secret.public_key().public_bytes(raw, serialization.PublicFormat.Raw))}
            d = b64(self.secret.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()))
        return {**jwk, "d": d} if private else jwk

    def jwk(self, **members):
        """The public key as a client registers it."""
        return {**self.bare_jwk(), "kid": self.kid, "alg": self.alg, "use": "sig", **members}

    @property
    def thumbprint(self):
        """RFC 7638."""
        return sha256(compact(self.bare_jwk()))

    def sign(self, data, alg=None):
        alg = alg or self.alg
        if alg == "none":
            return b""
        if alg == "ES256":
            r, s = utils.decode_dss_signature(self.secret.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if alg in ("PS256", "RS256"):
            return self.secret.sign(data, PSS if alg == "PS256" else padding.PKCS1v15(), hashes.SHA256())
        return self.secret.sign(data)

    def jwt(self, claims, header=None, alg=None, sign=None):
        """A JWT that names this key, by `alg`; signed with this key, or with `sign` behind its back."""
        alg = alg or self.alg
        head = changed({"alg": alg, "kid": self.kid}, header)
        claims = {name: value for name, value in claims.items() if value is not None}
        data = f"{b64(compact(head))}.{b64(compact(claims))}"
        return f"{data}.{b64((sign or self).sign(data.encode(), alg))}"


def public_key(jwk):
    if jwk["kty"] == "EC":
        x, y = (int.from_bytes(unb64(jwk[c]), "big") for c in "xy")
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(*(int.from_bytes(unb64(jwk[c]), "big") for c in "en")).public_key()
    return ed25519.Ed25519PublicKey.from_public_bytes(unb64(jwk["x"]))


def verified(token, jwks):
    """Header and claims of a JWT signed by the key of the set that its kid names; AssertionError otherwise."""
    header, claims = peek(token)
    assert header["alg"] in ("ES256", "PS256", "EdDSA", "Ed25519"), header
    named = [jwk for jwk in jwks["keys"] if jwk["kid"] == header["kid"]]
    assert len(named) == 1, f"{len(named)} keys of kid {header['kid']}"
    data, _, signature = token.rpartition(".")
    key, raw = public_key(named[0]), unb64(signature)
    try:
        if named[0]["kty"] == "EC":
            der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            key.verify(der, data.encode(), ec.ECDSA(hashes.SHA256()))
        elif named[0]["kty"] == "RSA":
            key.verify(raw, data.encode(), PSS, hashes.SHA256())
        else:
            key.verify(raw, data.encode())
    except InvalidSignature as wrong:
        raise AssertionError(f"wrong signature: {token}") from wrong
    return header, claims


class Certificate:
    """A self-signed client certificate with its key, in two PEM files of a folder."""

    def __init__(self, folder, name="client"):
        self.key = Key("ES256")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)
        self.certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.secret.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=365)).sign(self.key.secret, hashes.SHA256()))
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        stem = folder / f"{name}-{secrets.token_hex(4)}"
        self.pem_file, self.key_file = f"{stem}.pem", f"{stem}.key"
        with open(self.pem_file, "wb") as out:
            out.write(self.certificate.public_bytes(serialization.Encoding.PEM))
        with open(self.key_file, "wb") as out:
            out.write(self.key.secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))

    @property
    def files(self):
        return self.pem_file, self.key_file

    @property
    def thumbprint(self):
        """x5t#S256 as RFC 8705 §3.1 has it in tokens."""
        return sha256(self.der)

    def jwk(self):
        """The certificate as self_signed_tls_client_auth registers it (RFC 8705 §2.2.2)."""
        return {**self.key.jwk(), "x5c": [base64.b64encode(self.der).decode()]}
