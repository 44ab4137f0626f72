"""luacheck with the configuration partners get: it has nothing to say of what we ship, and much of what no script finds."""

import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def luacheck(*paths):
    return subprocess.run(["luacheck", "--no-color", "--config", "lua/.luacheckrc", *map(str, paths)], cwd=ROOT,
                          capture_output=True, text=True, check=False)


def test_has_nothing_to_say_of_ours():
    done = luacheck("lua", "core/lua/lua")
    assert done.returncode == 0, done.stdout + done.stderr


def test_knows_what_a_script_does_not_find(tmp_path):
    (tmp_path / "x.lua").write_text("return { on_request = function() return os.time(), money.pi, string.gsub end }\n")
    done = luacheck(tmp_path / "x.lua")
    for name in ("os", "pi", "gsub"):
        assert re.search(rf"'{name}'|field {name} ", done.stdout), done.stdout
