"""What the tests of the API share: one sandbox for the whole run, hands on it, and clients of its authorization server."""

import os

import pytest

from .fapi import FapiClient, Server
from .jose import Certificate
from .sandbox import Sandbox

os.environ.setdefault("TB_SANDBOX_FSYNC", "off")  # no machine falls here; tests/fault is where what was promised must last


@pytest.fixture(scope="session")
def sandbox():
    # Many scripts burn their budgets on purpose. Who fills the memory on purpose must not meet the end of the budget before.
    with Sandbox(settings={"TB_CHECK_REPLIES": "true", "TB_SCRIPT_LONG": "1s", "TB_SCRIPT_CPU": "50ms"}) as it:
        yield it


@pytest.fixture(scope="session")
def api(sandbox):
    """A client with the demo partner's token."""
    with sandbox.client() as client:
        yield client


@pytest.fixture(scope="session")
def anyone(sandbox):
    """A client without a token."""
    with sandbox.client(token=None) as client:
        yield client


@pytest.fixture
def db(sandbox):
    connection = sandbox.db()
    yield connection
    connection.close()


@pytest.fixture
def accounts(sandbox):
    """`accounts(2)`: so many fresh funded CNY accounts of the demo partner."""
    return sandbox.accounts


# ---- clients of the authorization server, strangers who registered themselves ----

@pytest.fixture(scope="session")
def fapi(sandbox):
    it = Server(sandbox)
    yield it
    it.close()


@pytest.fixture(scope="session")
def client(fapi):
    """DPoP and private_key_jwt, the main variant."""
    return FapiClient.register(fapi)


@pytest.fixture(scope="session")
def other_client(fapi):
    """As `client`, of another partner in another world."""
    return FapiClient.register(fapi)


@pytest.fixture(scope="session")
def signing_client(fapi):
    """Signs its requests and gets signed responses."""
    return FapiClient.register(fapi, alg="PS256", signed=True)


@pytest.fixture(scope="session")
def other_signing_client(fapi):
    return FapiClient.register(fapi, alg="PS256", signed=True)


@pytest.fixture(scope="session")
def mtls_client(fapi, tmp_path_factory):
    """Authenticates by a self-signed certificate, which its tokens are bound to."""
    return FapiClient.register(fapi, certificate=Certificate(tmp_path_factory.mktemp("mtls")))
