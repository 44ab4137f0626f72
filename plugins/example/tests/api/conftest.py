"""The fixtures of tests of the API."""
from harness.fixtures import *  # noqa: F403
