"""Problems as people read them: in their language, behind a link that explains them, and in a sandbox with what PostgreSQL said."""

import contextlib
import json
import re
import subprocess
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner
from harness.sandbox import ROOT

PAYMENTS = "/e-payment/v1/payments"
CONSENT = "cns_01k9x3m6h0g00801v9r5t2n8qd"
CHINESE = re.compile("[\u4e00-\u9fff]")


def rows_of(page):
    """The codes a page of docs/ lists, with title and remedy."""
    with open(f"{ROOT}/{page}", encoding="utf-8") as opened:
        return re.findall(r"^\| `(\w+)` \| \d{3} \| \w+ \| (.+?) \| (.+?) \|$", opened.read(), re.M)


# ---- languages ----

@pytest.mark.parametrize("accepted, language", [
    ("zh-CN", "zh-CN"), ("zh", "zh-CN"), ("zh-Hans-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en;q=0.1,zh;q=0.2", "zh-CN"), ("fr,zh;q=0.1", "zh-CN"),
    ("en", "en"), ("en-GB,zh;q=0.5", "en"), ("fr", "en"), ("", "en"), ("*", "en"), ("zh;q=0", "en"), (None, "en"),
])
def test_a_problem_is_in_the_language_of_its_reader(api, accepted, language):
    answer = api.get(PAYMENTS + "?limit=0", headers={} if accepted is None else {"accept-language": accepted})
    problem = assert_problem(answer, 400, "bad_parameter")
    assert answer.headers["content-language"] == language and "accept-language" in answer.headers["vary"]
    for member in ("title", "remedy"):
        assert bool(CHINESE.search(problem[member])) == (language == "zh-CN"), problem
    assert problem["errors"][0]["parameter"] == "limit"


def test_what_the_server_itself_refuses_is_in_that_language_too(anyone):
    answer = anyone.get("/" + "x" * 3000, headers={"accept-language": "zh"})
    assert CHINESE.search(assert_problem(answer, 414, "uri_too_long")["title"])
    assert answer.headers["content-language"] == "zh-CN" and answer.headers["vary"] == "accept-language"


def test_every_error_has_words_in_both_languages(anyone):
    rows = rows_of("docs/errors.md") + rows_of("docs/products/e-payment.md")
    assert len(rows) > 80
    for code, title, remedy in rows:
        english, chinese = (anyone.get(f"/problems/{code}", headers={"accept-language": lang}) for lang in ("en", "zh"))
        assert (english.json()["title"], english.json()["remedy"]) == (title, remedy)
        assert chinese.headers["content-language"] == "zh-CN" and english.headers["content-language"] == "en"
        assert CHINESE.search(chinese.json()["title"]) and CHINESE.search(chinese.json()["remedy"]), code


# ---- what the link of a problem leads to ----

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept, media", [
    (BROWSER, "text/html; charset=utf-8"), ("text/html", "text/html; charset=utf-8"), ("*/*", "application/json"), (None, "application/json"),
    ("application/json", "application/json"), ("application/json, text/html;q=0.5", "application/json"), ("text/html;q=0", "application/json"),
])
def test_a_link_leads_a_browser_to_a_page_and_a_program_to_json(anyone, api, accept, media):
    link = api.get(PAYMENTS + "?limit=0").json()["doc_url"]
    anyone.http.headers.pop("accept", None)
    answer = anyone.http.get(link, headers={} if accept is None else {"accept": accept})
    assert answer.status_code == 200 and answer.headers["content-type"] == media
    assert "accept" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize("lang, tag", [("en", "en"), ("zh", "zh-CN")])
def test_the_page_says_what_the_table_says(anyone, lang, tag):
    answer = anyone.get("/problems/rate_limited", headers={"accept": BROWSER, "accept-language": lang})
    told = anyone.get("/problems/rate_limited", headers={"accept-language": lang}).json()
    assert f'<html lang="{tag}">' in answer.text and f"<h1>{told['title']}</h1>" in answer.text
    assert f"<dd>{told['remedy']}</dd>" in answer.text and "<code>rate_limited</code>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    other = re.search(r'href="(/problems/rate_limited\?lang=[\w-]+)"', answer.text)[1]
    turned = anyone.get(other, headers={"accept": BROWSER, "accept-language": lang})
    assert turned.status_code == 200 and turned.headers["content-language"] != answer.headers["content-language"]


def test_a_page_of_no_problem_is_not_there(anyone):
    answer = anyone.get("/problems/nothing", headers={"accept": BROWSER})
    assert answer.status_code == 404 and answer.headers["content-type"].startswith("text/html")
    assert_problem(anyone.get("/problems/nothing"), 404, "not_found")
    assert_problem(anyone.get("/problems/conflict?lang=fr"), 400, "bad_parameter")


# ---- what PostgreSQL said ----

