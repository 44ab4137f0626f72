"""Recordings and dry runs in the books: only what was asked for, never more than fits, gone when it is old."""
import datetime
import json

import psycopg2
import pytest
from books import NOW, PARTNER

OTHER = "ptr_" + "b" * 26
NOW_AT = datetime.datetime.fromisoformat(NOW.replace("Z", "+00:00"))
MOST, MOST_BYTES = 100_000, 64 * 1024 * 1024


class Recordings:
    def __init__(self, books):
        self.books = books

    def start(self, partner=PARTNER, days=1, redact=("/name",), at=NOW):
        return self.books.one("select script.start_recording(1, %s, %s, %s::timestamptz + %s * interval '1 day', %s,"
                              " 'operator:lan', %s)", partner, f"scr_{partner[4:]}", at, days, json.dumps(redact), at)

    def record(self, script, n, request="{}", at=NOW, days=7, first=0):
        return self.books.one(
            "select script.record(1, %s, (select jsonb_agg(jsonb_build_object('world_ms', 1, 'status', 201, 'verdict', 'none',"
            " 'id', 'r' || i, 'request', %s::text)) from generate_series(%s::int, %s) i), %s, %s::timestamptz"
            " + %s * interval '1 day')", script, request, first, first + n - 1, at, at, days)

    def state(self, partner=PARTNER, at=NOW):
        return json.loads(self.books.one("select script.recording_json(1, %s, %s)", partner, at))

    def kept(self, script):
        """What the rows say, which is what the switch must say."""
        row = self.books.query("select count(*) as n, coalesce(sum(octet_length(request)), 0) as bytes, min(n) as oldest"
                               " from script.recording where script = %s", script)[0]
        switch = self.books.query("select kept, bytes from script.recording_switch where script = %s", script)[0]
        assert (switch["kept"], switch["bytes"]) == (row["n"], row["bytes"])
        return row["n"]

    def version(self, script, source="return {}"):
        n = self.books.one("select coalesce(max(version), 0) + 1 from script.version where script = %s", script)
        self.books.query("insert into script.version (book, version, created_at, script, digest, author, source)"
                         " values (1, %s, %s, %s, 'x', 'operator:lan', %s)", n, NOW, script, source)
        return n

    def dry_run(self, id, version=1, against=None, active=False, since="2020-01-01Z", most=MOST, partner=PARTNER, at=NOW):
        return self.books.query("select * from script.start_dry_run(1, %s, %s, %s, %s, %s, %s, %s, 'client:app_x', %s)",
                                partner, "dry_" + id, version, against, active, since, most, at)[0]


@pytest.fixture
def r(books):
    books.query("insert into bank.partner values (%s, 'other', 'active', %s)", OTHER, NOW)
    return Recordings(books)


def later(days=0, seconds=0):
    return (NOW_AT + datetime.timedelta(days=days, seconds=seconds)).isoformat()


def test_nothing_is_kept_that_nobody_asked_for(r, books):
    books.query("insert into script.script (generation, book, created_at, id, partner) values (0, 1, %s, 'scr_x', %s)", NOW, PARTNER)
    assert r.record("scr_x", 3) == 0
    assert books.one("select count(*) from script.recording") == 0
    assert r.state()["active"] is False


def test_asking_tells_the_workers_and_stands_on_record(r, books):
    before = books.one("select generation from script.counter")
    script = r.start()
    assert books.one("select recording from script.script where id = %s", script)
    changes = books.query("select * from script.changes(%s, 10)", before)
    assert [c["recording"] for c in changes] == [True]
    state = r.state()
    assert state["active"] and state["script"] == script and state["redact"] == ["/name"] and state["by"] == "bank"
    assert r.start(days=3, redact=[]) == script  # again: prolonged, the same script
    assert r.state()["redact"] == [] and r.state()["since"] == state["since"]
    acts = books.query("select act, before, after from tb.audit_entry where object = %s order by n", script)
    assert [a["act"] for a in acts] == ["script.record"] * 2
    assert acts[0]["before"] is None and acts[1]["before"]["redact"] == ["/name"] and acts[1]["after"]["redact"] == []


