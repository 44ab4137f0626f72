"""docs/fapi.md is a page of programs: each is run here as it stands, and the customer it sends to the bank logs in."""

import json
import os
import re
import subprocess
import tempfile

import pytest

from bridge import CLIENTS, node, node_program
from harness.sandbox import ROOT

TIMEOUT_S = 60


def programs(language):
    with open(os.path.join(ROOT, "docs/fapi.md"), encoding="utf-8") as guide:
        return re.findall(rf"^```{language}\n(.*?)^```$", guide.read(), re.M | re.S)


def of_library(language, library):
    [text] = [text for text in programs(language) if library in text]
    return text


@pytest.fixture
def environment(sandbox, certificate):
    return {**os.environ, **sandbox.env, **certificate, "NODE_EXTRA_CA_CERTS": sandbox.ca, "REQUESTS_CA_BUNDLE": sandbox.ca}


@pytest.fixture
def script():
    """A file beside the installed packages, so that a program finds them."""
    with tempfile.NamedTemporaryFile("w", dir=CLIENTS, suffix=".mjs", encoding="utf-8") as opened:
        yield opened


def test_the_commands_answer(environment, tmp_path):
    done = subprocess.run(["bash", "-c", "\n".join(programs("sh"))], env=environment, capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False, cwd=tmp_path)
    metadata, token, paid = [json.loads(text) for text in re.findall(r"\{.*?\}(?=\{|\s*$)", done.stdout, re.S)]
    assert metadata["issuer"] == environment["TB_URL"] and token["scope"] == "accounts:read"
    assert paid["state"] == "succeeded"


def test_openid_client_takes_the_whole_way(environment, script):
    script.write(of_library("js", "from 'openid-client'"))
    script.flush()
    with subprocess.Popen([node_program(), script.name], env=environment, stdout=subprocess.PIPE, text=True) as program:
        url = program.stdout.readline().removeprefix("Open ").strip()
        login, password, secret = re.match(r"Log in as (\S+) with (\S+) and the code of (\S+)", program.stdout.readline()).groups()
        user = json.dumps({"login": login, "password": password, "totp_secret": secret})
        [met] = node("oauth/visit.js", url, user, env=environment)
        assert program.wait(TIMEOUT_S) == 0
    assert re.fullmatch(r"pay_\w+: succeeded\n", met["said"])


def test_oauth4webapi_lists_accounts(environment, script):
    script.write(of_library("js", "from 'oauth4webapi'"))
    script.flush()
    done = subprocess.run([node_program(), script.name], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert re.fullmatch(r"[1-9]\d* accounts\n", done.stdout), done.stderr


def test_authlib_lists_accounts(environment):
    done = subprocess.run(["/usr/bin/python3", "-c", of_library("python", "authlib")], env=environment, capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)
    assert re.fullmatch(r"[1-9]\d* accounts\n", done.stdout), done.stderr
