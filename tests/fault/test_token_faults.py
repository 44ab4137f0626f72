"""A worker that dies, or loses its database, around the moment a code is taken: before, nothing has happened; after, the code
is used up, nobody is left with a token, and nothing that was made on the way can be used."""

import os

import httpx
import pytest

from harness import Sandbox
from harness.fapi import FapiClient, Server, granted, refused
from harness.sandbox import ROOT, wait_until

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build-asan")


@pytest.mark.parametrize("action", ["kill", "error"])
@pytest.mark.parametrize("label", ["before_token_insert", "after_code_consume"])
def test_a_code_is_taken_with_all_that_comes_of_it_or_not_at_all(label, action, tmp_path):
    os.chmod(tmp_path, 0o777)
    settings = {"TB_WORKERS": "1", "TB_FAULT": f"{label}:{action}:1", "TB_FAULT_DIR": str(tmp_path)}
    with Sandbox(build=BUILD, settings=settings) as sandbox:
        client = FapiClient.register(Server(sandbox))
        authorization = client.authorize()
        try:
            answer = client.redeem(authorization)
        except httpx.TransportError:
            answer = None
        if action == "error":
            refused(answer, 503, "temporarily_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        else:
            assert answer is None, answer.text
            client = client.on_a_connection_of_its_own()
            client._browser = None  # its connection was to the worker that died
            wait_until(lambda: serves(client), 30, "another worker serves")
        if label == "before_token_insert":
            assert count(sandbox, "oauth.refresh") == 0
            granted(client.redeem(authorization))
            return
        refused(client.redeem(authorization), 400, "invalid_grant")
        assert count(sandbox, "oauth.refresh") == 0
        assert count(sandbox, "oauth.grants where ended_by = 'code used again'") == 1
        granted(client.redeem(client.authorize()))  # and all is well again


def count(sandbox, rows):
    with sandbox.db() as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {rows}")
        return cursor.fetchone()[0]


def serves(client):
    try:
        return client.client_credentials().status_code == 200
    except httpx.TransportError:
        return False
