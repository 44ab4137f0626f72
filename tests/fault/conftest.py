"""Sandboxes to break: with the plugin that brings its worker down on demand beside the real products."""

import os
import shutil

import pytest

from harness import Sandbox
from harness.sandbox import ROOT


def plugin_folder(build, into):
    """A folder with the real products and the fixture `aborts`, which may be changed without harm."""
    into.mkdir()
    folders = [os.path.join(build, "plugins"), os.path.join(build, "fixtures/plugins")]
    for folder in folders:
        for name in os.listdir(folder):
            if name.endswith(".so") and (folder == folders[0] or name == "aborts.so"):
                shutil.copy(os.path.join(folder, name), into)
    return into


@pytest.fixture(scope="module")
def breakable(tmp_path_factory):
    """Two workers, a watchdog that takes five seconds without a turn for a hang, and all products."""
    build = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build-asan")
    folder = plugin_folder(build, tmp_path_factory.mktemp("products") / "plugins")
    products = sorted(name[:-3] for name in os.listdir(folder))
    # A finding of the sanitizers ends the process by a signal, as any other crash does.
    settings = {"ASAN_OPTIONS": "abort_on_error=1", "UBSAN_OPTIONS": "abort_on_error=1", "TB_WORKERS": "2", "TB_WATCHDOG_TIMEOUT": "5s",
                "TB_PLUGINS_DIRECTORY": str(folder), "TB_PLUGINS_LOAD": ",".join(products)}
    with Sandbox(build=build, settings=settings) as sandbox:
        sandbox.plugins = folder
        yield sandbox