@pytest.fixture
def broken(db):
    """The function behind a list raises what a handler does not expect."""
    with db.cursor() as cursor:
        cursor.execute("select pg_get_functiondef('consent.list_receipts'::regproc)")
        [good] = cursor.fetchone()
        body = re.sub(r"(AS \$function\$).*(\$function\$)", r"""\1
            begin raise exception 'no such "thing"' using errcode = '22008'; end \2""", good, flags=re.S)
        cursor.execute(body)
        yield
        cursor.execute(good)


def test_a_failure_inside_says_its_cause_to_the_owner_of_a_sandbox(sandbox, api, broken):
    path = f"/consents/v1/consents/{CONSENT}/receipts"
    problem = assert_problem(api.get(path), 500, "internal")
    assert problem["cause"] == {"sqlstate": "22008", "message": 'no such "thing"'}
    assert problem["remedy"]


def test_a_failing_write_says_its_cause_too(sandbox, api, db):
    payer, payee = sandbox.accounts(2)
    with db.cursor() as cursor:
        cursor.execute("alter table e_payment.payment add constraint test_only check (reference <> 'T-22') not valid")
    try:
        problem = assert_problem(api.pay(payer, payee, 1, reference="T-22"), 500, "internal")
        assert problem["cause"]["sqlstate"] == "23514" and "test_only" in problem["cause"]["message"]
    finally:
        with db.cursor() as cursor:
            cursor.execute("alter table e_payment.payment drop constraint test_only")
    assert api.pay(payer, payee, 1, reference=f"T-{uuid.uuid4()}").status_code == 201


# ---- lists whose cursor has lost its place ----

@contextlib.contextmanager
def gone(db, table, condition, *values):
    """The rows are not there; afterwards they are again, for those who audit the books."""
    with db.cursor() as cursor:
        cursor.execute(f"create temp table kept as select * from {table} where {condition}", values)
        cursor.execute(f"delete from {table} where {condition}", values)
        try:
            yield
        finally:
            cursor.execute(f"insert into {table} select * from kept")
            cursor.execute("drop table kept")


@pytest.mark.parametrize("direction", ["starting_after", "ending_before"])
def test_a_cursor_whose_object_is_gone_is_refused(sandbox, db, direction):
    partner = Partner(sandbox, "Cursor's partner")
    payer, payee = partner.account(), partner.account()
    with partner.client() as client:
        payment = [client.pay(payer, payee, 10).json()["id"] for _ in range(4)][0]
        for _ in range(4):
            client.post(f"{PAYMENTS}/{payment}/refunds", {"amount": {"amount": 1, "currency": "CNY"}})
        for path, table in ((PAYMENTS, "payment"), (f"{PAYMENTS}/{payment}/refunds", "refund")):
            page = client.get(path, params={"limit": 2}).json()
            cursor_of = page["next_cursor"]
            if direction == "ending_before":
                page = client.get(path, params={"limit": 1, "starting_after": cursor_of}).json()
                page = client.get(path, params={"limit": 1, "ending_before": page["next_cursor"]}).json()
                cursor_of = page["next_cursor"] or cursor_of
            with gone(db, f"e_payment.{table}", "partner = %s and id <> %s", partner.id, payment):
                problem = assert_problem(client.get(path, params={direction: cursor_of}), 400, "bad_cursor")
            assert problem["errors"][0]["parameter"] == direction
            assert problem["detail"] == "what the cursor stands at is no longer there"


# ---- the page for partners ----

def test_the_partners_page_shows_what_the_wire_says(sandbox):
    with open(f"{ROOT}/docs/partners.md", encoding="utf-8") as opened:
        page = opened.read()
    shown = json.loads(re.search(r"^```json\n(.*?)^```$", page, re.M | re.S)[1])
    command = re.search(r"^```sh\n(.*?)^```$", page, re.M | re.S)[1]
    done = subprocess.run(["bash", "-euc", f". {sandbox.run_dir}/env\n{command}"], capture_output=True, text=True, timeout=30, check=True)
    told = json.loads(done.stdout)
    assert list(told) == list(shown)
    unlike = {name for name in told if told[name] != shown[name]}
    assert unlike <= {"type", "instance", "request_id", "doc_url", "trace"}, unlike


def test_the_partners_page_names_codes_and_settings_that_there_are():
    with open(f"{ROOT}/docs/partners.md", encoding="utf-8") as opened:
        page = opened.read()
    with open(f"{ROOT}/docs/errors.md", encoding="utf-8") as opened:
        known = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", opened.read(), re.M))
    named = re.findall(r"\b(\d{3}) `(\w+)`", page)
    assert len(named) >= 8 and all(known.get(code) == status for status, code in named), named
    with open(f"{ROOT}/docs/configuration.md", encoding="utf-8") as opened:
        rows = dict(re.findall(r"^\| `([\w.]+)` \|.*\| `([^`]*)` \| \w+ \|$", opened.read(), re.M))
    settings = {"limits.body": "64KiB", "limits.header_fields": "100", "limits.header_bytes": "32KiB", "limits.stream_concurrency": "32",
                "limits.request_deadline": "10s", "limits.page": "100", "limits.json_depth": "32", "limits.json_members": "1000"}
    assert {name: rows[name] for name in settings} == settings, "docs/partners.md says these numbers"
