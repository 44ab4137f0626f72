"""The lint: every rule holds in the tree, and every rule goes red on a tree that breaks it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rules import RULES  # noqa: E402
from source import tree  # noqa: E402


@pytest.fixture(scope="session")
def files():
    return tree()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_holds(rule, files):
    findings = list(rule(files))
    assert not findings, rule.__doc__ + "\n" + "\n".join(findings)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_goes_red(rule):
    for file in rule.bad:
        alone = list(rule([file]))
        together = list(rule(rule.bad))
        assert alone or together, f"{rule.__name__} does not see what is wrong with {file.path}"
        if not rule.whole:
            assert alone, f"{rule.__name__} does not see what is wrong with {file.path}"
