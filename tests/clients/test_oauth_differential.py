"""The same good and bad requests to Tongbao and to oidc-provider, which is certified for FAPI 2.0. Where the two answer with
another status or error code, docs/fapi.md says so and why; a difference that is not in its table fails, and so does a line
of the table that is no longer true."""

import os
import re

import pytest

from bridge import node
from harness.sandbox import ROOT, free_port

LEAST = 60


def code(answer):
    return f"{answer['status']} {answer['error']}" if answer["error"] else str(answer["status"])


@pytest.fixture(scope="module")
def compared(sandbox):
    """Each request by its name: what Tongbao answered and what oidc-provider answered."""
    tls = os.path.join(os.path.dirname(sandbox.ca), "server")
    env = {"ORACLE_PORT": str(free_port()), "ORACLE_CERTIFICATE": f"{tls}.pem", "ORACLE_KEY": f"{tls}.key"}
    lines = node("oauth/differential.js", env={**sandbox.env, **env, "NODE_EXTRA_CA_CERTS": sandbox.ca})
    return {line["name"]: (code(line["ours"]), code(line["theirs"])) for line in lines}


@pytest.fixture(scope="module")
def explained():
    """The rows of the table in docs/fapi.md."""
    with open(os.path.join(ROOT, "docs/fapi.md"), encoding="utf-8") as opened:
        table = opened.read().split("## Where we differ from oidc-provider", 1)[1].split("\n## ", 1)[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines() if line.startswith("|")]
    return {name: (ours, theirs) for name, ours, theirs, why in rows[2:] if why}


def test_both_were_asked_enough(compared):
    print(f"{len(compared)} requests compared")
    assert len(compared) >= LEAST
    assert not [name for name, answers in compared.items() if any(answer.startswith("0 ") for answer in answers)]


def test_every_difference_is_explained(compared, explained):
    different = {name: answers for name, answers in compared.items() if answers[0] != answers[1]}
    assert different == explained
