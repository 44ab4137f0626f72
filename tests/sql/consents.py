"""A hand on consents: a company with users, apps of two partners, and what the authorization server does with them."""
import json

from books import APP, NOW, PARTNER, acc, id_suffix

OTHER = "ptr_" + "b" * 26
OTHER_APP = "app_" + "b" * 26
WEI, LAN, BO, STRANGER = (f"usr_{name:0>26}" for name in ("wei", "lan", "bo", "x"))


def at(seconds=0, day=23):
    """The world's clock: NOW is 16:00:00.123 in Shanghai on a Monday."""
    return f"2026-11-{day:02d}T{8 + seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.123Z"


def money(amount, currency="CNY"):
    return {"amount": amount, "currency": currency}


def payment(amount=300, creditor=2, debtor=None, **more):
    return {"type": "payment", "creditor_account": acc(creditor), "amount": money(amount),
            **({"debtor_account": acc(debtor)} if debtor else {}), **more}


def mandate(most=100, limits=(("Day", "Calendar", 250),), **more):
    return {"type": "mandate", "maximum_individual_amount": money(most), "periodic_limits": [
        {"period_type": t, "period_alignment": a, "amount": money(n)} for t, a, n in limits], **more}


def reading(*permissions, **more):
    return {"type": "account_information", "permissions": list(permissions or ("balances", "entries", "details")), **more}


class Consents:
    """Accounts 1 and 3 (1000 each) and 5 (JPY) are the company's, 2 and 4 another's. The partner itself may debit nothing."""

    def __init__(self, books):
        self.books, self.n = books, 0
        b = books
        b.open((1, 1000, {}), (3, 1000, {}), (5, 0, {"currency": "JPY"}), partner=None)
        b.query("insert into bank.party values (1, 'pty_2', 'company', 'Other', null, %s)", NOW)
        b.open((2, 0, {"party": "pty_2"}), (4, 0, {"party": "pty_2"}), partner=None)
        b.query("insert into bank.partner values (%s, 'other', 'active', %s)", OTHER, NOW)
        for app, partner in ((APP, PARTNER), (OTHER_APP, OTHER)):
            b.query("insert into bank.app (id, partner, world, name, created_at) values (%s, %s, 'wld_1', 'App', %s)",
                    app, partner, NOW)
        for user, company, role in ((WEI, "pty_1", "initiator"), (LAN, "pty_1", "approver"), (BO, "pty_1", "approver"),
                                    (STRANGER, "pty_2", "approver")):
            b.query("insert into oauth.user_account (id, book, login, name, company, role, password, secret, created_at)"
                    " values (%s, 1, %s, 'Name', %s, %s, 'p', 's', %s)", user, user[-5:].strip("0") + "@w1", company, role, NOW)

    def open(self, detail=None, user=WEI, valid_to=None, wall=NOW, partner=PARTNER, app=APP, scope="e-payment:write"):
        self.n += 1
        id = "cns_" + id_suffix(self.n)
        self.books.query("select consent.open(1, %s, %s, %s, 'pty_1', %s, %s, %s, %s, %s)", id, partner, app, user,
                         json.dumps([detail] if detail else []), scope, valid_to, wall)
        return id

    def decide(self, id, user=WEI, accounts=None, approve=True, wall=NOW, db=None):
        return self.books.query("select * from consent.decide(1, %s, %s, %s, %s, %s)", id, user, approve,
                                [acc(a) for a in accounts] if accounts is not None else None, wall, db=db)[0]

    def given(self, detail=None, accounts=(1,), **more):
        """A consent that its user was asked for and gave."""
        id = self.open(detail, **more)
        decision = self.decide(id, accounts=accounts if detail else None, wall=more.get("wall", NOW))
        assert decision["refusal"] is None, decision
        return id

    def change(self, id, accounts, user=WEI, wall=NOW):
        return self.books.query("select * from consent.change_accounts(1, %s, %s, %s, %s)", id, user,
                                [acc(a) for a in accounts], wall)[0]

    def grant(self, id):
        self.n += 1
        grant = "grn_" + id_suffix(self.n)
        self.books.query("select oauth.open_grant(%s, 1, %s, %s, %s, 's', null, %s, null, null, null, null, %s)", grant, APP,
                         PARTNER, WEI, id, NOW)
        self.books.one("select oauth.put_refresh(%s, %s, %s, %s)", "r" * 17 + grant[-26:], grant, APP, NOW)
        return grant

    def revoke(self, id, by_kind="customer", by=WEI, wall=NOW, db=None):
        return [r["revoke"] for r in self.books.query("select consent.revoke(1, %s, %s, %s, %s)", id, by_kind, by, wall, db=db)]

    def read(self, id, when=NOW, partner=PARTNER):
        rows = self.books.query("select consent.read(1, %s, %s, %s)", partner, id, when)
        return json.loads(rows[0]["read"]) if rows else None

    def status(self, id, when=NOW):
        return self.read(id, when)["status"]

    def use(self, id, account=None, when=NOW, types="account_information", app=APP, operation="GET /a", details=None, db=None):
        self.n += 1
        return self.books.one("select consent.use(1, %s, %s, %s, %s, %s, %s, %s, 'req', %s)", id, details, app, "rct_" + id_suffix(self.n), operation,
                              types, acc(account) if account else None, when, db=db)

    def call(self, id, amount=300, creditor=2, debtor=1, when=NOW, key=None, reference=None, **more):
        body = self.books.payment(debtor, creditor, amount, reference)
        return self.books.call(body, key, consent=id, request="req", now=when, **more)

    def pay(self, id, *args, db=None, **more):
        """What became of it: the payment's state, its failure, or the code of the refusal."""
        return self.outcome(self.books.pay(self.call(id, *args, **more), db=db)[0])

    @staticmethod
    def outcome(answer):
        if answer["status"] != 201:
            return answer["code"]
        body = json.loads(answer["body"])
        return body["failure"]["code"] if body["state"] == "failed" else body["state"]

    def receipts(self, id):
        return self.books.query("select * from consent.receipt where consent = %s order by id", id)
