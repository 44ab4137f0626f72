"""An HTTP/2 client of the API that knows its conventions: bearer token, idempotency keys, problems, pages."""

import socket
import uuid

import httpcore
import httpx
from yardstick import slowness


class Prompt(httpcore.backends.sync.SyncBackend):
    """Sends what is written at once. The library leaves Nagle's algorithm on and writes head and body apart, so that each POST
    would wait 40 ms for the acknowledgement of its head."""

    def connect_tcp(self, *arguments, **options):
        stream = super().connect_tcp(*arguments, **options)
        stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream


class Client:
    """One connection pool to one gateway. `token` None sends no Authorization header."""

    def __init__(self, url, ca, token=None, http2=True, timeout=15.0, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url, verify=ca, http1=not http2, http2=http2, headers=headers, timeout=timeout * slowness(),
                                 **options)
        self.http._transport._pool._network_backend = Prompt()

    def close(self):
        self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def get(self, path, **options):
        return self.http.get(path, **options)

    def post(self, path, body, key="new", headers=None, **options):
        """POST a JSON body (a str or bytes goes out as it is). `key`: "new" makes one, None sends none."""
        headers = dict(headers or {})
        if key is not None:
            headers.setdefault("Idempotency-Key", str(uuid.uuid4()) if key == "new" else key)
        if isinstance(body, (str, bytes)):
            headers.setdefault("Content-Type", "application/json")
            return self.http.post(path, content=body, headers=headers, **options)
        return self.http.post(path, json=body, headers=headers, **options)

    def pay(self, debtor, creditor, amount=12345, currency="CNY", reference=None, key="new", **members):
        """Pay from account to account; `members` are added to the body."""
        body = {"reference": reference or f"T-{uuid.uuid4()}", "debtor_account": debtor, "creditor_account": creditor,
                "amount": {"amount": amount, "currency": currency}, "purpose": "goods", **members}
        return self.post("/e-payment/v1/payments", body, key=key)

    def balance(self, account):
        """The ledger balance of an account in minor units."""
        answer = self.get(f"/accounts/v1/accounts/{account}")
        assert answer.status_code == 200, answer.text
        return answer.json()["balances"]["ledger"]["amount"]

    def pages(self, path, limit=10, **query):
        """All objects of a list, page by page, as the cursors lead."""
        query = {**query, "limit": limit}
        while True:
            answer = self.get(path, params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            yield from page["data"]
            if not page["has_more"]:
                return
            query["starting_after"] = page["next_cursor"]


def assert_problem(answer, status, code):
    """The answer is a problem document (RFC 9457) of this status and code, with what every one carries."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code, problem
    assert problem["type"].endswith(code)
    assert problem["title"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem
