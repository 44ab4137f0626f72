"""The shipped schemas of request bodies, in our validator and in another one: random bodies must be judged alike, place by
place."""

import json
import random
import re
import unicodedata
import urllib.parse

import jsonschema
import pytest

from harness.partner import new_id
from harness.sandbox import ROOT

BODIES = 1000
MOST_SHOWN = 16
OPERATIONS = {
    "e_payment/payment_create.json": "/e-payment/v1/payments",
    "e_payment/refund_create.json": f"/e-payment/v1/payments/{new_id('pay')}/refunds",
}
NOT_DRAWN = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"
ID = re.compile(r"^([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\Z")


# ---- the other validator ----

def load(name):
    with open(f"{ROOT}/schemas/{name}", encoding="utf-8") as opened:
        return json.load(opened)


def is_id(prefix, value):
    if not isinstance(value, str):
        return True
    match = ID.match(value)
    if match is None or match[1] != prefix:
        return False
    bits = 0
    for digit in value.split("_")[1]:
        bits = bits << 5 | "0123456789abcdefghjkmnpqrstvwxyz".index(digit)
    return bits >> 76 & 15 == 8 and bits >> 62 & 3 == 2  # UUID of version 8


def pattern(validator, wanted, instance, schema):
    """Python's $ lets a line end pass."""
    wanted = wanted.replace("$", r"\Z")
    if validator.is_type(instance, "string") and not re.search(wanted, instance):
        yield jsonschema.ValidationError("does not match")


def form(validator, wanted, instance, schema):
    if wanted.startswith("tb-id:") and not is_id(wanted.removeprefix("tb-id:"), instance):
        yield jsonschema.ValidationError("is no id")
    if wanted == "tb-line" and isinstance(instance, str) and any(
            unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") or c in NOT_DRAWN for c in instance):
        yield jsonschema.ValidationError("is no line")


def whole(checker, instance):
    """Numbers of requests have no fraction; the reader has refused 1.0 before."""
    return isinstance(instance, int) and not isinstance(instance, bool)


def other_validator(name):
    base = jsonschema.Draft202012Validator
    kind = jsonschema.validators.extend(base, {"pattern": pattern, "format": form},
                                        type_checker=base.TYPE_CHECKER.redefine("integer", whole))
    uri = f"file:///{name}"

    def fetch(where):
        return load(urllib.parse.urlsplit(where).path.lstrip("/"))
    schema = {"$id": uri, **load(name)}
    return kind(schema, resolver=jsonschema.RefResolver(uri, schema, handlers={"file": fetch}))


def escape(part):
    return str(part).replace("~", "~0").replace("/", "~1")


def places(validator, body):
    """The pointers of all that is wrong: missing, unknown and ill-named members by their own."""
    found = []
    for error in validator.iter_errors(body):
        path = "".join("/" + escape(p) for p in error.absolute_path)
        if error.validator == "required":
            found += [f"{path}/{escape(name)}" for name in error.validator_value if name not in error.instance]
        elif error.validator == "additionalProperties" and error.validator_value is False:
            known = error.schema.get("properties", {})
            found += [f"{path}/{escape(name)}" for name in error.instance if name not in known]
        elif list(error.schema_path)[-2:-1] == ["propertyNames"]:
            found.append(f"{path}/{escape(error.instance)}")
        else:
            found.append(path)
    return set(found)


# ---- bodies ----

TEXTS = ["", "a", "x" * 64, "x" * 65, "x" * 140, "x" * 141, "x" * 500, "x" * 501, "INV-1", "with space", "tab\t", "line\n", "é" * 64, "漢" * 140, "漢" * 141,
         "🍐" * 140, "\x7f", "\x85", "CNY", "cny", "CNYY", "CNY\n", "~", "!", "\u200b", "\u2028", "\u202ex", "\u2066", "\u061c", "\xad", "\ufeff", "\u3164", "e\u0301", "\U000e0041", "acc_", "pay_01k9x3m6h0g00801v9r5t2n8qd",
         "acc_01K9X3M6H0G00801V9R5T2N8QD", "acc_81k9x3m6h0g00801v9r5t2n8qd", "acc_01k9x3m6h0g00801v9r5t2n8qi", "acc_01k9x3m6h0000801v9r5t2n8qd"]
NUMBERS = [0, 1, -1, 2**31, 2**53 - 1, 2**53, -2**53, 2**63 - 1, -2**63, 12345]
NAMES = ["reference", "debtor_account", "creditor_account", "amount", "purpose", "metadata", "currency", "reason", "", "a/b", "m~n", "Amount",
         "k" * 40, "k" * 41, "id", "é", "0"]


def any_value(chance, depth=0):
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return chance.choice(TEXTS)
    if kind < 4:
        return chance.choice(NUMBERS)
    if kind < 6:
        return chance.choice([None, True, False])
    if kind == 6:
        return [any_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): any_value(chance, depth + 1) for _ in range(chance.randrange(5))}


