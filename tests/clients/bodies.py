"""Random bodies led by a schema: good ones, and good ones with something wrong in them."""

import functools
import json
import os
import posixpath

from harness.partner import new_id

EDGES = [0, 1, 2, 3, 39, 40, 41, 63, 64, 65, 139, 140, 141, 499, 500, 501, 511, 512, 513]
LETTERS = ["x", "é", "漢", "🍐", "~", " "]
PATTERNS = {
    "^[!-~]+$": ["INV-1", "~!", "x"],
    "^[A-Z]{3}$": ["CNY", "XXX"],
    "^[a-z][a-z0-9_]*$": ["no_funds", "a", "z9_"],
    "^([01][0-9]|2[0-3]):[0-5][0-9]$": ["00:00", "09:30", "23:59"],
    "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$": ["00:00", "23:59", "24:00"],
    "^(a|b+)*c?$": ["a", "abba", "bc", "c"],
    "^[a-z][a-z0-9_]{0,39}$": ["above_limit", "a", "z9_", "a" * 40],
    "^[a-z][a-z0-9_]{0,14}$": ["hourly", "a" * 15],
    "^[a-z][a-z0-9_-]{0,39}$": ["batch", "swift-gpi", "a" * 40],
    "^(/[^/]+)+$": ["/amount", "/a/b~1c", "/漢"],
    "^/(?!/)[A-Za-z0-9/._~%?=&-]{0,255}$": ["/", "/erp/orders?id=A-1", "/" + "a" * 255],
    "^(bank|app_[0-9a-z]{26})$": ["bank", "app_01k9x3m6h0g00801v9r5t2n8qd"],
    "^[0-9a-f]{64}$": ["0a" * 32],
    "^/": ["/", "/payments"],
}
FORMATS = {
    "date-time": ["2026-01-15T09:30:00Z", "2026-01-15T09:30:00.123Z", "2024-02-29T23:59:59+08:00", "0001-01-01T00:00:00-00:30"],
    "date": ["2026-01-15", "2024-02-29"],
    "uuid": ["00000000-0000-8000-8000-00000000000f"],
    "uri": ["https://example.com/a?b#c", "urn:uuid:00000000-0000-8000-8000-000000000000", "mailto:a@example.com", "http://[::1]:80/"],
    "email": ["a@example.com"],
    "tb-line": ["goods", "漢 字", "e\u0301\xa0", "🍐\ufe0f"],
}
TEXTS = ["", "a", "INV-1", "with space", "tab\t", "line\n", "\x7f", "\x85", "\u2028", "\u202e", "a\u200bb", "\u2066", "\u3164", "CNY", "cny", "CNYY", "CNY\n", "ＣＮＹ", "open", "failed", "list",
         "acc_", "pay_01k9x3m6h0g00801v9r5t2n8qd", "acc_01K9X3M6H0G00801V9R5T2N8QD", "acc_81k9x3m6h0g00801v9r5t2n8qd",
         "acc_01k9x3m6h0g00801v9r5t2n8qi", "acc_01k9x3m6h0000801v9r5t2n8qd", "acc_01k9x3m6h0g00801v9r5t2n8qd\n",
         "2026-02-29T00:00:00Z", "2026-01-15T24:00:00Z", "2026-01-15T09:30:00", "2026-01-15t09:30:00z", "2026-01-15T09:30Z", "2026-13-01T00:00:00Z",
         "2026-01-15T09:30:00+24:00", "2026-01-15T09:30:00+08:60", "2026-1-15T09:30:00Z", "2016-12-31T23:59:60Z", "2026-01-15 09:30:00Z",
         "2026-01-15T09:30:00+0800", "2026-01-15T09:30:00+08", "2026-01-15T09:30:00,5Z", "2026-01-15T09:30:00.Z", "2100-02-29",
         "urn:", "urn", "//example.com", "http://a b", "http://a%2", "http://a/{x}", "http://ü.example", "a:b", "1a:b", "http://a:port/", "http://a#b#c",
         "a@", "@a", "a@b@c", "a b@c.d"]
NUMBERS = [0, 1, -1, 2, 399, 400, 599, 600, 12345, 2**31, 2**53 - 1, 2**53, -2**53 + 1, -2**53, 2**63 - 1, -2**63, 0.5, -1.5, 1e-7]
WHOLE_REALS = [1.0, 0.0, -0.0, 100.0, 400.0, 12345.0, 1e15]
# Not toString: under const and enum, ajv calls what is there.
STRANGERS = ["", "a/b", "m~n", "Amount", "k" * 40, "k" * 41, "漢" * 40, "漢" * 41, "é", "0", "__proto__", "constructor", "amount ", "n_1", "x_"]


def resolve(schema, path):
    """The same schema with every reference made from the root of the schemas."""
    if isinstance(schema, list):
        return [resolve(one, path) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: resolve(one, path) for name, one in schema.items()}
    if isinstance(made.get("$ref"), str):
        file, _, pointer = made["$ref"].partition("#")
        made["$ref"] = (posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path) + "#" + pointer
    return made


def merge(first, second):
    """Both schemas as one, as far as it takes to make bodies."""
    made = {**first, **second}
    if "properties" in first and "properties" in second:
        names = {**first["properties"], **second["properties"]}
        made["properties"] = {n: merge(first["properties"].get(n, {}), second["properties"].get(n, {})) for n in names}
    return made


