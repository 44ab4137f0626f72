"""A sandbox of its own: made by sandbox/up in a scratch directory and on a free port, removed by sandbox/down."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2
from yardstick import slowness

from .client import Client

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
START_TIMEOUT_S = 300
PATIENCE = 5 * slowness()
"""What takes a second on an idle machine may take so many on a busy one."""
CLAIMED = []


def claim(port):
    """Take a port for this process, until it ends. False: another process of tests has it, or somebody listens."""
    claimed = socket.socket(socket.AF_UNIX)
    with socket.socket() as one:
        try:
            claimed.bind(f"\0tongbao-tests-port-{port}")
            one.bind(("127.0.0.1", port))
        except OSError:
            claimed.close()
            return False
    CLAIMED.append(claimed)
    return True


def copy_plugins(into, *names):
    """Put shared objects of the build, named below its directory, into a folder that a gateway may load them from."""
    build = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
    into.chmod(0o755)
    for name in names:
        shutil.copy(os.path.join(build, name), into)
    return into


def free_ports(n):
    """Ports that nobody uses, from below those that the system gives to connections: a gateway may end, and find its own
    still free when it starts again."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as opened:
        below = int(opened.read().split()[0])
    ports = []
    while len(ports) < n:
        port = random.SystemRandom().randrange(below // 2, below)
        if claim(port):
            ports.append(port)
    return ports


def free_port():
    return free_ports(1)[0]


def wait_until(condition, seconds, what):
    """Poll until the condition holds and return what it returned; fail with `what` otherwise. `seconds`: what it takes at
    most where nothing else runs."""
    until = time.monotonic() + seconds * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < until, f"not within {seconds * PATIENCE} s: {what}"
        time.sleep(0.05)


class Sandbox:
    """`build`: the build directory to run (default: TB_SANDBOX_BUILD, else build/). `settings`: configuration by environment,
    such as {"TB_WORKERS": "2"}."""

    def __init__(self, build=None, settings=None):
        self.build = build or os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
        self.settings = dict(settings or {})
        self.home = tempfile.mkdtemp(prefix="tb-test-")
        os.chmod(self.home, 0o755)  # PostgreSQL's user must get through
        self.run_dir = os.path.join(self.home, "run")
        self.port, self.mtls_port = free_ports(2)
        self.env = {}

    @property
    def sanitized(self):
        """Whether the binary was built with the address sanitizer, and is slow."""
        with open(os.path.join(self.build, "CMakeCache.txt"), encoding="utf-8") as cache:
            return re.search(r"^TB_ASAN:\w+=ON$", cache.read(), re.M) is not None

    # ---- life ----

    def environment(self):
        slow = {"TB_SCRIPT_LONG": "1s"} if self.sanitized else {}  # there, every call of a script is a long one
        return {**os.environ, "TB_SANDBOX_RUN": self.run_dir, "TB_SANDBOX_BUILD": self.build, **slow, **self.settings}

    def up(self):
        done = subprocess.run([os.path.join(ROOT, "sandbox/up"), "-d", "--no-build", "--port", str(self.port),
                               "--mtls-port", str(self.mtls_port)],
                              env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=START_TIMEOUT_S * slowness(), check=False)
        assert done.returncode == 0, done.stdout
        self.said = done.stdout
        self.read_env()
        return self

    def read_env(self):
        with open(os.path.join(self.run_dir, "env"), encoding="utf-8") as opened:
            self.env = dict(word.split("=", 1) for word in shlex.split(opened.read()) if "=" in word)
        with open(self.env["TB_TOKEN"], encoding="utf-8") as opened:
            self.token = opened.read().strip()
        self.url, self.mtls_url, self.ca = self.env["TB_URL"], self.env["TB_MTLS_URL"], self.env["TB_CA"]
        self.debtor, self.creditor = self.env["TB_DEBTOR"], self.env["TB_CREDITOR"]

    def down(self, wipe=False):
        done = subprocess.run([os.path.join(ROOT, "sandbox/down"), *(["--wipe"] if wipe else [])], env=self.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * slowness(), check=False)
        assert done.returncode == 0, done.stderr

    def remove(self):
        self.down(wipe=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        try:
            return self.up()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()

    # ---- hands on it ----

    def client(self, token="demo", mtls=False, **options):
        """A client with the demo partner's token, another one, or (None) none; `mtls`: of the listener that asks for
        certificates."""
        return Client(self.mtls_url if mtls else self.url, self.ca, self.token if token == "demo" else token, **options)

    def db(self):
        connection = psycopg2.connect(self.env["TB_DB"])
        connection.autocommit = True
        return connection

    def cli(self, *arguments, exit_code=0, errors=False):
        """Run `tongbao …` against this sandbox and return what it printed; `errors`: on standard error."""
        done = subprocess.run([os.path.join(self.build, "tongbao"), *arguments], env={**self.environment(),
                              "TB_CONFIG": self.env["TB_CONFIG"]}, capture_output=True, text=True, timeout=120 * slowness(), check=False)
        assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr if errors else done.stdout

    def metric(self, name):
        """What `/metrics` has for it now; a whole number without labels."""
        with self.client(token=None) as anyone:
            page = anyone.get("/metrics").text
        return int(re.search(rf"^{name} (\d+)$", page, re.M)[1])

    def accounts(self, n):
        """Fresh funded CNY accounts of the demo partner."""
        return self.cli("world", "fill", "--accounts", str(n)).split()

    # ---- processes ----

    def status(self):
        try:
            with open(os.path.join(self.run_dir, "gateway/status.json"), encoding="utf-8") as opened:
                return json.load(opened)
        except FileNotFoundError:
            return {"processes": [], "state": "gone", "generation": 0, "pid": 0}

    def pids(self, kind="worker", state="serving"):
        return [p["pid"] for p in self.status()["processes"] if p["kind"] == kind and p["state"] == state]

    def master(self):
        return self.status()["pid"]

    def postmaster(self):
        """Its process; waits while it is between two lives."""
        def pid():
            try:
                with open(os.path.join(self.run_dir, "pg/cluster/postmaster.pid"), encoding="utf-8") as opened:
                    return int(opened.readline() or 0)
            except FileNotFoundError:
                return 0
        return wait_until(pid, 20, "PostgreSQL has a process")

    def signal(self, which):
        os.kill(self.master(), which)

    def reload(self, seconds=20):
        """SIGHUP, and wait until the new generation serves alone."""
        before = self.status()["generation"]
        self.signal(signal.SIGHUP)
        return wait_until(lambda: self.renewed(before), seconds, "a new generation")

    def renewed(self, before):
        status = self.status()
        states = {p["state"] for p in status["processes"]}
        return status["generation"] > before and status["state"] == "serving" and states == {"serving"}

    def wait_ready(self, seconds=20):
        def ready():
            try:
                with self.client(token=None) as client:
                    return client.get("/readyz").status_code == 200
            except OSError:
                return False
        wait_until(ready, seconds, "/readyz")

    def log(self):
        with open(os.path.join(self.run_dir, "tongbao.log"), encoding="utf-8", errors="replace") as opened:
            return opened.read()

    def crashes(self):
        """The crash records, oldest first."""
        folder = os.path.join(self.run_dir, "gateway/crashes")
        records = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if re.search(r"\.json$", name):
                with open(os.path.join(folder, name), encoding="utf-8") as opened:
                    records.append(json.load(opened))
        return records
