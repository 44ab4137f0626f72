"""Requests for authorization that wait for a customer: decided once, collected once, and told of until somebody heard."""
import datetime
import threading

import pytest

NOW = "2026-11-23T08:00:00Z"
PARTNER, APP, USER = (prefix + "a" * 26 for prefix in ("ptr_", "app_", "usr_"))
START = datetime.datetime(2026, 11, 23, 8, 0, 0, tzinfo=datetime.timezone.utc)


def at(seconds):
    return START + datetime.timedelta(seconds=seconds)


def digest(n):
    return f"{n:043d}"


class Requests:
    def __init__(self, books):
        self.books = books
        books.query("insert into bank.app values (%s, %s, 'wld_1', 'Shop', 'active', false, %s)", APP, PARTNER, NOW)
        for user in (USER, "usr_other", *(f"usr_{n}" for n in range(1, 21))):
            books.query("insert into oauth.user_account (id, book, login, name, company, role, password, secret, created_at)"
                        " values (%s, 1, %s, 'Name', 'pty_1', 'approver', 'p', 's', %s)", user, user[4:9], NOW)

    def open(self, n=1, user=USER, life=300, notification=None, most=8, db=None):
        return self.books.one(
            "select oauth.backchannel_open(%s, %s, 1, %s, '{\"scope\": \"openid\"}', 5, %s, %s, %s, %s)",
            digest(n), APP, user, notification, at(0), at(life), most, db=db)

    def poll(self, second, n=1, client=APP, db=None):
        row = self.books.query("select * from oauth.backchannel_poll(%s, %s, %s)", digest(n), client, at(second), db=db)[0]
        assert (row["grant_id"] is not None) == (row["state"] == "approved")
        return row["state"]

    def decide(self, second, approve=True, n=1, user=USER, db=None):
        return self.books.one("select oauth.backchannel_decide(%s, %s, %s, %s, %s)", digest(n), user, approve,
                              "grn_1" if approve else None, at(second), db=db)

    def take(self, second, most=10, share=100):
        return self.books.query("select * from oauth.take_notifications(%s, interval '30 s', %s, %s, 100)", at(second), most, share)

    def put(self, again, n=1):
        self.books.query("select oauth.put_notification(%s, %s)", digest(n), again)

    def row(self, n=1):
        return self.books.query("select * from oauth.backchannel where digest = %s", digest(n))[0]


@pytest.fixture
def requests(books):
    return Requests(books)


