"""The attack library against the gateway as it is served: one worker, whose memory is watched, and on it a client that goes on
asking and must not notice. A twin of that client asks a gateway that nobody attacks, at the same time on the same machine: what
the attacker's own work and other programs cost is the twin's measure, too."""

import resource
import threading
import time

import pytest
from yardstick import slowness

from attacks import floods, slow, smuggling, strictness
from attacks.bystander import Bystander, ratio
from attacks.wire import ENHANCE_YOUR_CALM, NO_ERROR, Target, Wire
from harness import Sandbox
from harness.sandbox import PATIENCE

PING = "/example/v1/ping"
FROM_BOOKS = "/accounts/v1/accounts"
MEMORY_BYTES = 64 << 20
SIEGE_S, SAMPLES, WINDOWS = 0.6, 60, 15
# Deadlines as in the configuration, only shorter, so that the slow ones are seen to end.
SHORT = {"TB_GUARD_OPENING": "2s", "TB_GUARD_FRAME": "2s", "TB_GUARD_HEADER": "2s", "TB_GUARD_BODY": "2s", "TB_GUARD_ANSWER": "2s",
         "TB_GUARD_IDLE": "3s"}


class Fort:
    """A sandbox with one worker, and what an attacker and a bystander say to it."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.worker = sandbox.pids("worker")[0]
        # A bearer token in every request: what is attacked is the whole way of a request, not only its head.
        self.target = Target(port=sandbox.port, authority=f"localhost:{sandbox.port}", path=PING,
                             headers=(("authorization", f"Bearer {sandbox.token}"),))

    def rss_bytes(self):
        with open(f"/proc/{self.worker}/statm", encoding="ascii") as opened:
            return int(opened.read().split()[1]) * resource.getpagesize()

    def stands(self):
        """The same worker as before serves, and nothing has fallen."""
        assert self.sandbox.pids("worker") == [self.worker]
        assert self.sandbox.crashes() == []
        with self.sandbox.client() as client:
            assert client.get(PING).status_code == 200
            assert client.get("/accounts/v1/accounts?limit=1").status_code == 200


@pytest.fixture(scope="module")
def fort():
    with Sandbox(settings={"TB_WORKERS": "1", **SHORT}) as sandbox:
        yield Fort(sandbox)


@pytest.fixture(scope="module")
def twin(sandbox):
    """The gateway that is not attacked."""
    return Fort(sandbox)


class Siege:
    """Attack again and again. One window in which the bystander noticed proves nothing on a machine that does other work as
    well; a whole row of them does."""

    def __init__(self, fort, twin):
        self.fort, self.twin = fort, twin
        self.before = fort.rss_bytes()
        self.outs = []

    def lay(self, attack, seconds=SIEGE_S):
        with Bystander(self.fort.target) as bystander, Bystander(self.twin.target) as other:
            for _ in range(WINDOWS):
                with bystander.during() as hit, other.during() as calm:
                    end, enough = time.monotonic() + seconds, len(bystander.seen) + SAMPLES
                    while time.monotonic() < end or len(bystander.seen) < enough and time.monotonic() < end + PATIENCE:
                        self.outs.append(attack(self.fort.target))
                if ratio(calm, hit) <= 2:
                    break
        assert len(hit) >= SAMPLES / 2
        assert ratio(calm, hit) <= 2, f"p99 {hit.p99:.1f} ms, where nobody attacks {calm.p99:.1f} ms"
        grown = self.fort.rss_bytes() - self.before
        assert grown <= MEMORY_BYTES, f"{grown >> 20} MiB"
        return self.outs


def refused(out):
    """Thrown out, and told why unless what it had sent was still on the way."""
    return out.closed and out.goaway in (ENHANCE_YOUR_CALM, None)


@pytest.mark.parametrize("attack", floods.ALL, ids=lambda f: f.__name__)
def test_a_flood_is_thrown_out_and_nobody_else_notices(fort, twin, attack):
    """The attacker comes again as soon as it is thrown out, for as long as the bystander watches."""
    outs = Siege(fort, twin).lay(attack)
    assert all(refused(out) for out in outs), [o for o in outs if not refused(o)][0]
    fort.stands()


@pytest.mark.parametrize("attack", [floods.rapid_reset, floods.made_you_reset_zero_window, floods.made_you_reset_window_overflow,
                                    floods.made_you_reset_data_after_end], ids=lambda f: f.__name__)
def test_resets_of_requests_that_wait_for_the_books_are_bounded(fort, twin, attack):
    outs = Siege(fort, twin).lay(lambda target: attack(target, path=FROM_BOOKS + "?limit=1"))
    assert all(refused(out) for out in outs)
    fort.stands()


def test_slow_clients_are_let_go_and_nobody_else_notices(fort, twin):
    outs = {}

    def run(attack, target):
        more = {"path": FROM_BOOKS + "?limit=100"} if attack.__name__.startswith("slow_read") else {}
        outs[attack.__name__] = attack(target, seconds=20.0, **more)

    def all_at_once(target):
        threads = [threading.Thread(target=run, args=(attack, target)) for attack in slow.ALL]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    Siege(fort, twin).lay(all_at_once)
    assert outs["slow_preface"].closed and outs["slow_preface"].seconds < 8 * slowness()
    for name in ("slow_frame", "slow_headers", "slow_read_window"):
        assert refused(outs[name]) and outs[name].seconds < 8 * slowness(), outs[name]
    assert {s for s, _ in outs["slow_body"].resets} == {1, 3}
    assert outs["slow_read_socket"].closed and outs["slow_read_socket"].seconds < 15 * slowness()
    assert outs["idle_with_pings"].closed and outs["idle_with_pings"].goaway == NO_ERROR
    fort.stands()


def test_an_answer_in_flight_survives_its_window_being_opened(fort):
    for _ in range(5):
        floods.window_reopen(fort.target, body_bytes=len('{"pong":true}'))
    fort.stands()


@pytest.mark.parametrize("case", strictness.CASES, ids=lambda c: c.id)
def test_the_gateway_is_as_strict_as_the_guard(fort, case):
    target = Target(port=fort.sandbox.port, authority=fort.target.authority, path="/healthz")
    passed, seen = strictness.run(target, case, served=(200, 405))  # it takes no POST, and says so
    assert passed, seen


@pytest.mark.parametrize("name", [name for name, _ in smuggling.cases(Target())])
def test_what_two_parsers_could_read_differently_is_refused(fort, name):
    out = smuggling.exchange(fort.target, dict(smuggling.cases(fort.target))[name])
    assert smuggling.refused(out), out


def test_many_connections_that_do_nothing_are_let_go(fort):
    before = fort.rss_bytes()
    wires = [Wire(fort.target) for _ in range(300)]
    held = fort.rss_bytes() - before
    end = time.monotonic() + 10 * PATIENCE
    while time.monotonic() < end and not all(w.out.closed for w in wires):
        for wire in wires:
            wire.listen(0.01, lambda w: w.out.closed)
    assert all(w.out.closed for w in wires)
    assert held < 300 * (100 << 10), f"{held // 300 >> 10} KiB each"
    fort.stands()


def test_after_all_of_it_the_books_are_right(fort):
    with fort.sandbox.client() as client:
        assert client.pay(fort.sandbox.debtor, fort.sandbox.creditor, 1).json()["state"] == "succeeded"
    assert "nothing wrong" in fort.sandbox.cli("audit")
    fort.stands()
