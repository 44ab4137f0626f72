"""Tokens nobody should get: the bank's own signing key, taken out of the database with the secret of the sandbox, so that a
test can sign whatever it likes and be sure that only the thing it changed is wrong.

    forger = Forger(sandbox)
    forger.token()                                  # accepted
    forger.token(claims={"exp": 1})                 # refused, and the signature is right
"""

import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .jose import b64, compact, unb64


def sign_es256(key, data):
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Forger:
    def __init__(self, sandbox):
        with open(f"{sandbox.run_dir}/secret", "rb") as opened:
            master = opened.read().removesuffix(b"\n")
        connection = sandbox.db()
        with connection.cursor() as cursor:
            cursor.execute("select kid, sealed from oauth.signing_key where alg = 'ES256' and purpose = 'token' order by signs_from limit 1")
            self.kid, sealed = cursor.fetchone()
        connection.close()
        sealing = hmac.new(master, b"tongbao signing keys 1", hashlib.sha256).digest()
        bytes_ = unb64(sealed)
        der = AESGCM(sealing).decrypt(bytes_[1:13], bytes_[13:], self.kid.encode())
        self.key = serialization.load_der_private_key(der, None)
        header, claims, _ = sandbox.token.split(".")
        self.header, self.claims = json.loads(unb64(header)), json.loads(unb64(claims))

    def public_pem(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM,
                                                  serialization.PublicFormat.SubjectPublicKeyInfo)

    def public_jwk(self, key=None):
        numbers = (key or self.key).public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}

    def signed(self, header, claims, sign=None):
        """Raw bytes of header and claims, signed with the bank's key unless `sign(data)` does it."""
        data = f"{b64(header)}.{b64(claims)}".encode()
        return f"{data.decode()}.{b64((sign or (lambda d: sign_es256(self.key, d)))(data))}"

    def token(self, header=None, claims=None, sign=None):
        """The demo partner's token with changes; None as a value leaves the member out."""
        now = int(time.time())
        changed = {**self.claims, "iat": now - 5, "exp": now + 600, "jti": f"forged-{time.monotonic_ns()}", **(claims or {})}
        names = {**self.header, **(header or {})}
        return self.signed(compact({k: v for k, v in names.items() if v is not None}),
                           compact({k: v for k, v in changed.items() if v is not None}), sign)