def good_value(chance, name):
    return {
        "reference": lambda: chance.choice(["INV-1", "x" * 64, "~!"]),
        "debtor_account": lambda: new_id("acc"), "creditor_account": lambda: new_id("acc"),
        "amount": lambda: {"amount": chance.choice([1, 12345, 2**53 - 1]), "currency": chance.choice(["CNY", "XXX"])},
        "purpose": lambda: chance.choice(["goods", "漢" * 140]), "reason": lambda: chance.choice(["because", "漢" * 140]),
        "metadata": lambda: {str(i): "v" * chance.choice([0, 1, 500]) for i in range(chance.choice([0, 1, 3, 50]))},
    }[name]()


def any_body(chance, schema):
    """A good body with none to some things wrong in it."""
    names = [n for n in schema["properties"] if n in schema.get("required", []) or chance.random() < 0.5]
    body = {name: good_value(chance, name) for name in names}
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        where = chance.choice([body] + [v for v in body.values() if isinstance(v, dict)])
        what = chance.randrange(4)
        if what == 0 and where:
            del where[chance.choice(list(where))]
        elif what == 1:
            where[chance.choice(NAMES)] = any_value(chance)
        elif where:
            where[chance.choice(list(where))] = any_value(chance)
    if chance.random() < 0.03:
        body["metadata"] = {f"m{i}": any_value(chance) for i in range(chance.choice([17, 49, 50, 51, 80]))}
    return body if chance.random() < 0.97 else any_value(chance)


@pytest.mark.parametrize("name", OPERATIONS)
def test_random_bodies_are_judged_as_by_another_validator(api, name):
    seed = random.randrange(2**32)
    chance, other, schema = random.Random(seed), other_validator(name), load(name)
    good = bad = 0
    for n in range(BODIES):
        body = any_body(chance, schema)
        text = json.dumps(body)
        answer = api.post(OPERATIONS[name], text)
        wanted, told = places(other, body), f"seed {seed}, body {n}: {text[:600]}"
        if answer.status_code != 422 or answer.json()["code"] != "invalid_body":
            assert not wanted, f"taken, but {wanted}: {told}\n{answer.text}"
            good += 1
            continue
        problem, bad = answer.json(), bad + 1
        shown = [e["pointer"] for e in problem["errors"]]
        assert wanted, f"refused for {shown}, but nothing is wrong: {told}"
        assert problem["detail"].startswith(shown[0] or "the body"), told
        assert all(e["code"] and e["detail"] for e in problem["errors"])
        if "errors_total" in problem:
            assert len(shown) == MOST_SHOWN < problem["errors_total"] and set(shown) <= wanted, told
        else:
            assert len(shown) <= MOST_SHOWN and set(shown) == wanted, f"{set(shown) ^ wanted}: {told}"
    assert good > BODIES // 10 and bad > BODIES // 10


@pytest.mark.parametrize("name", ["e_payment/payment.json", "e_payment/refund.json", "accounts/account.json", "accounts/entry.json",
                                  "common/problem.json"])
def test_answers_are_what_their_schemas_say(api, sandbox, name):
    """The other validator reads what goes out."""
    made = api.pay(sandbox.debtor, sandbox.creditor, 10)
    refund = api.post(made.headers["location"] + "/refunds", {"amount": {"amount": 1, "currency": "CNY"}})
    answers = {
        "e_payment/payment.json": [made, api.get(made.headers["location"]), api.pay(sandbox.debtor, sandbox.creditor, 2**53 - 1)],
        "e_payment/refund.json": [refund, api.get(refund.headers["location"])],
        "accounts/account.json": [api.get(f"/accounts/v1/accounts/{sandbox.debtor}")],
        "accounts/entry.json": [],
        "common/problem.json": [api.get("/nope"), api.post("/e-payment/v1/payments", "{}"), api.get("/accounts/v1/accounts?limit=0")],
    }
    bodies = [a.json() for a in answers[name]]
    if name == "accounts/entry.json":
        bodies = api.get(f"/accounts/v1/accounts/{sandbox.debtor}/entries").json()["data"]
    assert bodies
    for body in bodies:
        other_validator(name).validate(body)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_examples_of_a_schema_are_good(name):
    for example in load(name)["examples"]:
        other_validator(name).validate(example)
