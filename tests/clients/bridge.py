"""The way from the tests to Node and to our own programs: each reads lines of JSON and answers each with a line."""

import fcntl
import json
import os
import platform
import subprocess

from harness.sandbox import ROOT
from yardstick import slowness

CLIENTS = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(CLIENTS, "node_modules")
INSTALL_TIMEOUT_S, TIMEOUT_S = 180, 60


def install():
    """Install what the lock file says, unless that is there already. One process does, and others wait for it."""
    done = os.path.join(MODULES, ".package-lock.json")  # npm writes it last
    lock = os.path.join(CLIENTS, "package-lock.json")
    with open(lock, encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if not os.path.exists(done) or os.path.getmtime(done) < os.path.getmtime(lock):
            npm_ci(done)


def npm_ci(done):
    said = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=CLIENTS, timeout=INSTALL_TIMEOUT_S * slowness(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert said.returncode == 0, f"npm ci failed; it needs a registry or a full cache\n{said.stdout}"
    os.utime(done)


def run(command, lines=(), env=None):
    text = "".join(line + "\n" for line in lines)
    said = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S * slowness(), env={**os.environ, **(env or {})}, check=False)
    assert said.returncode == 0, f"{' '.join(command)}: exit code {said.returncode}\n{said.stderr[-4000:]}"
    return said.stdout.splitlines()


def node_program():
    """Node as npm brings it: some of the clients need a newer one than Debian's, which runs npm alone."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return os.path.join(MODULES, f"node-linux-{arch}", "bin", "node")


def node(script, *arguments, lines=(), env=None):
    """Run js/<script>; each line it prints is JSON."""
    return [json.loads(line) for line in run([node_program(), os.path.join(CLIENTS, "js", script), *arguments], lines, env)]


def fixture(name, *arguments, lines=()):
    """Run the program that tests/fixtures/<name>.c became."""
    build = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
    return run([os.path.join(build, "fixtures", name), *arguments], lines)
