"""Grants, authorization codes, refresh tokens and the rotation of keys, by the functions of schema oauth."""
import threading

import psycopg2
import pytest

PARTNER = "ptr_" + "a" * 26
CLIENT, OTHER = "app_" + "1" * 26, "app_" + "2" * 26
NOW = "2026-11-23T08:00:00Z"


def digest(n):
    return f"d{n:042d}"


class Grants:
    def __init__(self, books):
        self.books = books
        for app in (CLIENT, OTHER):
            books.query("insert into bank.app (id, partner, world, name, created_at) values (%s, %s, 'wld_1', 'app', %s)", app, PARTNER, NOW)
        books.query("insert into oauth.user_account (id, book, login, name, company, role, password, secret, created_at)"
                    " values ('usr_1', 1, 'u', 'Name', 'pty_1', 'approver', 'p', 's', %s)", NOW)
        books.query("select consent.open(1, 'cns_1', %s, %s, 'pty_1', 'usr_1', null, 'openid', null, %s)", PARTNER, CLIENT, NOW)

    def at(self, seconds):
        return self.books.one("select %s::timestamptz + %s * interval '1 s'", NOW, seconds)

    def open(self, n=1, code=True, refresh=False):
        grant = f"grn_{n:026d}"
        self.books.query("select oauth.open_grant(%s, 1, %s, %s, 'usr_1', 'openid accounts:read', '[{\"type\":\"payment\"}]', 'cns_1', "
                         "null, 'n', 'acr', %s, %s)", grant, CLIENT, PARTNER, NOW, NOW)
        if code:
            self.books.query("select oauth.put_code(%s, %s, %s, 'https://c.example/cb', 'challenge', null, %s)", digest(n), grant, CLIENT, NOW)
        if refresh:
            assert self.books.one("select oauth.put_refresh(%s, %s, %s, %s)", digest(n), grant, CLIENT, NOW)
        return grant

    def take(self, n=1, client=CLIENT, at=1, db=None):
        return self.books.query("select * from oauth.take_code(%s, %s, %s)", digest(n), client, self.at(at), db=db)[0]

    def use(self, n=1, client=CLIENT, at=1):
        return self.books.query("select * from oauth.use_refresh(%s, %s, %s)", digest(n), client, self.at(at))[0]

    def end(self, grant, at=5):
        return self.books.one("select oauth.end_grant(%s, 'bank', %s)", grant, self.at(at))

    def revoked(self):
        return [r["jti"] for r in self.books.query("select jti from oauth.revoked_token")]

    def ended_by(self, grant):
        return self.books.one("select ended_by from oauth.grants where id = %s", grant)


@pytest.fixture
def grants(books):
    return Grants(books)


def test_a_code_gives_its_grant_once_and_a_second_taker_ends_it(grants):
    grant = grants.open(refresh=True)
    taken = grants.take()
    assert (taken["state"], taken["id"], taken["subject"], taken["scope"]) == ("ok", grant, "usr_1", "openid accounts:read")
    assert (taken["challenge"], taken["redirect_uri"], taken["consent"], taken["nonce"]) == ("challenge", "https://c.example/cb", "cns_1", "n")
    assert grants.revoked() == []
    assert grants.take(at=3600)["state"] == "used"
    assert grants.revoked() == [grant]
    assert grants.ended_by(grant) == "code used again"
    assert grants.use()["state"] == "unknown"


def test_a_code_ends_after_sixty_seconds_and_is_nobody_elses(grants):
    grant = grants.open()
    assert grants.take(client=OTHER)["state"] == "other"
    assert grants.take(at=60)["state"] == "expired"
    assert grants.take(n=2)["state"] == "unknown"
    assert grants.take(at=59)["state"] == "ok"
    assert grants.take(client=OTHER)["state"] == "other"
    assert grants.ended_by(grant) is None, "a stranger must not be able to end what he cannot use"


def test_a_code_of_an_ended_grant_gives_nothing(grants):
    grant = grants.open()
    assert grants.end(grant)
    assert grants.take()["state"] == "ended"


