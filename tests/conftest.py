"""Where a suite is split over processes (`tests/run`, pytest's -n), files that take long begin first."""

import os

# Minutes on an idle machine; the others take less. `tests/run` names the slowest tests of each suite.
LONGEST = ("api/test_script_breaker.py",)


def pytest_collection_modifyitems(config, items):
    if not hasattr(config, "workerinput"):
        return
    rank = {file: n for n, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(os.path.relpath(item.path, config.rootpath), len(rank)))
