"""The generated pages say what the tables in the code say."""

import os
import subprocess

import pytest

from harness.sandbox import ROOT

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
PAGES = {
    "docs/errors.md": ["tongbao-docs", "errors"],
    "docs/configuration.md": ["tongbao-docs", "config"],
    "docs/metrics.md": ["tongbao-docs", "metrics"],
    "lua/api.md": ["tongbao-docs", "script"],
    "docs/products/e-payment.md": ["tongbao", "plugin", "doc", "plugins/e_payment.so"],
}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_is_what_the_code_would_write(page):
    program, *arguments = PAGES[page]
    command = [os.path.join(BUILD, program), *(os.path.join(BUILD, a) if a.endswith(".so") else a for a in arguments)]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with open(os.path.join(ROOT, page), encoding="utf-8") as there:
        assert there.read() == written, f"write it again: build/{program} {' '.join(arguments)} > {page}"
