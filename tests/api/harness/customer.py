"""A client in a world of its own whose users give it consents, and what can be done with the tokens."""

import concurrent.futures
import json
import uuid

from .fapi import FapiClient, granted

SCOPE = "openid accounts:read e-payment:read e-payment:write consents:read consents:write"
CONSENTS = "/consents/v1/consents"
PAYMENTS = "/e-payment/v1/payments"
ACCOUNTS = "/accounts/v1/accounts"


class Customer:
    """A client in a world of its own, whose users give it consents. `accounts`: of the users' company; `payee`: another's."""

    def __init__(self, server, sandbox):
        self.client = FapiClient.register(server, scope=SCOPE)
        self.book = self.client.metadata["tongbao_sandbox"]["book"]
        self.company = self.client.metadata["tongbao_sandbox"]["company"]
        self.db = sandbox.db()
        of = "select id from bank.account where book = %s and currency = 'CNY' and floor is not null and (party = %s) = %s order by id"
        self.accounts = [r[0] for r in self.rows(of, self.book, self.company, True)]
        self.payee, self.other_payee = [r[0] for r in self.rows(of, self.book, self.company, False)][:2]
        self.own = granted(self.client.client_credentials(SCOPE.removeprefix("openid ")))["access_token"]

    def rows(self, sql, *values):
        with self.db.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else None

    def consent(self, detail):
        """Ask for it in the browser, have it approved; (token, refresh token, id of the consent). The detail implies its scope."""
        tokens = self.client.tokens({"scope": "openid", "authorization_details": [detail]})
        id = self.get(CONSENTS)["data"][0]["id"]
        return tokens["access_token"], tokens.get("refresh_token"), id

    def narrowed(self, refresh, **members):
        """An access token whose details are the granted ones with these members, as the answer, too, must say."""
        whole = granted(self.client.refresh(refresh))["authorization_details"]
        less = [{**whole[0], **members}]
        answer = granted(self.client.refresh(refresh, {"authorization_details": json.dumps(less)}))
        assert answer["authorization_details"] == less
        return answer["access_token"]

    def get(self, path, token=None):
        answer = self.client.fetch(token or self.own, path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def at_once(self, n, work):
        """work(client) n times at the same time, each over a connection of its own."""
        clients = [self.client.on_a_connection_of_its_own() for _ in range(n)]
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            answers = list(pool.map(work, clients))
        for client in clients:
            client.server.close()
        return answers

    def pay(self, token, amount, key=None, reference=None, client=None, **changes):
        body = {"reference": reference or "R-" + uuid.uuid4().hex, "debtor_account": self.accounts[0], "creditor_account": self.payee,
                "amount": money(amount), **changes}
        return (client or self.client).fetch(token, PAYMENTS, "POST", json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if code.startswith("consent_"):
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    return answer.json()


def money(amount):
    return {"amount": amount, "currency": "CNY"}


def limits(*pairs):
    return [{"period_type": t, "period_alignment": "Calendar", "amount": money(n)} for t, n in pairs]


def mandate(most, *pairs, **more):
    return {"type": "mandate", "maximum_individual_amount": money(most), "periodic_limits": limits(*pairs), **more}
