"""Partners with scripts, put straight into the books.

    it = Scripted(sandbox, hook('return { deny = { code = "closed" } }'))
    assert it.pay().status_code == 403
"""

import time

from yardstick import slowness

from .partner import DEMO_BOOK, Partner, new_id
from .sandbox import wait_until

KNOWN_WITHIN_S = 0.5 * slowness()
"""What was activated counts on every worker: half a second where nothing else runs."""

# What runs is active: script.point only points.
SETTLE = """update script.version v set state = case when v.version = s.version or v.version = s.previous and s.canary < 100
            then 'active' when v.state = 'active' then 'retired' else v.state end
            from script.script s where s.book = v.book and s.id = v.script and v.book = %s and v.script = %s"""


def await_workers(sandbox, generation):
    """Wait until every worker serves what the books had at this generation."""
    wait_until(lambda: sandbox.metric("tongbao_script_generation") >= generation, 2, "every worker knows")


def hook(body, name="on_request", arguments="request"):
    return f"return {{ {name} = function({arguments}) {body} end }}"


def answering(body):
    return hook(body, "on_response", "request, response")


class Scripted(Partner):
    """A partner with a script, two accounts and a client."""

    def __init__(self, sandbox, source=None, **how):
        super().__init__(sandbox, "Scripted", **{k: how.pop(k) for k in ("limits", "entitlements") if k in how})
        self.begin_script()
        self.a, self.b = self.account(), self.account()
        self.http = self.client()
        if source:
            self.activate(source, **how)

    def begin_script(self):
        self.script, self.versions = new_id("scr"), 0
        self.run("insert into script.script (generation, book, id, partner, created_at) values (0, %s, %s, %s, now())",
                 self.book, self.script, self.id)

    def push(self, source):
        self.versions += 1
        self.run("insert into script.version (book, script, version, created_at, digest, author, reviewer, state, source)"
                 " values (%s, %s, %s, now(), sha256(convert_to(%s, 'UTF8')), 'operator:a', 'operator:b', 'reviewed', %s)",
                 self.book, self.script, self.versions, source, source)
        return self.versions

    def point(self, version, previous=None, canary=100, on_request="deny", on_response="skip", kind="activate"):
        self.run("select script.point(%s, %s, %s, %s, %s, %s, %s, %s, 'operator:b', now())", self.book, self.script, version,
                 previous, canary, on_request, on_response, kind)
        self.run(SETTLE, self.book, self.script)
        self.pointed_at = time.monotonic()

    def activate(self, source, **how):
        version = self.push(source)
        self.point(version, **how)
        self.await_workers()
        return version

    def await_workers(self):
        """Wait until every worker knows the script as the books do: what runs, what is off, and whether it is recorded."""
        await_workers(self.sandbox, self.one("select generation from script.script where book = %s and id = %s", self.book, self.script))

    def put(self, table, key, value):
        """An entry of the partner's tables; `value` is JSON text."""
        self.run("insert into script.entry_count (book, partner, table_name, entries) values (%s, %s, %s, 1)"
                 " on conflict (book, partner, table_name) do update set entries = script.entry_count.entries + 1",
                 self.book, self.id, table)
        self.run("insert into script.entry (book, partner, table_name, key, value, updated_at, by)"
                 " values (%s, %s, %s, %s, %s, now(), 'operator:a')", self.book, self.id, table, key, value)

    def pay(self, amount=100, **more):
        return self.http.pay(self.a, self.b, amount, **more)

    def trace(self, answer, client=None, operator=False):
        where = "/operator/traces" if operator else "/traces/v1/traces"
        return (client or self.http).get(f"{where}/{answer.headers['x-request-id']}").json()

    def failures(self):
        with self.db.cursor() as cursor:
            cursor.execute("select hook, ended, why from script.failure where script = %s order by at", (self.script,))
            return cursor.fetchall()


class ScriptedDemo(Scripted):
    """The sandbox's own partner, with a script."""

    def __init__(self, sandbox, source=None, **how):
        self.sandbox, self.book, self.db = sandbox, DEMO_BOOK, sandbox.db()
        self.app = sandbox.env["TB_CLIENT_ID"]
        self.id = self.one("select partner from bank.app where id = %s", self.app)
        self.begin_script()
        if source:
            self.activate(source, **how)
