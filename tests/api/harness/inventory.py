"""Every operation there is, read from the tables in the sources: what a test walks cannot be forgotten."""

import glob
import os
import re
from dataclasses import dataclass

from .sandbox import ROOT

ROUTE = re.compile(r'\{\s*\.method = "(?P<method>[A-Z]+)",\s*\.path = "(?P<path>[^"]+)",(?P<rest>.*?)\.handler', re.S)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str  # with typed parameters: /e-payment/v1/payments/{payment_id:pay}
    scope: str  # None: open to everybody
    body_schema: str

    @property
    def key(self):
        return f"{self.method} {re.sub(r':[a-z]+}', '}', self.path)}"

    @property
    def parameters(self):
        """(name, prefix of its ids or None)"""
        return [tuple(p.split(":")) if ":" in p else (p, None) for p in re.findall(r"{([^}]+)}", self.path)]

    def at(self, **values):
        """The path with its parameters put in."""
        return re.sub(r"{(\w+)(:\w+)?}", lambda m: values[m[1]], self.path)


def member(rest, name):
    found = re.search(rf'\.{name} = "([^"]+)"', rest)
    return found and found[1]


def operations():
    found = []
    for folder in ("core", "plugins"):
        for name in sorted(glob.glob(os.path.join(ROOT, folder, "**/*.c"), recursive=True)):
            if os.path.basename(name).startswith("test_"):
                continue
            with open(name, encoding="utf-8") as opened:
                found += [Operation(m["method"], m["path"], member(m["rest"], "scope"), member(m["rest"], "body_schema"))
                          for m in ROUTE.finditer(opened.read())]
    assert len(found) >= 12, "the tables are written in another way; read them in another way"
    return found
