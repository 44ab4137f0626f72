"""The fixtures of tests of SQL."""
from books import books, cluster  # noqa: F401
