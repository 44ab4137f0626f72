"""The servers that the attacks are run against."""

import pytest

from .bare import Bare, certificate


@pytest.fixture(scope="session")
def cert(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("cert"))


@pytest.fixture(scope="module")
def guarded(cert):
    """A guarded server with the default limits, over both plain TCP and TLS."""
    with Bare(certificate=cert) as server:
        yield server


@pytest.fixture(scope="module")
def plain():
    with Bare(guard=False) as server:
        yield server
