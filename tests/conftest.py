"""Where a suite is split over processes (`tests/run`, pytest's -n), files that take long begin first."""

import os

# What takes a minute or more where two suites run; `tests/run` names the slowest tests of each suite.
LONGEST = ("api/test_guides.py", "../plugins/e_payment/tests/api/test_payments.py", "api/test_pages.py", "api/attacks/test_floods.py",
           "api/test_dry_runs.py", "api/test_registration.py", "api/test_script_breaker.py", "api/test_guard.py")


def pytest_collection_modifyitems(config, items):
    if not hasattr(config, "workerinput"):
        return
    rank = {file: n for n, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(os.path.relpath(item.path, config.rootpath), len(rank)))
