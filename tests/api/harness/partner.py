"""Other partners than the demo's, with apps and accounts of their own, made straight in the books.

    other = Partner(sandbox)
    with other.client() as theirs:
        assert theirs.get(f"/e-payment/v1/payments/{ours}").status_code == 404
"""

import json
import secrets
import time

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
DEMO_BOOK = 1
DEMO_WORLD = "Demo"


def new_id(prefix, book=DEMO_BOOK):
    """An id as the bank makes them: UUIDv8 with 48 bits of milliseconds, 16 bits of book and the rest random."""
    high = int(time.time() * 1000) << 16 | 8 << 12 | secrets.randbits(12)
    bits = high << 64 | 2 << 62 | book << 46 | secrets.randbits(46)
    return prefix + "_" + "".join(DIGITS[bits >> 5 * i & 31] for i in reversed(range(26)))


class Partner:
    """A partner with one app. In the demo world, or with `book` in a world of its own. `limits`: rows (product, route, name,
    quota, window in ms or "day" or "month") of the app's agreement; none: those of the configuration. `entitlements`: pairs (product, operation); empty
    texts mean all."""

    def __init__(self, sandbox, name="Other partner", book=DEMO_BOOK, limits=(("", "", "test", 10**9, 60_000),),
                 entitlements=(("", ""),)):
        self.sandbox, self.book = sandbox, book
        self.db = sandbox.db()
        if book != DEMO_BOOK and self.one("select world from bank.book where book = %s", book) is None:
            world = new_id("wld")
            self.run("insert into bank.world (id, name, kind, created_at) values (%s, %s, 'sandbox', now())", world, name)
            self.run("insert into bank.book (book, world) values (%s, %s)", book, world)
        self.world = self.one("select world from bank.book where book = %s", book)
        self.id = new_id("ptr")
        self.run("insert into bank.partner (id, name, created_at) values (%s, %s, now())", self.id, name)
        self.app = self.add_app(limits, entitlements)

    def run(self, sql, *values):
        with self.db.cursor() as cursor:
            cursor.execute(sql, values)

    def one(self, sql, *values):
        with self.db.cursor() as cursor:
            cursor.execute(sql, values)
            row = cursor.fetchone()
        return None if row is None else row[0]

    def add_app(self, limits, entitlements=(("", ""),)):
        app = new_id("app")
        self.run("insert into bank.app (id, partner, world, name, plain_tokens, created_at)"
                 " values (%s, %s, %s, 'Test app', true, now())", app, self.id, self.world)
        for product, operation in entitlements:
            self.run("insert into bank.entitlement (app, product, environment, operation, since)"
                     " values (%s, %s, 'sandbox', %s, now())", app, product, operation)
        for product, route, name, quota, window in limits:
            period, window_ms = (window, None) if window in ("day", "month") else ("rolling", window)
            self.run("insert into bank.app_limit (app, product, route, name, quota, window_ms, period)"
                     " values (%s, %s, %s, %s, %s, %s, %s)", app, product, route, name, quota, window_ms, period)
        return app

    def token(self, scope=None):
        more = ["--scope", scope] if scope else []
        return self.sandbox.cli("token", "--app", self.app, *more).strip()

    def client(self, scope=None, **options):
        return self.sandbox.client(self.token(scope), **options)

    def account(self, currency="CNY", minor=1_000_000, **more):
        """A new account that this partner may debit. `more`: limit_each, limit_day, floor, ceiling."""
        party, account = new_id("pty", self.book), new_id("acc", self.book)
        self.run("insert into bank.party (book, id, kind, name, created_at) values (%s, %s, 'company', 'Test', now())",
                 self.book, party)
        opened = {"id": account, "party": party, "currency": currency, "name": "Test", **more}
        if minor:
            opened["opening"] = {"from": self.settlement(currency), "amount": minor}
        self.run("select bank.open_accounts(%s, %s, %s, now())", self.book, json.dumps([opened]), self.id)
        return account

    def settlement(self, currency):
        """The bank's own account that openings are paid from."""
        sql = "select id from bank.account where book = %s and currency = %s and floor is null order by id limit 1"
        found = self.one(sql, self.book, currency)
        if found is None:
            party, found = new_id("pty", self.book), new_id("acc", self.book)
            self.run("insert into bank.party (book, id, kind, name, created_at) values (%s, %s, 'bank', 'Bank', now())",
                     self.book, party)
            row = {"id": found, "party": party, "currency": currency, "name": "Settlement", "floor": None}
            self.run("select bank.open_accounts(%s, %s, null, now())", self.book, json.dumps([row]))
        return found

    def close_account(self, account):
        """Close an account as the bank does: what is on it goes back to where it came from."""
        self.run("""select bank.post(a.book, array[row('transfer', %s, a.id, %s, a.balance, a.currency, 'closing', now(), false,
                                                     null, null, null, null)::bank.instruction])
                      from bank.account a where a.book = %s and a.id = %s and a.balance > 0""",
                 new_id("xfr", self.book), self.settlement(self.one("select currency from bank.account where id = %s", account)),
                 self.book, account)
        self.run("update bank.account set state = 'closed' where book = %s and id = %s", self.book, account)
