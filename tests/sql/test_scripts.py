"""Partners' scripts in the books: who may do what to a version, and what holds when many do it at once."""
import hashlib
import json

import psycopg2
import pytest
from books import NOW, PARTNER, id_suffix
from script_damage import DAMAGE
from test_concurrency import together

AUTHOR, REVIEWER, OTHER = "app_" + "a" * 26, "app_" + "b" * 26, "ptr_" + "b" * 26
SOURCE = "return { on_request = function(request) end }"


class Scripts:
    def __init__(self, books):
        self.books = books
        books.query("insert into bank.partner values (%s, 'other', 'active', %s)", OTHER, NOW)

    def do(self, verb, *calls, db=None):
        return self.books.run(f"script.{verb}", *calls, db=db)

    def one(self, verb, body=None, app=AUTHOR, partner=PARTNER, db=None, **path):
        return self.do(verb, self.books.call(body, app=app, partner=partner, path=path), db=db)[0]

    def push(self, source=SOURCE, app=AUTHOR, **more):
        answer = self.one("push", {"source": source}, app=app, **more)
        assert answer["status"] == 201, answer
        return json.loads(answer["body"])

    def review(self, made, app=REVIEWER, verdict="approve", **more):
        return self.one("review", {"version": made["version"], "verdict": verdict}, app=app, script_id=made["script"], **more)

    def activate(self, made, canary=100, **more):
        return self.one("activate", {"version": made["version"], "canary": canary}, script_id=made["script"], **more)

    def ready(self, source=SOURCE):
        made = self.push(source)
        assert self.review(made)["status"] == 201
        return made

    def put(self, table, key, value, partner=PARTNER, db=None):
        return self.one("put_entry", {"value": value}, partner=partner, db=db, table=table, key=key)

    def row(self):
        return self.books.query("select * from script.script where partner = %s", PARTNER)[0]

    def states(self):
        return [r["state"] for r in self.books.query("select state from script.version order by version")]

    def violations(self):
        return sorted({r["invariant"] for r in self.books.query("select * from script.audit(1)")})


@pytest.fixture
def s(books, request):
    it = Scripts(books)
    yield it
    if request.node.get_closest_marker("corrupts") is None:
        assert it.violations() == []
        assert books.query("select * from oauth.audit()") == []


# ---- who may ----

def test_nobody_reviews_what_he_pushed_whichever_way_he_comes(s):
    made = s.push()
    assert (s.review(made, app=AUTHOR)["code"], s.states()) == ("review_by_author", ["draft"])
    by_hand = s.books.query("select (script.review_version(1, 0, %s, %s, 1, 'approve', %s, null, 'operator:x', %s)).*",
                            PARTNER, made["script"], "client:" + AUTHOR, NOW)[0]
    assert by_hand["code"] == "review_by_author"
    for reviewer, who in (("client:" + AUTHOR.upper(), "operator:x"), ("operator:x", "client:" + AUTHOR), ("operator:x", "CLIENT:" + AUTHOR)):
        again = s.books.query("select (script.review_version(1, 0, %s, %s, 1, 'approve', %s, null, %s, %s)).*",
                              PARTNER, made["script"], reviewer, who, NOW)[0]
        assert (again["code"], s.states()) == ("review_by_author", ["draft"]), (reviewer, who)
    with pytest.raises(psycopg2.errors.CheckViolation):
        s.books.query("update script.version set state = 'reviewed', reviewer = author")
    with pytest.raises(psycopg2.errors.CheckViolation):
        s.books.query("update script.version set state = 'active'")


@pytest.mark.parametrize("state, may", [("draft", False), ("reviewed", True), ("rejected", False), ("retired", True), ("active", True)])
def test_only_what_was_reviewed_can_run(s, state, may):
    made = s.push()
    if state != "draft":
        s.review(made, verdict="reject" if state == "rejected" else "approve")
    if state in ("active", "retired"):
        s.activate(made)
    if state == "retired":
        s.one("stop", script_id=made["script"])
    assert s.states() == [state]
    assert s.activate(made)["code"] == (None if may else "not_reviewed")


def test_another_partners_script_is_not_found_by_any_verb(s):
    made = s.ready()
    for verb, body in (("review", {"version": 1, "verdict": "approve"}), ("activate", {"version": 1}), ("roll_back", None), ("stop", None)):
        assert s.one(verb, body, partner=OTHER, script_id=made["script"])["code"] == "not_found"
    assert s.books.query("select * from script.read(1, %s, %s, %s)", OTHER, made["script"], NOW) == []
    assert s.books.query("select * from script.read_version(1, %s, %s, '1')", OTHER, made["script"]) == []
    assert s.books.query("select * from script.list_versions(1, %s, %s, null, null, 10)", OTHER, made["script"]) == []


