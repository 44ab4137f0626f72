"""What people read holds only what shows itself: refused where it comes in, escaped where it goes out."""

import json
import os
import subprocess
import uuid

import pytest

from harness.fapi import FapiClient
from harness.partner import Partner

FOUND, USAGE, ENVIRONMENT = 1, 2, 3
HIDDEN = {"escape": "\x1b[2J", "c1": "\x9b31m", "newline": "\n", "delete": "\x7f", "override": "\u202e", "isolate": "\u2066", "mark": "\u200f",
          "arabic mark": "\u061c", "line": "\u2028", "paragraph": "\u2029", "zero width": "\u200b", "joiner": "\u200d", "bom": "\ufeff",
          "soft hyphen": "\xad", "tag": "\U000e0041", "filler": "\u3164"}
EVERY = pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)


@pytest.fixture
def run(sandbox):
    """`run("audit", …)`: the finished process, with bytes."""
    def run(*arguments, **env):
        return subprocess.run([os.path.join(sandbox.build, "tongbao").encode(), *(a if isinstance(a, bytes) else a.encode() for a in arguments)],
                              capture_output=True, timeout=60, check=False,
                              env={**sandbox.environment(), "TB_CONFIG": sandbox.env["TB_CONFIG"], **env})
    return run


def shown(said):
    """That nothing but lines of what shows itself was printed, as far as bytes tell."""
    text = (said.stdout + said.stderr).decode()
    assert all(c == "\n" or c.isprintable() for c in text), text
    return text


# ---- refused at the command line ----

@EVERY
def test_no_argument_holds_what_is_not_visible(run, hidden):
    said = run("partner", "create", f"Jiang{hidden}nan")
    assert said.returncode == USAGE and not said.stdout
    assert f"U+{ord(hidden[0]):04X}, which is not visible" in shown(said)
    assert run("interface", "stop", "nothing", "--reason", f"a{hidden}b").returncode == USAGE


@pytest.mark.parametrize("name, why", [("", "is empty"), (" ", "is empty"), ("\u3000", "is empty"), ("x" * 141, "more than 140 characters"),
                                       ("x" * 5000, "more than 140 characters"), (b"Jiang\xffnan", "is not UTF-8"), (b"\xc0\x80", "is not UTF-8"),
                                       (b"\xed\xa0\x80", "is not UTF-8")])
def test_a_name_is_a_name(run, name, why):
    for command in (("partner", "create", name), ("app", "create", name, "--partner", "ptr_x", "--world", "wld_x"),
                    ("user", "add", "a@b", "pty_01k9x3m6h0g00801c4w7e3k6zj", name)):
        said = run(*command)
        assert said.returncode == USAGE and why in shown(said), said.stderr
    assert run("partner", "create", "江南金融 Ltd. é🍐").returncode == 0


def test_words_that_are_not_known_are_printed_so_that_they_show(run):
    for words in ((b"\xff",), ("au\x1bdit",), ("audit", "--\x1bx"), ("help", "\u202e"), ("audit", "\u202e")):
        said = run(*words)
        assert said.returncode == USAGE
        shown(said)


# ---- refused at the API ----

@EVERY
def test_no_purpose_or_reason_holds_what_is_not_visible(api, sandbox, hidden):
    body = {"reference": f"V-{uuid.uuid4()}", "debtor_account": sandbox.debtor, "creditor_account": sandbox.creditor,
            "amount": {"amount": 1, "currency": "CNY"}}
    answer = api.post("/e-payment/v1/payments", {**body, "purpose": f"rent{hidden}"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/purpose"
    assert "one line" in answer.json()["errors"][0]["detail"]
    payment = api.post("/e-payment/v1/payments", {**body, "purpose": "房租 é🍐"}).json()["id"]
    answer = api.post(f"/e-payment/v1/payments/{payment}/refunds", {"reason": f"{hidden}back"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/reason"


@EVERY
def test_no_registration_holds_what_is_not_visible(fapi, hidden):
    for member, value in (("client_name", f"Demo{hidden}"), ("client_name#zh", f"演示{hidden}"), ("software_id", f"s{hidden}"), ("contacts", [f"a{hidden}@b"])):
        answer = fapi.http().post("/oauth/register", json={"client_name": "Demo", member: value})
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_client_metadata", (member, answer.text)
        assert member.split("#")[0] in answer.json()["error_description"]


@pytest.mark.parametrize("name", ["x" * 141, " ", "\u3000"])
def test_a_registered_name_is_a_name(fapi, name):
    answer = fapi.http().post("/oauth/register", json={"client_name": name})
    assert answer.status_code == 400 and "client_name" in answer.json()["error_description"]


# ---- escaped where it is printed ----

@EVERY
def test_what_is_in_the_books_all_the_same_is_escaped_in_tables_and_in_json(run, db, sandbox, hidden):
    partner = Partner(sandbox, "Before")
    name = f"Jiang{hidden}nan"
    with db.cursor() as cursor:
        cursor.execute("update bank.partner set name = %s where id = %s", (name, partner.id))
    try:
        table = shown(run("partner", "list"))
        assert f"Jiang\\u{{{ord(hidden[0]):04x}}}" in table
        assert name in [p["name"] for p in json.loads(shown(run("partner", "list", "--json")))]
    finally:
        with db.cursor() as cursor:
            cursor.execute("update bank.partner set name = 'After' where id = %s", (partner.id,))


# ---- what a command says, and its log ----

def test_a_command_says_one_sentence_and_its_log_only_when_it_is_wanted(run):
    said = run("audit", TB_STORE_DSN="host=/nowhere dbname=x")
    assert said.returncode == ENVIRONMENT and len(shown(said).splitlines()) == 1 and "{" not in shown(said)
    assert "/nowhere" in shown(said)
    said = run("audit", "--verbose", TB_STORE_DSN="host=/nowhere dbname=x")
    assert said.returncode == ENVIRONMENT and b"store_connect_failed" in said.stderr
