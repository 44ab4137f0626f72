"""Attacks on an HTTP server, as functions: each takes a Target and returns an Outcome.

They speak raw bytes, so that they can say what no library lets one say, at full speed. Run one from
the command line:

    python3 -m attacks https://127.0.0.1:8443/ping rapid_reset --frames 100000
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # yardstick, where no pytest has found it