def at_once(n, work, connect):
    """Do work(db) on n connections at the same moment."""
    barrier, results = threading.Barrier(n), []

    def run():
        db = connect()
        barrier.wait()
        results.append(work(db))
        db.close()

    threads = [threading.Thread(target=run) for _ in range(n)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return results


# ---- polling ----

def test_a_poll_waits_for_the_decision_and_collects_it_once(requests):
    requests.open()
    assert requests.poll(1) == "pending"
    assert requests.decide(3) == "ok"
    assert requests.poll(6) == "approved"
    assert requests.poll(11) == "used"
    assert requests.row()["grant_id"] == "grn_1"


def test_a_refusal_is_told_as_often_as_it_is_asked_for(requests):
    requests.open()
    assert requests.decide(3, approve=False) == "ok"
    assert [requests.poll(s) for s in (4, 4, 400)] == ["denied", "denied", "denied"]


def test_each_early_poll_adds_five_seconds(requests):
    requests.open()
    assert [(requests.poll(s), requests.row()["interval_s"]) for s in (0, 4, 6, 15, 29, 30)] == [
        ("pending", 5), ("pending", 5), ("slow_down", 10), ("pending", 10), ("pending", 10), ("slow_down", 15)]


def test_another_clients_request_is_unknown(requests):
    requests.open()
    requests.decide(1)
    assert requests.poll(2, client="app_" + "b" * 26) == "unknown"
    assert requests.poll(2, n=2) == "unknown"
    assert requests.poll(2) == "approved"


def test_an_expired_request_is_neither_decided_nor_collected(requests):
    requests.open(1, life=10)
    requests.open(2, life=10)
    assert requests.decide(9, n=2) == "ok"
    assert requests.decide(10) == "expired"
    assert [requests.poll(10, n) for n in (1, 2)] == ["expired", "expired"]


def test_sixty_polls_at_once_collect_one_grant(requests):
    requests.open()
    requests.decide(1)
    states = at_once(60, lambda db: requests.poll(2, db=db), requests.books.connect)
    assert sorted(states) == ["approved"] + ["used"] * 59


# ---- deciding ----

def test_a_decision_is_taken_once_and_by_its_customer(requests):
    requests.open()
    assert requests.decide(1, user="usr_other") == "unknown"
    assert requests.decide(1, n=2) == "unknown"
    assert requests.decide(1, approve=False) == "ok"
    assert requests.decide(2, approve=True) == "decided"
    assert requests.poll(3) == "denied"


def test_of_many_decisions_at_once_one_counts(requests):
    requests.open()
    results = at_once(20, lambda db: requests.decide(1, db=db), requests.books.connect)
    assert sorted(results) == ["decided"] * 19 + ["ok"]


def test_a_customer_sees_what_waits_and_nothing_else(requests):
    for n, user in ((1, USER), (2, USER), (3, "usr_other"), (4, USER)):
        requests.open(n, user=user, life=10 if n == 4 else 300)
    requests.decide(1, n=2)
    seen = requests.books.query("select * from oauth.backchannel_of_user(%s, %s)", USER, at(20))
    assert [(s["digest"], s["client"], s["client_name"]) for s in seen] == [(digest(1), APP, "Shop")]


def test_only_so_many_requests_wait_for_one_customer(requests):
    results = at_once(10, lambda db: requests.open(db.info.backend_pid, most=3, db=db), requests.books.connect)
    assert sorted(results) == [False] * 7 + [True] * 3
    assert requests.open(1, user="usr_other", most=3)


# ---- telling ----

def test_only_clients_that_want_to_be_told_are(requests):
    requests.open(1)
    requests.open(2, notification="sealed")
    assert requests.take(0) == []
    requests.decide(1, n=1)
    requests.decide(1, n=2, approve=False)
    assert [(t["digest"], t["client"], t["notification"], t["notified_n"]) for t in requests.take(1)] == [
        (digest(2), APP, "sealed", 1)]


def test_what_was_taken_comes_again_when_its_lease_is_over(requests):
    requests.open(notification="sealed")
    requests.decide(1)
    assert len(requests.take(1)) == 1
    assert requests.take(30) == []
    assert requests.take(31)[0]["notified_n"] == 2
    requests.put(at(40))
    assert requests.take(39) == []
    assert requests.take(40)[0]["notified_n"] == 3
    requests.put(None)
    assert requests.take(4000) == []
    assert requests.row()["notification"] is None


def test_workers_take_different_notifications(requests):
    for n in range(1, 21):
        requests.open(n, notification="sealed", user=f"usr_{n}")
        requests.decide(1, n=n, user=f"usr_{n}")
    take = "select digest from oauth.take_notifications(%s, interval '30 s', 5, 100, 100)"
    taken = at_once(4, lambda db: [r["digest"] for r in requests.books.query(take, at(1), db=db)], requests.books.connect)
    flat = [d for one in taken for d in one]
    assert len(flat) == len(set(flat))
    assert len(flat) + len(requests.take(1)) == 20


def test_workers_at_once_keep_a_client_to_its_share(requests):
    for n in range(1, 21):
        requests.open(n, notification="sealed", user=f"usr_{n}")
        requests.decide(n, n=n, user=f"usr_{n}")
    take = "select digest from oauth.take_notifications(%s, interval '30 s', 5, 3, 100)"
    taken = at_once(4, lambda db: [r["digest"] for r in requests.books.query(take, at(21), db=db)], requests.books.connect)
    assert sorted(d for one in taken for d in one) == sorted(digest(n) for n in (1, 2, 3)), "those due first"
    requests.put(None, n=2)
    assert [t["digest"] for t in requests.take(22, share=3)] == [digest(4)]


# ---- using up and forgetting ----

def test_a_pushed_request_is_used_up_by_one_of_many_decisions(requests):
    requests.books.query("insert into oauth.pushed_request values (%s, %s, 1, '{}', %s, %s)", digest(1), APP, at(0), at(300))
    use = "update oauth.pushed_request set used_at = %s where digest = %s and used_at is null returning digest"
    used = at_once(20, lambda db: len(requests.books.query(use, at(1), digest(1), db=db)), requests.books.connect)
    assert sorted(used) == [0] * 19 + [1]


def test_what_is_over_is_forgotten_after_a_while(requests):
    for n, life in ((1, 10), (2, 20)):
        requests.books.query("insert into oauth.pushed_request values (%s, %s, 1, '{}', %s, %s)",
                             digest(n), APP, at(0), at(life))
        requests.open(n, life=life)
    forget = "select oauth.forget_requests(%s, interval '60 s', %s)"
    assert requests.books.one(forget, at(69), 100) == 0
    assert requests.books.one(forget, at(70), 100) == 2
    assert requests.poll(71) == "unknown"
    assert requests.poll(71, n=2) == "expired"
    assert requests.books.one(forget, at(100), 0) == 0
    assert requests.books.one(forget, at(100), 100) == 2