def test_a_batch_of_partners_is_answered_in_order_and_each_act_recorded(s):
    calls = [s.books.call({"source": f"{SOURCE} -- {n}"}, partner=(PARTNER, OTHER)[n % 2], app=AUTHOR) for n in range(6)]
    bodies = [json.loads(a["body"]) for a in s.do("push", *calls)]
    assert [b["version"] for b in bodies] == [1, 1, 2, 2, 3, 3] and len({b["script"] for b in bodies}) == 2
    assert [b["digest"] for b in bodies] == [hashlib.sha256(f"{SOURCE} -- {n}".encode()).hexdigest() for n in range(6)]
    assert s.books.one("select count(*) from tb.audit_entry where act = 'script.push'") == 6


def test_a_script_has_a_thousand_versions_at_most(s):
    made = s.push()
    s.books.query("insert into script.version (book, version, created_at, script, digest, author, source)"
                  " select 1, n, %s, %s, sha256('x'), 'operator:x', 'x' from generate_series(2, 1000) n", NOW, made["script"])
    assert s.one("push", {"source": SOURCE})["code"] == "conflict"


def test_what_happens_to_scripts_is_told_in_the_banks_time(s):
    s.books.query("update bank.world set clock_offset_ms = 3600000")
    made = s.push()
    assert made["created_at"] == "2026-11-23T07:00:00.123Z"
    assert s.books.one("select at = %s::timestamptz - interval '1 hour' from tb.audit_entry", NOW)


# ---- what workers learn ----

def test_workers_learn_of_every_change_once_and_in_order(s):
    changes = "select * from script.changes(%s, 100)"
    made = s.ready()
    assert s.books.query(changes, 0) == []
    first = json.loads(s.activate(made)["body"])["generation"]
    assert [(r["generation"], r["version"]) for r in s.books.query(changes, 0)] == [(first, 1)]
    assert s.books.query(changes, first) == []
    s.one("stop", script_id=made["script"])
    assert [r["version"] for r in s.books.query(changes, first)] == [None]


def test_a_generation_that_is_seen_has_none_before_it_to_come(s):
    """A reader in a loop beside 8 writers: what it has seen at any time is all there is up to the newest of it."""
    made = s.ready()
    seen = []

    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        if i < 8:
            for n in range(10):
                s.activate(made, canary=1 + n, db=db)
        else:
            newest = 0
            for _ in range(200):
                rows = s.books.query("select generation from script.activation where generation > %s order by 1", newest, db=db)
                if rows:
                    seen.extend(r["generation"] for r in rows)
                    newest = seen[-1]
        db.close()

    together(9, work)
    assert seen == list(range(1, len(seen) + 1))
    assert s.books.one("select generation from script.counter") == 80


# ---- races ----

def test_two_activations_at_once_leave_one_that_runs_and_one_before_it(s):
    one, two = s.ready(), s.ready(SOURCE + " ")

    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        answers = [s.activate((one, two)[(i + n) % 2], db=db) for n in range(10)]
        db.close()
        return answers

    answers = [a for many in together(8, work) for a in many]
    assert {a["status"] for a in answers} == {201}
    bodies = sorted((json.loads(a["body"]) for a in answers), key=lambda b: b["generation"])
    assert [b["generation"] for b in bodies] == list(range(1, 81))
    row = s.row()
    assert (row["version"], row["previous"]) == (bodies[-1]["version"], bodies[-1].get("previous"))
    assert sorted(s.states()) == ["active", "retired"]
    for before, after in zip(bodies, bodies[1:]):
        if before["version"] != after["version"]:
            assert after["previous"] == before["version"]


def test_rollbacks_at_once_step_back_once(s):
    one, two = s.ready(), s.ready(SOURCE + " ")
    s.activate(one)
    s.activate(two)

    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        answer = s.one("roll_back", script_id=one["script"], db=db)
        db.close()
        return answer["code"]

    codes = together(16, work)
    assert sorted(c or "" for c in codes) == [""] + ["nothing_before"] * 15
    assert s.row()["version"] == 1 and s.states() == ["active", "retired"]


def test_first_pushes_at_once_make_one_script(s):
    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        made = s.push(f"{SOURCE} -- {i}", db=db)
        db.close()
        return made

    made = together(16, work)
    assert len({m["script"] for m in made}) == 1 and sorted(m["version"] for m in made) == list(range(1, 17))


