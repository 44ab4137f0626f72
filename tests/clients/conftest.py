"""What the tests with others' clients share: npm's packages, and one sandbox."""

import pytest

from bridge import install
from harness import Sandbox


@pytest.fixture(scope="session", autouse=True)
def packages():
    install()


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as it:
        yield it
