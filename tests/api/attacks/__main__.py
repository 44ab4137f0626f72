"""Run one attack, or all: python3 -m attacks URL [NAME...]"""

import sys
from urllib.parse import urlsplit

from . import floods, slow, smuggling
from .wire import Target


def main(argv):
    url = urlsplit(argv[0])
    tls = url.scheme == "https"
    target = Target(url.hostname, url.port or (443 if tls else 80), tls, url.netloc, url.path or "/ping")
    attacks = {f.__name__: f for f in floods.ALL + slow.ALL + smuggling.ALL}
    for name in argv[1:] or attacks:
        print(attacks[name](target))


main(sys.argv[1:])