def test_what_is_left_out_is_told_as_long_as_it_lasts(r, books):
    script = r.start(days=1)
    assert books.query("select * from script.redacted(1, %s, %s)", script, NOW)[0]["redacted"] == '["/name"]'
    assert books.query("select * from script.redacted(1, %s, %s)", script, later(days=1)) == []


def test_recordings_are_counted(r):
    script = r.start()
    assert r.record(script, 5, '{"a":"é"}') == 5
    assert r.kept(script) == 5
    assert (r.state()["recordings"], r.state()["bytes"]) == (5, 50)


def test_a_partner_has_its_own(r):
    mine, theirs = r.start(), r.start(OTHER)
    assert mine != theirs
    r.record(mine, 5)
    r.record(theirs, 2)
    assert (r.state()["recordings"], r.state(OTHER)["recordings"]) == (5, 2)
    assert r.state()["script"] == mine


def test_the_oldest_go_when_there_are_too_many(r, books):
    script = r.start()
    for i in range(10):
        assert r.record(script, 10_000, first=i * 10_000) == 10_000
    assert r.kept(script) == MOST
    r.record(script, 7, first=100_000)
    assert r.kept(script) == MOST
    assert books.one("select request_id from script.recording where script = %s order by n limit 1", script) == "r7"
    assert books.one("select request_id from script.recording where script = %s order by n desc limit 1", script) == "r100006"


def test_the_oldest_go_when_they_are_too_large(r, books):
    script = r.start()
    one = json.dumps({"text": "x" * 98_000})
    fits = MOST_BYTES // len(one)
    for first in range(0, fits + 5, 50):
        r.record(script, min(50, fits + 5 - first), one, first=first)
    assert r.kept(script) == fits
    assert books.one("select request_id from script.recording where script = %s order by n limit 1", script) == "r5"


def test_the_clerk_forgets_what_is_old(r, books):
    script = r.start()
    r.record(script, 5, days=1)
    r.record(script, 3, days=3)
    assert books.one("select script.forget_recordings(%s, 1000)", NOW) == 0
    assert books.one("select script.forget_recordings(%s, 2)", later(days=1)) == 2
    assert books.one("select script.forget_recordings(%s, 1000)", later(days=1)) == 3
    assert r.kept(script) == 3


def test_the_clerk_ends_what_was_asked_for_until_now(r, books):
    script = r.start(days=1)
    books.one("select script.forget_recordings(%s, 1000)", later(seconds=60))
    assert books.one("select recording from script.script where id = %s", script)
    books.one("select script.forget_recordings(%s, 1000)", later(days=1))
    assert not books.one("select recording from script.script where id = %s", script)
    kinds = books.query("select kind, by from script.activation where script = %s order by generation", script)
    assert [(k["kind"], k["by"]) for k in kinds] == [("record", "operator:lan"), ("record", "clerk")]


@pytest.mark.parametrize("forget", [True, False])
def test_stopping_keeps_or_forgets(r, books, forget):
    script = r.start()
    r.record(script, 5)
    assert books.one("select script.stop_recording(1, %s, %s, 'operator:lan', %s)", PARTNER, forget, NOW) == "stopped"
    assert r.record(script, 5) == 0
    assert r.kept(script) == (0 if forget else 5)
    assert books.one("select script.stop_recording(1, %s, true, 'operator:lan', %s)", OTHER, NOW) is None


# ---- dry runs ----

def test_a_dry_run_takes_the_newest_recordings(r):
    script = r.start()
    r.version(script)
    r.record(script, 10)
    all_of_them = r.dry_run("1")
    assert (all_of_them["what"], all_of_them["held"], all_of_them["recordings"]) == ("started", None, 10)
    four = r.dry_run("2", against=1, most=4)
    assert (four["held"], four["recordings"], four["upto_n"] - four["after_n"]) == (1, 4, 4)
    assert four["upto_n"] == all_of_them["upto_n"]


