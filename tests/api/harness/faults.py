"""What tests that break things have in common: processes that die, statements that are held in the middle, and a client that
repeats its request until there is an answer that settles it.

    with Held(sandbox, "lock table script.entry in access exclusive mode") as held:
        asked = Asked(lambda: client.post(path, body, key=key))
        held.wait()
        kill(sandbox, "workers")
    answer = until_settled(lambda: another_client().post(path, body, key=key))
"""

import os
import signal
import threading
import time

import httpx
import psycopg2
from yardstick import slowness

from .sandbox import ROOT, wait_until

FAULTY_BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build-asan")


def rows(sandbox, sql, *params):
    with sandbox.db() as connection, connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def database_answers(sandbox):
    try:
        return rows(sandbox, "select true")
    except psycopg2.Error:
        return False


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for_workers(sandbox):
    """Until every worker serves and has its database."""
    def ready():
        try:
            for _ in range(8):  # connections are spread over the workers
                with sandbox.client(token=None) as client:
                    if client.get("/readyz").status_code != 200:
                        return False
        except (httpx.TransportError, OSError):
            return False
        return True
    wait_until(ready, 20, "all workers are ready")


def kill(sandbox, victim):
    """kill -9 of all "workers" or of "postgres"; waits until there are others in their place and every worker has its database."""
    if victim == "postgres":
        before = sandbox.postmaster()
        kill_quietly(before)
        wait_until(lambda: sandbox.postmaster() != before and database_answers(sandbox), 20, "PostgreSQL is back")
    else:
        before = sandbox.pids()
        for pid in before:
            kill_quietly(pid)
        wait_until(lambda: len(set(sandbox.pids()) - set(before)) == len(before), 20, "other workers serve")
    wait_for_workers(sandbox)


def settles(answer):
    """Whether this answer is the last word about its request; what says that the request still runs is not."""
    if answer.status_code == 409:
        return answer.json()["code"] != "idempotency_key_in_progress"
    return answer.status_code < 500 and answer.status_code not in (408, 429)


def until_settled(ask, seconds=30):
    """What a careful client does: the same request under the same key until there is an answer that settles it. `ask` sends it,
    each time over a new connection, for the one before may be lost."""
    until = time.monotonic() + seconds * slowness()
    while True:
        try:
            answer = ask()
            if settles(answer):
                return answer
            said = f"{answer.status_code} {answer.text}"
        except (httpx.TransportError, OSError) as error:
            said = repr(error)
        assert time.monotonic() < until, f"no answer that settles it: {said}"
        time.sleep(0.1)


class Held:
    """Takes a lock that a statement of the gateway must wait for, so that where it stands is certain."""

    def __init__(self, sandbox, sql, *params):
        self.sandbox, self.sql, self.params = sandbox, sql, params

    def __enter__(self):
        self.connection = psycopg2.connect(self.sandbox.env["TB_DB"])
        self.pid = self.connection.get_backend_pid()
        with self.connection.cursor() as cursor:
            cursor.execute(self.sql, self.params)
        return self

    def waiting(self):
        return rows(self.sandbox, "select query from pg_stat_activity where %s = any(pg_blocking_pids(pid))", self.pid)

    def wait(self):
        """Until somebody waits for it."""
        return wait_until(self.waiting, 10, "a statement waits")

    def __exit__(self, *_):
        self.connection.close()


class Asked:
    """A request on its way; `end()` is its answer, or None when its connection was lost."""

    def __init__(self, ask):
        self.ask, self.answer, self.error = ask, None, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.answer = self.ask()
        except httpx.TransportError:
            pass
        except BaseException as error:  # raised by end()
            self.error = error

    def end(self):
        self.thread.join()
        if self.error:
            raise self.error
        return self.answer
