"""Our JSON Schema validator and ajv read the same random bodies and must find the same places wrong. Where we are stricter on
purpose, docs/schema.md says so, and the table below knows the classes."""

import glob
import json
import os
import random
import re

import pytest

from bodies import Bodies
from bridge import fixture, node
from harness.sandbox import ROOT

SHIPPED = os.path.join(ROOT, "schemas")
FUZZED = os.path.join(ROOT, "tests/fuzz/schemas")
EVERY_KEYWORD = "every_keyword.json"
NAMES = sorted(os.path.relpath(path, SHIPPED) for path in glob.glob(f"{SHIPPED}/**/*.json", recursive=True))
DEFINITIONS_ONLY = {"common/ids.json", "common/authorization_details.json"}  # these take anything
BODIES, BODIES_OF_REQUESTS = 1000, 4000

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.A)
SCHEME_ALONE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
PORT_OF_LETTERS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\[]*:[0-9]*[^/?#0-9]")


def at(body, pointer):
    for name in pointer.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        body = body[int(name)] if isinstance(body, list) else body.get(name)
    return body


STRICTER = {
    "what is written as a fraction is no integer": lambda code, value:
        code in ("type", "const", "enum", "minimum", "maximum") and isinstance(value, float) and value.is_integer(),
    "a date-time is one of RFC 3339, whose separator is T and whose offset has a colon": lambda code, value:
        code == "format" and isinstance(value, str) and re.match(r"\d{4}-", value) and not RFC3339.fullmatch(value),
    "a date-time has an offset below 16 hours, and at most 9 digits of a fraction": lambda code, value:
        code == "format" and isinstance(value, str) and RFC3339.fullmatch(value)
        and re.search(r"\.\d{10}|[+-](1[6-9]|2[0-3]):\d\d$", value, re.A),
    "a date-time has no leap second": lambda code, value:
        code == "format" and isinstance(value, str) and RFC3339.fullmatch(value) and value[17:19] == "60",
    "what follows the // of a URI is an authority, whose port is a number": lambda code, value:
        code == "format" and isinstance(value, str) and PORT_OF_LETTERS.match(value),
    "a UUID is no URN": lambda code, value:
        code in ("format", "one_of") and isinstance(value, str) and value.startswith("urn:uuid:"),
}


def empty_path(error, body):
    """RFC 3986 §3 lets a URI end after its scheme; the expression of ajv does not."""
    return error.get("format") == "uri" and SCHEME_ALONE.fullmatch(at(body, error["pointer"]))


def classes(code, value):
    return [name for name, is_one in STRICTER.items() if is_one(code, value)]


def judge(directory, name, bodies):
    lines = [json.dumps({"schema": name, "value": body}) for body in bodies]
    ours = [json.loads(line) for line in fixture("schema_check", directory, lines=lines)]
    theirs = node("judge.js", directory, lines=lines)
    assert len(ours) == len(theirs) == len(bodies)
    return zip(bodies, ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_random_bodies_are_judged_as_by_ajv(name):
    seed = random.randrange(2**32)
    many = Bodies(SHIPPED, name, random.Random(seed))
    bodies = [many.any() for _ in range(BODIES_OF_REQUESTS if "_create" in name else BODIES)]
    good = bad = 0
    for body, ours, theirs in judge(SHIPPED, name, bodies):
        told = f"seed {seed}: {json.dumps(body, ensure_ascii=False)[:1000]}\nours {ours}\najv {theirs}"
        assert "unreadable" not in ours, told
        wrong = {error["pointer"] for error in theirs["errors"] if not empty_path(error, body)}
        more = [error for error in ours["errors"] if error["pointer"] not in wrong]
        assert all(classes(error["code"], at(body, error["pointer"])) for error in more), told
        assert ours["valid"] == (not wrong) or more, told
        if ours["total"] <= 16:
            assert wrong <= {error["pointer"] for error in ours["errors"]}, told
        good, bad = good + ours["valid"], bad + (not ours["valid"])
    assert good > len(bodies) // 10, f"only {good} of {len(bodies)} are good"
    assert bad > len(bodies) // 10 or name in DEFINITIONS_ONLY, f"only {bad} of {len(bodies)} are bad"


def test_every_keyword_is_judged_as_by_ajv():
    """One schema with all keywords there are. Branches that failed are told apart by nobody, so only the verdict counts; and
    it has no room to say which value made it, so values on which the two may differ stay away."""
    seed = random.randrange(2**32)
    many = Bodies(FUZZED, EVERY_KEYWORD, random.Random(seed), whole_reals=False)
    bodies = [body for body in (many.any() for _ in range(BODIES_OF_REQUESTS)) if not arguable(body)]
    good = 0
    for body, ours, theirs in judge(FUZZED, EVERY_KEYWORD, bodies):
        assert ours["valid"] == theirs["valid"], f"seed {seed}: {json.dumps(body, ensure_ascii=False)}\nours {ours}\najv {theirs}"
        good += ours["valid"]
    assert len(bodies) // 100 < good < len(bodies) // 2, f"{good} of {len(bodies)} are good"


def arguable(body):
    """Whether a value on which the two may differ is anywhere in it."""
    look = [body]
    while look:
        value = look.pop()
        if isinstance(value, (dict, list)):
            look += value.values() if isinstance(value, dict) else value
        elif classes("format", value) or classes("type", value) or isinstance(value, str) and SCHEME_ALONE.fullmatch(value):
            return True
    return False


STRICT = [
    ("e_payment/payment_create.json", "/amount/amount", 1.0, "what is written as a fraction is no integer"),
    ("accounts/entry.json", "/sequence", 1.0, "what is written as a fraction is no integer"),
    ("e_payment/payment.json", "/created_at", "2016-12-31T23:59:60Z", "a date-time has no leap second"),
    ("e_payment/payment.json", "/created_at", "2026-01-15T09:30:00+16:00",
     "a date-time has an offset below 16 hours, and at most 9 digits of a fraction"),
    ("e_payment/payment.json", "/created_at", "2026-01-15T09:30:00.0000000001Z",
     "a date-time has an offset below 16 hours, and at most 9 digits of a fraction"),
    ("e_payment/payment.json", "/created_at", "2026-01-15 09:30:00Z",
     "a date-time is one of RFC 3339, whose separator is T and whose offset has a colon"),
    ("e_payment/payment.json", "/created_at", "2026-01-15T09:30:00+0800",
     "a date-time is one of RFC 3339, whose separator is T and whose offset has a colon"),
    ("common/problem.json", "/doc_url", "http://a:port/", "what follows the // of a URI is an authority, whose port is a number"),
    (EVERY_KEYWORD, "/when", "urn:uuid:00000000-0000-8000-8000-000000000000", "a UUID is no URN"),
]


@pytest.mark.parametrize("name, pointer, value, why", STRICT, ids=lambda x: str(x))
def test_we_are_stricter_where_we_say_so(name, pointer, value, why):
    """No class of the table above is there for nothing: ajv takes the value, we do not."""
    directory = FUZZED if name == EVERY_KEYWORD else SHIPPED
    body = {"word": "c", "count": 3} if name == EVERY_KEYWORD else Bodies(SHIPPED, name, random.Random(1)).good()
    parent, _, last = pointer.rpartition("/")
    at(body, parent)[last] = value
    [(_, ours, theirs)] = judge(directory, name, [body])
    assert theirs["valid"] and [error["pointer"] for error in ours["errors"]] == [pointer]
    assert classes(ours["errors"][0]["code"], value) == [why]


UNREADABLE = ['"\\u0000"', '"\\ud800"', "9223372036854775808", "-9223372036854775809", "[" * 40 + "]" * 40, '{"a":1,"a":1}', "[1,]", "01", "1 2",
              "NaN", "[" + "0," * 1001 + "0]"]


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:24])
def test_some_json_is_refused_before_any_schema(text):
    """Twins, numbers beyond 64 bits and other things that two readers may understand differently."""
    [said] = fixture("schema_check", SHIPPED, lines=['{"schema":"common/ids.json","value":%s}' % text])
    assert "unreadable" in json.loads(said)
