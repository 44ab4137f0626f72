"""What the tests of the API share: one sandbox for the whole run, and hands on it."""

import pytest

from harness import Sandbox


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox(settings={"TB_CHECK_REPLIES": "true"}) as it:
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