def test_reviews_at_once_give_one_verdict(s):
    made = s.push()

    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        answer = s.review(made, app="app_" + id_suffix(i), verdict=("approve", "reject")[i % 2], db=db)
        db.close()
        return answer["status"]

    assert sorted(together(12, work)) == [201] + [409] * 11
    assert s.states()[0] in ("reviewed", "rejected")


# ---- tables ----

def fill(s, tables, entries):
    """So many tables with so many entries in all."""
    rows = [(f"t{n % tables}", f"k{n}") for n in range(entries)]
    s.books.query("insert into script.entry_count select 1, count(*), %s, t from json_to_recordset(%s) as j (t text, k text) group by t",
                  PARTNER, json.dumps([{"t": t, "k": k} for t, k in rows]))
    s.books.query("insert into script.entry select 1, %s, %s, j.t, j.k, 'operator:x', '1' from json_to_recordset(%s) as j (t text, k text)",
                  NOW, PARTNER, json.dumps([{"t": t, "k": k} for t, k in rows]))


def test_the_ten_thousandth_entry_is_the_last_however_many_write_at_once(s):
    fill(s, 3, 9_990)

    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        statuses = [s.put(f"t{n % 3}", f"new{i}-{n}", i, db=db)["status"] for n in range(4)]
        db.close()
        return statuses

    statuses = [one for many in together(16, work) for one in many]
    assert statuses.count(201) == 10 and statuses.count(409) == 54
    assert s.books.one("select count(*) from script.entry") == 10_000
    assert s.put("t0", "k0", "changed")["status"] == 200
    assert s.put("t0", "k0", 1, partner=OTHER)["status"] == 201


def test_the_twentieth_table_is_the_last_however_many_make_one_at_once(s):
    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        answer = s.put(f"t{i}", "k", i, db=db)
        db.close()
        return answer["code"]

    codes = together(32, work)
    assert codes.count(None) == 20 and codes.count("table_quota_exceeded") == 12
    assert s.books.one("select count(*) from script.entry_count") == 20


def test_one_key_is_written_and_deleted_by_many_and_counted_right(s):
    def work(i, gate):
        db = s.books.connect()
        gate.wait()
        for n in range(10):
            if (i + n) % 2:
                s.put("t", "k", n, db=db)
            else:
                s.one("delete_entry", table="t", key="k", db=db)
        db.close()

    together(8, work)
    assert s.books.one("select count(*) from script.entry_count") == s.books.one("select count(*) from script.entry")


def test_a_batch_beyond_the_quota_is_cut_where_it_is_full(s):
    fill(s, 1, 9_998)
    calls = [s.books.call({"value": n}, path={"table": "t0", "key": f"new{n}"}) for n in range(4)]
    assert [a["status"] for a in s.do("put_entry", *calls)] == [201, 201, 409, 409]


def test_a_lookup_is_of_ones_own_book_and_partner(s):
    s.put("t", "k", {"a": 1})
    lookup = "select * from script.lookup(%s, %s, 't', %s)"
    assert json.loads(s.books.query(lookup, 1, PARTNER, "k")[0]["lookup"]) == {"a": 1}
    for book, partner, key in ((1, OTHER, "k"), (2, PARTNER, "k"), (1, PARTNER, "K")):
        assert s.books.query(lookup, book, partner, key) == []


def test_an_operators_hand_on_a_table_is_recorded_with_what_was_there(s):
    s.put("t", "k", 1)
    write = "select (script.admin_entry(1, %s, 't', 'k', %s, 'operator:lan', %s)).status"
    assert s.books.one(write, PARTNER, "2", NOW) == 200 and s.books.one(write, PARTNER, None, NOW) == 204
    assert s.books.one(write, PARTNER, None, NOW) == 404
    acts = s.books.query("select act, before->'value' as before, after->'value' as after from tb.audit_entry order by n")
    assert acts == [{"act": "entry.put", "before": 1, "after": 2}, {"act": "entry.delete", "before": 2, "after": None}]


# ---- proof ----

@pytest.mark.corrupts
@pytest.mark.parametrize("sql, invariant", DAMAGE)
def test_what_does_not_tell_one_story_is_found(s, sql, invariant):
    s.ready()
    s.activate(s.ready(SOURCE + " "))
    s.push()
    s.put("t", "k", 1)
    assert s.violations() == []
    for row in s.books.query("select conname from pg_constraint where conrelid = 'script.version'::regclass and contype = 'c'"):
        s.books.query(f"alter table script.version drop constraint {row['conname']}")
    s.books.query(sql)
    assert invariant in s.violations()
