"""Notes every secret that passes between clients, browsers and the bank: tokens, codes, assertions, proofs, passwords. Hooks
into the HTTP clients, so what is noted is what was on the wire, whoever sent it.

    seen = SecretsSeen()
    seen.watch(server.http())
    ...
    seen.values     # {"the secret": "where it was seen"}
"""

import json
import urllib.parse

# What makes a member or parameter a secret, here or in what it opens. Neither state nor nonce is one: they bind, and
# the bank keeps them with the request.
NAMES = {"code", "access_token", "refresh_token", "id_token", "token", "client_assertion", "client_secret", "request",
         "code_verifier", "password", "auth_req_id", "request_uri", "registration_access_token", "response", "totp", "otp",
         "totp_secret", "client_notification_token", "software_statement", "csrf"}
FIELDS = ("authorization", "dpop")


class SecretsSeen:
    def __init__(self):
        self.values = {}

    def watch(self, http):
        """Note what an httpx.Client sends and gets from now on."""
        http.event_hooks = {"request": [self.request], "response": [self.response]}

    def note(self, value, where):
        # Six digits of a one-time code stand by chance in any number; they open nothing a second time.
        if isinstance(value, str) and len(value) >= 10:
            self.values.setdefault(value, where)

    def pairs(self, text, where):
        for name, value in urllib.parse.parse_qsl(text):
            # On the dashboard a request goes by its digest; elsewhere it is a signed object.
            if name in NAMES and (name != "request" or value.count(".") == 2):
                self.note(value, f"{where} {name}")

    def members(self, value, where):
        if isinstance(value, dict):
            for name, member in value.items():
                if name in NAMES - {"code"} and isinstance(member, str):  # in JSON, `code` names an error
                    self.note(member, f"{where} {name}")
                self.members(member, where)
        elif isinstance(value, list):
            for member in value:
                self.members(member, where)

    def fields(self, headers, where):
        for name, value in headers.multi_items():
            if name in FIELDS:
                self.note(value.split(" ", 1)[-1], f"{where} {name}")
            elif name == "cookie":
                for cookie in value.split("; "):
                    self.note(cookie.partition("=")[2], f"{where} cookie")
            elif name == "set-cookie":
                self.note(value.split(";")[0].partition("=")[2], f"{where} cookie")
            elif name == "location":
                self.pairs(urllib.parse.urlsplit(value).query, f"{where} location")

    def request(self, request):
        where = f"{request.method} {request.url.path}"
        self.fields(request.headers, where)
        self.pairs(request.url.query.decode(), where)
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.pairs(request.content.decode(), where)
        elif request.headers.get("content-type", "").startswith("application/json") and request.content:
            self.members(json.loads(request.content), where)

    def response(self, answer):
        answer.read()
        where = f"answer to {answer.request.method} {answer.request.url.path}"
        self.fields(answer.headers, where)
        if "json" in answer.headers.get("content-type", ""):
            self.members(answer.json(), where)
