"""Child process of the benchmarks: keeps a host of many domains alive and changes some of them on demand.

    python -m tests.bench.population URI NODE.xml

`test:///default` behind a daemon is one host for all its connections, and there as long as one is open: this process
holds that one and fills it with the domains of a node file. It prints the name of each and a blank line when all are
there. Every line "N" on its standard input then suspends or resumes N running ones, chosen at random, and every other
time the same ones back; it is answered by their number. The process ends with its standard input.
"""

from __future__ import annotations

import random
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt

_RUN_STATE = "{http://libvirt.org/schemas/domain/test/1.0}runstate"


def fill(connection: libvirt.virConnect, node: Path) -> list[libvirt.virDomain]:
    """Define the domains of a node file, start those that run there, and return the latter."""
    running = []
    for element in ET.parse(node).getroot().iter("domain"):
        if (state := element.find(_RUN_STATE)) is None:
            continue  # the <domain> of a network is its DNS name
        element.remove(state)
        domain = connection.defineXML(ET.tostring(element, encoding="unicode"))
        if int(state.text or 0) == libvirt.VIR_DOMAIN_RUNNING:
            domain.create()
            running.append(domain)
        print(domain.name())
    return running


def toggle(domain: libvirt.virDomain) -> None:
    """Suspend a running domain, resume a suspended one."""
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()
    else:
        domain.suspend()


class Flipper:
    """Changes some domains, and every other time the same ones back."""

    def __init__(self, domains: list[libvirt.virDomain]) -> None:
        self._domains = domains
        self._chosen = random.Random(len(domains))
        self._changed: list[libvirt.virDomain] = []

    def flip(self, count: int) -> int:
        """Suspend or resume `count` domains and return how many it were."""
        back, self._changed = self._changed, []
        if not back:
            self._changed = self._chosen.sample(self._domains, min(count, len(self._domains)))
        for domain in back or self._changed:
            toggle(domain)
        return len(back or self._changed)


def main() -> None:
    """Fill the host, then flip as told until standard input ends."""
    uri, node = sys.argv[1], Path(sys.argv[2])
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        domain.destroy()
        domain.undefine()
    flipper = Flipper(fill(connection, node))
    print(flush=True)
    for line in sys.stdin:
        print(flipper.flip(int(line)), flush=True)


if __name__ == "__main__":
    main()
