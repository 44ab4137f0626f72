"""What docs/plugin-guide.md and docs/hacking.md say is done here, in a copy of the tree: from nothing to a served product, and
one test, a new product, a new stage, a new limit."""

import glob
import json
import os
import re
import shutil
import subprocess

import pytest
from yardstick import slowness

from harness.sandbox import ROOT, free_ports


def page(name):
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as opened:
        return opened.read()


def blocks(text, language):
    """The fenced blocks of a language ("" are those that show output)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for of, block in found if of == language]


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page("hacking.md"), re.M | re.S)[1]


def shell(tree, script):
    """Run it there as a reader would, who has nothing of a sandbox in the environment. Returns what it printed."""
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + script], cwd=tree, capture_output=True, text=True, check=False,
                          timeout=580 * slowness(), stdin=subprocess.DEVNULL,
                          env={name: value for name, value in os.environ.items() if not name.startswith("TB_")})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The files git knows, and a build directory of their own. One for all guides: what one has built, the next need not."""
    place = tmp_path_factory.mktemp("guides")
    place.chmod(0o755)
    copy = place / "tongbao"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode().split("\0")
    for name in filter(None, files):
        if os.path.isfile(os.path.join(ROOT, name)):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), copy / name)
    yield copy
    subprocess.run(["sandbox/down", "--wipe"], cwd=copy, check=False)


@pytest.fixture(scope="module")
def built(tree):
    shell(tree, "cmake --preset release && cmake --build build --target service")
    return tree


def compile_alone(tree, file):
    """What `build/` would do with the file: cheaper than all that depends on a header that was changed."""
    with open(tree / "build/compile_commands.json", encoding="utf-8") as opened:
        command, = [one for one in json.load(opened) if one["file"] == str(tree / file)]
    done = subprocess.run(command["command"], shell=True, cwd=command["directory"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_plugin_guide_works_in_order(tree):
    port, mtls_port = free_ports(2)
    guide = page("plugin-guide.md")
    said = shell(tree, "\n".join(blocks(guide, "sh")).replace("sandbox/up -d",
                                                              f"sandbox/up -d --port {port} --mtls-port {mtls_port}"))
    shown = [line for block in blocks(guide, "") for line in block.splitlines() if line]
    missing = [line for line in shown if line not in said]
    assert missing == [], f"the guide shows what was not printed: {missing}\n{said[-3000:]}"


@pytest.mark.parametrize("name", ["One test", "A new product", "A new stage", "A new limit"])
def test_a_section_of_hacking_does_what_it_says(built, name):
    text = section(name)
    (built / "build/failed-tests.json").unlink(missing_ok=True)
    said = shell(built, "\n".join(blocks(text, "sh")))
    results = re.findall(r"^(\d+) passed, (\d+) failed$", said, re.M)
    assert results and all(int(passed) > 1 and failed == "0" for passed, failed in results), said
    for file in set(re.findall(r"\bcore/[\w/]+\.c\b", "\n".join(blocks(text, "sh")))):
        compile_alone(built, file)


def test_editors_find_the_compile_commands_of_a_build(built):
    link = built / "compile_commands.json"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link))
    with open(link, encoding="utf-8") as opened:
        files = {command["file"] for command in json.load(opened)}
    sources = glob.glob(str(built / "core/base/*.c"))
    assert sources and set(sources) <= files