def test_one_of_many_who_take_a_code_at_once_gets_it(grants):
    grant = grants.open()
    states, start = [], threading.Barrier(64)
    at = grants.at(1)

    def taker():
        db = psycopg2.connect(grants.books.dsn)
        db.autocommit = True
        start.wait()
        with db.cursor() as cursor:
            cursor.execute("select state from oauth.take_code(%s, %s, %s)", (digest(1), CLIENT, at))
            states.append(cursor.fetchone()[0])
        db.close()

    threads = [threading.Thread(target=taker) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["ok"] + ["used"] * 63
    assert grants.revoked() == [grant]


def test_a_refresh_token_slides_and_belongs_to_its_client(grants):
    day = 86400
    grant = grants.open(refresh=True)
    assert grants.use(client=OTHER)["state"] == "other"
    assert grants.use(at=29 * day)["state"] == "ok"
    assert grants.use(at=58 * day)["state"] == "ok"
    assert grants.use(at=89 * day)["state"] == "expired"
    assert grants.books.one("select oauth.revoke_refresh(%s, %s, %s)", digest(1), OTHER, NOW) is None
    assert grants.ended_by(grant) is None
    assert grants.books.one("select oauth.revoke_refresh(%s, %s, %s)", digest(1), CLIENT, NOW) == grant
    assert grants.revoked() == [grant]
    assert grants.use()["state"] == "unknown"


def test_using_a_refresh_token_often_writes_once_a_day(grants):
    grants.open(refresh=True)
    before = grants.books.one("select xmin::text from oauth.refresh")
    grants.use(at=3600)
    assert grants.books.one("select xmin::text from oauth.refresh") == before
    grants.use(at=2 * 86400)
    assert grants.books.one("select xmin::text from oauth.refresh") != before


def test_an_ended_grant_takes_no_refresh_token_even_when_it_ends_at_the_same_time(grants):
    grant = grants.open()
    ending, keeping = grants.books.connect(), grants.books.connect()
    ending.autocommit = False
    with ending.cursor() as cursor:
        cursor.execute("select oauth.end_grant(%s, 'bank', %s)", (grant, NOW))
    kept = []
    late = threading.Thread(target=lambda: kept.append(
        grants.books.one("select oauth.put_refresh(%s, %s, %s, %s)", digest(1), grant, CLIENT, NOW, db=keeping)))
    late.start()
    late.join(0.3)
    assert kept == [], "it waits for the end that is under way"
    ending.commit()
    late.join()
    assert kept == [False]
    assert grants.books.query("select from oauth.refresh") == []


def test_ending_again_changes_nothing(grants):
    grant = grants.open()
    assert grants.end(grant)
    assert not grants.end(grant, at=3600)
    assert not grants.end("grn_none")
    assert grants.books.one("select expires_at - revoked_at = interval '10 minutes' from oauth.revoked_token")


def test_what_time_has_made_useless_is_forgotten_and_nothing_else(grants):
    day = 86400
    used, ended, alive = grants.open(1), grants.open(2), grants.open(3, code=False, refresh=True)
    grants.take(1)
    grants.end(ended)
    forget = lambda at: grants.books.one("select oauth.forget_grants(%s, 1000)", grants.at(at))
    assert forget(3600) == 1, "the revocation, and not the codes"
    assert grants.take(1, at=3600)["state"] == "used"
    assert forget(day + 3700) == 3, "both codes, and the revocation that using one again made"
    grants.books.query("update oauth.refresh set expires_at = %s", grants.at(200 * day))
    assert forget(89 * day) == 0
    assert forget(91 * day) == 2
    assert [r["id"] for r in grants.books.query("select id from oauth.grants")] == [alive]
    assert used != ended


# ---- keys ----

def rotate(books, purpose, at, kid):
    return books.one("select oauth.rotate_key('operator:test', %s, %s, interval '1 day', %s, 'ES256', %s, %s::timestamptz + interval '90 days', "
                     "%s::timestamptz + interval '91 days', 'sealed')", purpose, at, kid.ljust(43, "x"), NOW, at, at)


def test_keys_of_one_purpose_follow_each_other_without_gap_or_overlap(books):
    times = [f"2026-11-23T08:{n:02d}:00Z" for n in range(5)]
    for n, at in enumerate(times):
        assert rotate(books, "token", at, f"t{n}") == f"t{n}".ljust(43, "x")
        assert rotate(books, "response", at, f"r{n}") == f"r{n}".ljust(43, "x")
    assert rotate(books, "token", times[-1], "again") is None
    for purpose in ("token", "response"):
        rows = books.query("select signs_from, signs_until, valid_until from oauth.signing_key where purpose = %s order by 1", purpose)
        assert len(rows) == 5
        assert all(a["signs_until"] == b["signs_from"] for a, b in zip(rows, rows[1:]))
        assert all((r["valid_until"] - r["signs_until"]).days == 1 for r in rows)


def test_a_rotation_brings_the_next_key_forward_instead_of_making_another(books):
    rotate(books, "token", "2026-11-23T08:00:00Z", "first")
    rotate(books, "token", "2026-12-23T08:00:00Z", "next")
    assert rotate(books, "token", "2026-11-24T08:00:00Z", "third") == "next".ljust(43, "x")
    rows = books.query("select kid, signs_until from oauth.signing_key order by signs_from")
    assert [r["kid"].rstrip("x") for r in rows] == ["first", "next"]
    assert rows[0]["signs_until"].isoformat().startswith("2026-11-24T08:00:00")
