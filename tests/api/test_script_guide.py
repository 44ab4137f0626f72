"""docs/script-guide.md takes a stranger from nothing to an active script: its commands are run here, in order, and print what it shows."""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from yardstick import slowness

from harness.sandbox import ROOT, free_ports

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
GUIDE = os.path.join(ROOT, "docs/script-guide.md")


def blocks(language):
    """The fenced blocks of a language ("" are those that show output)."""
    with open(GUIDE, encoding="utf-8") as guide:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", guide.read(), re.M | re.S)
    return [text for of, text in found if of == language]


@pytest.fixture
def tree():
    """A directory that looks like a checkout with its build; not one of pytest's, which another run closes to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="tb-guide-") as home:
        os.chmod(home, 0o755)
        for name in ("schemas", "sandbox"):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(home, name), ignore=shutil.ignore_patterns("run"))
        os.symlink(BUILD, os.path.join(home, "build"))
        yield home
        subprocess.run(["sandbox/down", "--wipe"], cwd=home, check=False, env=plain_environment())


def plain_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("TB_")}


def test_every_command_of_the_guide_works_in_order(tree):
    port, mtls_port = free_ports(2)
    script = "set -euo pipefail\n" + "\n".join(blocks("sh")).replace(
        "sandbox/up -d", f"sandbox/up -d --no-build --port {port} --mtls-port {mtls_port}")
    done = subprocess.run(["bash", "-c", script], cwd=tree, capture_output=True, text=True, timeout=300 * slowness(), check=False,
                          stdin=subprocess.DEVNULL, env=plain_environment())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said, missing = done.stdout, []
    for line in (line for block in blocks("") for line in block.splitlines() if line):
        at = said.find(line)
        if at < 0:
            missing.append(line)
        else:
            said = said[at + len(line):]
    assert missing == [], f"the guide shows what was not printed, in this order: {missing}\n{done.stdout[-6000:]}"


def test_the_guide_names_what_there_is():
    """Metrics, verdicts and acts of its table are those of the code."""
    with open(GUIDE, encoding="utf-8") as guide:
        text = guide.read().split("## When it fails")[1]
    named = [name.replace("…", "tongbao_script") for name in re.findall(r"`((?:tongbao_script|…)_\w+)`", text)]
    with open(os.path.join(ROOT, "docs/metrics.md"), encoding="utf-8") as page:
        there = page.read()
    assert len(named) >= 10 and [name for name in named if name not in there] == []
    source = ""
    for path in (*glob.glob(os.path.join(ROOT, "core/hooks/*.[ch]")), *glob.glob(os.path.join(ROOT, "core/lua/*.[ch]")),
                 *glob.glob(os.path.join(ROOT, "core/hooks/sql/*.sql"))):
        with open(path, encoding="utf-8") as file:
            source += file.read()
    acts = re.findall(r"`(script\.\w+)`", next(line for line in text.splitlines() if "tongbao act list" in line))
    assert len(acts) == 7
    assert [act for act in acts if act not in source and f"'{act.removeprefix('script.')}'" not in source] == []
    verdicts = re.findall(r"`([a-z ]+)`", text.split("A verdict is")[1])
    assert len(verdicts) >= 13 and [verdict for verdict in verdicts if f'"{verdict}"' not in source] == []