def test_a_dry_run_is_held_against_what_runs(r, books):
    script = r.start()
    for _ in range(2):
        r.version(script)
    books.query("update script.version set state = 'active', reviewer = 'operator:wu' where version = 2")
    books.query("update script.script set version = 2 where id = %s", script)
    assert r.dry_run("1", active=True)["held"] == 2


@pytest.mark.parametrize("what, options", [("no_version", {"version": 7}), ("no_against", {"against": 7}), ("no_script", {"partner": OTHER})])
def test_what_is_not_there_is_not_run(r, books, what, options):
    r.version(r.start())
    assert r.dry_run("1", **options)["what"] == what
    assert books.one("select count(*) from script.dry_run") == 0


def test_two_run_at_a_time_and_a_lost_one_does_not_count(r, books):
    r.version(r.start())
    assert [r.dry_run(str(i))["what"] for i in range(3)] == ["started", "started", "busy"]
    books.one("select script.end_dry_run(1, 'dry_0', 'done', null, %s)", NOW)
    assert r.dry_run("3")["what"] == "started" and r.dry_run("4")["what"] == "busy"
    assert r.dry_run("5", at=later(seconds=31))["what"] == "started"  # the others were not heard of


def test_a_dry_run_is_heard_once_however_often_it_tells(r, books):
    r.version(r.start())
    r.dry_run("1")
    for _ in range(2):
        assert books.one("select script.hear_dry_run(1, 'dry_1', '{\"replayed\": 2}', 0, %s, %s)", json.dumps(['{"a":1}', '{"a":2}']), NOW)
    page = books.query("select * from script.differences(1, 'dry_1', 0, 1000)")
    assert page == [{"text": '{"a":1}\n{"a":2}\n', "last": 2, "more": False}]
    assert books.query("select * from script.differences(1, 'dry_1', 0, 8)") == [{"text": '{"a":1}\n', "last": 1, "more": True}]
    assert books.query("select * from script.differences(1, 'dry_1', 0, 1)")[0]["last"] == 1  # one at least
    assert books.query("select * from script.differences(1, 'dry_1', 2, 1000)") == []


def test_a_cancelled_dry_run_hears_of_it(r, books):
    script = r.start()
    r.version(script)
    r.dry_run("1")
    cancel = "select script.cancel_dry_run(1, %s, %s, 'dry_1', %s)"
    assert books.one(cancel, OTHER, script, NOW) is None
    assert json.loads(books.one(cancel, PARTNER, script, NOW))["status"] == "running"
    assert books.one("select script.hear_dry_run(1, 'dry_1', '{}', 0, '[]', %s)", NOW) is False
    r.dry_run("2")
    lost = "select script.cancel_dry_run(1, %s, %s, 'dry_2', %s)"
    assert json.loads(books.one(lost, PARTNER, script, later(seconds=31)))["status"] == "cancelled"


def test_dry_runs_are_kept_for_thirty_days_and_fifty_of_them(r, books):
    r.version(r.start())
    for i in range(55):
        assert r.dry_run(f"{i:02}", at=later(seconds=i))["what"] == "started"
        books.one("select script.end_dry_run(1, %s, 'done', null, %s)", f"dry_{i:02}", later(seconds=i))
    assert books.one("select count(*) from script.dry_run") == 50
    assert books.one("select min(id) from script.dry_run") == "dry_05"
    assert books.one("select script.forget_dry_runs('2026-12-23T07:00:00Z')") == 0
    assert books.one("select script.forget_dry_runs('2026-12-24T07:00:00Z')") == 50


def test_a_version_that_was_tried_stays(r, books):
    r.version(r.start())
    r.dry_run("1")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        books.query("delete from script.version")
