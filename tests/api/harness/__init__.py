"""A real Tongbao for tests: its own PostgreSQL, its own certificates, a port of its own, and a client that speaks HTTP/2.

    def test_pays(api, sandbox):
        answer = api.pay(sandbox.debtor, sandbox.creditor, 12345)
        assert answer.status_code == 201
"""

from .client import Client
from .sandbox import Sandbox

__all__ = ["Client", "Sandbox"]
