"""Start and stop tests/fixtures/bare_h2o: the plain library, or the guarded one."""

import json
import os
import resource
import subprocess
import urllib.request
from pathlib import Path

from harness.sandbox import free_port

from .wire import Target

ROOT = Path(__file__).resolve().parents[3]


def executable(name):
    """From $TB_BUILD, else from build/, else from the build folder that was built last."""
    if "TB_BUILD" in os.environ:
        folders = [Path(os.environ["TB_BUILD"])]
    else:
        folders = [ROOT / "build"] + sorted(ROOT.glob("build-*"), key=lambda p: p.stat().st_mtime, reverse=True)
    for folder in folders:
        if (folder / "fixtures" / name).exists():
            return folder / "fixtures" / name
    raise FileNotFoundError(f"{name}: build the project, or set TB_BUILD to the build folder")


def certificate(folder):
    """A self-signed certificate for localhost in `folder`."""
    key, cert = Path(folder) / "key.pem", Path(folder) / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


class Bare:
    def __init__(self, guard=True, limits=None, memory_bytes=None, certificate=None):
        self.plain_port, self.tls_port = free_port(), free_port() if certificate else None
        command = [executable("bare_h2o_guard" if guard else "bare_h2o"), "--plain", str(self.plain_port)]
        if certificate:
            command += ["--tls", str(self.tls_port), "--cert", certificate[0], "--key", certificate[1]]
        for name, value in (limits or {}).items():
            command += ["--limit", f"{name}={value}"]

        def confine():
            if memory_bytes:
                resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=confine)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{command[0]} did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def target(self, tls=False, **more):
        return Target(port=self.tls_port if tls else self.plain_port, tls=tls, **more)

    def alive(self):
        return self.process.poll() is None

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counters(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.plain_port}/counters", timeout=30) as answer:
            return json.load(answer)
