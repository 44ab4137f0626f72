"""SQL of core and products against a real PostgreSQL: a private throw-away cluster, and a database per test that is copied
from a template with all migrations applied. `books` is the test's hand on it."""
import glob
import json
import os
import pwd
import shutil
import subprocess
import tempfile

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = "/usr/lib/postgresql/15/bin"
MIGRATIONS = ("core/store", "core/ledger", "core/outbox", "core/oauth", "core/consent", "core/directory", "core/hooks", "plugins/e_payment")
NOW = "2026-11-23T08:00:00.123Z"
PARTNER = "ptr_" + "a" * 26
APP = "app_" + "a" * 26
FP = "0a" * 32

# The statement that core puts around a product's function; only the name differs.
WRAPPED = """
select a.* from tb.begin(%s, %s) b,
  lateral tb.finish(1, b.fresh, b.answered, b.twins, array(select x from {0}(1, b.fresh) x)) a order by a.n"""


def as_postgres(*command):
    if os.geteuid() == 0:
        command = ("runuser", "-u", "postgres", "--") + command
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def cluster():
    home = tempfile.mkdtemp(prefix="tb-sql-")
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        os.chown(home, postgres.pw_uid, postgres.pw_gid)
    as_postgres(BIN + "/initdb", "-D", home + "/data", "-k", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
    # To compile a plan takes longer than all that these databases could be asked; and nothing of it outlives the tests.
    options = (f"-c listen_addresses= -c unix_socket_directories={home} -c max_connections=150 -c deadlock_timeout=200ms"
               " -c jit=off -c fsync=off -c full_page_writes=off -c autovacuum=off")
    as_postgres(BIN + "/pg_ctl", "-D", home + "/data", "-o", options, "-l", home + "/log", "-w", "start")
    try:
        psql = ["psql", "-h", home, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-q"]
        subprocess.run(psql + ["-c", "create database template"], check=True)
        files = [f for room in MIGRATIONS for f in sorted(glob.glob(f"{ROOT}/{room}/sql/*.sql"))]
        subprocess.run(psql + ["-d", "template", "-1"] + [a for f in files for a in ("-f", f)], check=True)
        yield home
    finally:
        as_postgres(BIN + "/pg_ctl", "-D", home + "/data", "-m", "immediate", "stop")
        shutil.rmtree(home)


def id_suffix(n):
    return f"{n:026d}"


def acc(n):
    return "acc_" + id_suffix(n)


class Books:
    """One database with one world, book 1. Calls and instructions are dicts; answers and outcomes come back as dicts."""

    def __init__(self, home, name):
        self.dsn = f"host={home} user=postgres dbname={name}"
        self.db = self.connect()
        self.ids = 1000
        self.query("insert into bank.world values ('wld_1', 'test', 'sandbox', 'Asia/Shanghai', 0, %s)", NOW)
        self.query("insert into bank.book values (1, 'wld_1')")
        self.query("insert into bank.partner values (%s, 'partner', 'active', %s)", PARTNER, NOW)
        self.query("insert into bank.party values (1, 'pty_1', 'company', 'Company', null, %s)", NOW)

    def connect(self):
        db = psycopg2.connect(self.dsn)
        db.autocommit = True
        return db

    def query(self, sql, *args, db=None):
        with (db or self.db).cursor() as cursor:
            cursor.execute(sql, args or None)
            if cursor.description is None:
                return []
            names = [d[0] for d in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def one(self, sql, *args, db=None):
        return next(iter(self.query(sql, *args, db=db)[0].values()))

    def open(self, *accounts, partner=PARTNER):
        """accounts: (number, opening balance, options). A source account without floor, number 0, is made with the first."""
        if not self.query("select from bank.account where id = %s", acc(0)):
            self.open_rows([{"id": acc(0), "party": "pty_1", "currency": "CNY", "name": "Opening", "floor": None}], None)
        rows = []
        for number, opening, options in accounts:
            row = {"id": acc(number), "party": "pty_1", "currency": "CNY", "name": f"Account {number}", **options}
            if opening:
                row["opening"] = {"from": options.get("from", acc(0)), "amount": opening}
            rows.append(row)
        self.open_rows(rows, partner)

    def open_rows(self, rows, partner):
        return self.one("select bank.open_accounts(1, %s, %s, %s)", json.dumps(rows), partner, NOW)

    def new_id(self):
        self.ids += 1
        return id_suffix(self.ids)

    def post(self, *instructions, db=None):
        """Instructions with the members that matter; the others get what a plain transfer has."""
        whole = [{"verb": "transfer", "currency": "CNY", "kind": "test", "at": NOW, "limited": False,
                  **({} if i.get("verb") in ("void", "expire") else {"id": "xfr_" + self.new_id()}), **i}
                 for i in instructions]
        for i in whole:
            for side in ("debit", "credit"):
                if isinstance(i.get(side), int):
                    i[side] = acc(i[side])
        rows = self.query(
            "select * from bank.post(1, array(select jsonb_populate_record(null::bank.instruction, e)"
            " from jsonb_array_elements(%s) with ordinality j (e, n) order by n)) order by n", json.dumps(whole), db=db)
        return [r["code"] for r in rows]

    def account(self, number):
        return self.query("select * from bank.account where id = %s", acc(number))[0]

    def balances(self, *numbers):
        return [self.account(n)["balance"] for n in numbers]

    def call(self, body, key=None, **more):
        return {"n": 0, "id": "pay_" + self.new_id(), "partner": PARTNER, "app": APP, "now": NOW,
                "route": "POST /e-payment/v1/payments", "path": {}, "body": body,
                **({"key": key, "fp": FP} if key else {}), **more}

    def payment(self, debtor, creditor, amount, reference=None, **more):
        return {"reference": reference or "INV-" + self.new_id(), "debtor_account": acc(debtor),
                "creditor_account": acc(creditor), "amount": {"amount": amount, "currency": "CNY"}, **more}

    def run(self, function, *calls, db=None):
        calls = [{**c, "n": n} for n, c in enumerate(calls)]
        return self.query(WRAPPED.format(function), 1, json.dumps(calls), db=db)

    def pay(self, *calls, db=None):
        return self.run("e_payment.pay", *calls, db=db)

    def refund(self, payment, amount=None, key=None, **more):
        body = {"amount": {"amount": amount, "currency": "CNY"}} if amount is not None else {}
        return self.call({**body, **more}, key, path={"payment_id": payment},
                         route="POST /e-payment/v1/payments/{payment_id}/refunds")

    def violations(self):
        rows = self.query("select * from bank.audit(1) union all select * from e_payment.audit(1)"
                          " union all select * from consent.audit(1)")
        return sorted({r["invariant"] for r in rows})


@pytest.fixture
def books(cluster, request):
    name = f"t{abs(hash(request.node.nodeid)):x}"
    admin = psycopg2.connect(f"host={cluster} user=postgres dbname=postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"create database {name} template template")
    books = Books(cluster, name)
    yield books
    if request.node.get_closest_marker("corrupts") is None:
        assert books.violations() == []
    with admin.cursor() as cursor:
        cursor.execute(f"drop database {name} with (force)")
    admin.close()
