"""h2load against a gateway: a flood of one request, and how many answers it got of each kind."""

import re
import subprocess
from dataclasses import dataclass


@dataclass
class Flood:
    succeeded: int  # 2xx
    refused: int  # 4xx
    failed: int  # 5xx, resets, closed connections
    seconds: float
    text: str


def h2load(sandbox, path, requests, token, connections=16, streams=16, threads=1, timeout=600):
    """`requests` GETs of `path`; every connection is a new one."""
    said = subprocess.run(["h2load", f"-n{requests}", f"-c{connections}", f"-m{streams}", f"-t{threads}",
                           f"-HAuthorization: Bearer {token}", sandbox.url + path],
                          capture_output=True, text=True, check=True, timeout=timeout).stdout
    status = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m)", said)
    seconds = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[took[2]]
    refused = int(status[3])
    lost = int(failed[1]) - refused  # h2load counts each 4xx as failed, too
    return Flood(int(status[1]), refused, int(status[4]) + max(0, lost - int(status[4])), seconds, said)