class Bodies:
    def __init__(self, directory, name, chance, whole_reals=True):
        self.directory, self.name, self.chance = directory, name, chance
        self.numbers = NUMBERS + (WHOLE_REALS if whole_reals else [])
        self.load = functools.lru_cache(None)(self.load_file)

    def load_file(self, path):
        with open(os.path.join(self.directory, path), encoding="utf-8") as opened:
            return resolve(json.load(opened), path)

    def at(self, reference):
        path, _, pointer = reference.partition("#")
        found = self.load(path)
        for name in pointer.split("/")[1:]:
            found = found[name.replace("~1", "/").replace("~0", "~")]
        return found

    # ---- good ones ----

    def good(self, schema=None, depth=0):
        schema = self.load(self.name) if schema is None else schema
        if isinstance(schema, bool):
            return self.anything(3)
        while "$ref" in schema:
            schema = merge(self.at(schema["$ref"]), {k: v for k, v in schema.items() if k != "$ref"})
        if "const" in schema or "enum" in schema:
            return self.chance.choice(schema.get("enum") or [schema["const"]])
        if "properties" in schema or "additionalProperties" in schema:
            return self.good_object(schema, depth)
        kinds = schema.get("type", "integer" if {"minimum", "exclusiveMinimum"} & set(schema) else "string")
        kind = kinds if isinstance(kinds, str) else self.chance.choice(kinds)
        return getattr(self, "good_" + kind)(schema, depth)

    def good_object(self, schema, depth):
        chance, properties, needed = self.chance, schema.get("properties", {}), schema.get("required", [])
        chosen = [n for n in properties if n in needed or depth < 4 and properties[n] is not False and chance.random() < 0.5]
        made = {name: self.good(properties[name], depth + 1) for name in chosen}
        if isinstance(schema.get("additionalProperties"), dict):
            for i in range(chance.choice([0, 1, 3, schema.get("maxProperties", 3) - len(made)])):
                made[f"m{i}"] = self.good(schema["additionalProperties"], depth + 1)
        if "if" in schema:
            true = all(made.get(n, rule.get("const")) == rule.get("const") for n, rule in schema["if"].get("properties", {}).items())
            branch = schema.get("then" if true else "else", {})
            for name in branch.get("required", []):
                made.setdefault(name, self.good(properties.get(name, {}), depth + 1))
            for name, rule in branch.get("properties", {}).items():
                if rule is False:
                    made.pop(name, None)
        return made

    def good_array(self, schema, depth):
        n = self.chance.choice([0, 1, 2, 3] if depth < 2 else [0, 1])
        n = min(max(n, schema.get("minItems", 0)), schema.get("maxItems", n))
        return [self.good(schema.get("items", True), depth + 1) for _ in range(n)]

    def good_string(self, schema, _):
        if "format" in schema:
            form = schema["format"]
            return new_id(form.removeprefix("tb-id:")) if form.startswith("tb-id:") else self.chance.choice(FORMATS[form])
        if "pattern" in schema:
            return self.chance.choice(PATTERNS[schema["pattern"]])
        n = self.chance.choice([schema.get("minLength", 0), 5, schema.get("maxLength", 20)])
        return self.chance.choice(LETTERS) * min(n, schema.get("maxLength", n))

    def good_integer(self, schema, _):
        low, high = schema.get("minimum", schema.get("exclusiveMinimum", -10)), schema.get("maximum", schema.get("exclusiveMaximum", 1000))
        step = schema.get("multipleOf", 1)
        return self.chance.choice([low, high, self.chance.randint(low, high)]) // step * step

    good_number = good_integer

    def good_boolean(self, *_):
        return self.chance.choice([True, False])

    def good_null(self, *_):
        return None

    # ---- others ----

    def anything(self, depth=0):
        kind = self.chance.randrange(10 if depth < 3 else 8)
        if kind < 2:
            return self.chance.choice(TEXTS)
        if kind == 2:
            return self.chance.choice(LETTERS) * self.chance.choice(EDGES)
        if kind == 3:
            return self.chance.choice(self.chance.choice(list(FORMATS.values())))
        if kind < 6:
            return self.chance.choice(self.numbers)
        if kind < 8:
            return self.chance.choice([None, True, False])
        if kind == 8:
            return [self.anything(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.chance.choice(STRANGERS): self.anything(depth + 1) for _ in range(self.chance.randrange(4))}

    def containers(self, value):
        """Every object and array in it, itself included."""
        found, look = [], [value]
        while look:
            one = look.pop()
            if isinstance(one, (dict, list)):
                found.append(one)
                look += one.values() if isinstance(one, dict) else one
        return found

    def spoil(self, body):
        """Change one thing, for the worse or not."""
        chance, where = self.chance, self.chance.choice(self.containers(body))
        at = chance.choice(list(where) if isinstance(where, dict) else range(len(where))) if where else None
        what = chance.randrange(7)
        if what == 0 and at is not None:
            del where[at]
        elif what == 1 and isinstance(where, dict):
            where[chance.choice(STRANGERS)] = self.anything()
        elif what == 2 and isinstance(where, list):
            where.append(self.anything())
        elif at is not None and what == 3 and isinstance(where[at], str):
            where[at] = chance.choice([where[at] + chance.choice(["x", "\n", " "]), where[at].upper(), where[at][1:]])
        elif at is not None and what == 4 and isinstance(where[at], int) and abs(where[at]) < 2**60:
            where[at] = where[at] + chance.choice([-1, 1, 0.5])
        elif at is not None and what == 5:
            where[at] = [where[at]]
        elif at is not None:
            where[at] = self.anything()

    def any(self):
        if self.chance.random() < 0.02:
            return self.anything()
        body = self.good()
        if isinstance(body, (dict, list)):
            for _ in range(self.chance.choice([0, 1, 1, 2, 4])):
                self.spoil(body)
        return body
