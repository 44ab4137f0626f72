"""docs/plugin-guide.md takes a stranger from nothing to a served product: its commands are run here, in a copy of the tree."""

import os
import re
import shutil
import subprocess

import pytest
from yardstick import slowness

from harness.sandbox import ROOT, free_ports

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
GUIDE = os.path.join(ROOT, "docs/plugin-guide.md")


def blocks(language):
    """The fenced blocks of a language ("" are those that show output)."""
    with open(GUIDE, encoding="utf-8") as guide:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", guide.read(), re.M | re.S)
    return [text for of, text in found if of == language]


@pytest.fixture
def tree(tmp_path):
    """The files git knows, and a build directory of their own that begins with what is built already."""
    tmp_path.chmod(0o755)
    copy = tmp_path / "tongbao"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode().split("\0")
    for name in filter(None, files):
        if os.path.isfile(os.path.join(ROOT, name)):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), copy / name)
    yield copy
    subprocess.run(["sandbox/down", "--wipe"], cwd=copy, check=False)


def test_every_command_of_the_guide_works_in_order(tree):
    port, mtls_port = free_ports(2)
    script = "set -euo pipefail\n" + "\n".join(blocks("sh")).replace("sandbox/up -d",
                                                                    f"sandbox/up -d --port {port} --mtls-port {mtls_port}")
    done = subprocess.run(["bash", "-c", script], cwd=tree, capture_output=True, text=True, timeout=580 * slowness(), check=False,
                          stdin=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if not k.startswith("TB_")})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown = [line for block in blocks("") for line in block.splitlines() if line]
    missing = [line for line in shown if line not in done.stdout]
    assert missing == [], f"the guide shows what was not printed: {missing}\n{done.stdout[-3000:]}"
