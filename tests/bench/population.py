"""Child process of the benchmarks: keeps a host of many domains alive and changes some of them on demand.

    python -m tests.bench.population URI NODE.xml

`test:///default` behind a daemon is one host for all its connections, and there as long as one is open: this process
holds that one and fills it with the domains of a node file. It prints the name of each and a blank line when all are
there, and then answers lines on its standard input with a number of domains:

    pause    suspend all that run        resume   resume all that are suspended
    flip N   suspend or resume N of them, chosen at random; every other time the same ones back

It ends with its standard input.
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


class Changer:
    """Changes the states of domains that are active."""

    def __init__(self, domains: list[libvirt.virDomain]) -> None:
        self._domains = domains
        self._chosen = random.Random(len(domains))
        self._away: list[libvirt.virDomain] = []

    def obey(self, command: str) -> int:
        """Carry out one command and return how many domains it changed; raises ValueError for an unknown one."""
        word, _, number = command.partition(" ")
        if word == "flip":
            return self._change(self._flipped(int(number)))
        if word in ("pause", "resume"):
            before = libvirt.VIR_DOMAIN_RUNNING if word == "pause" else libvirt.VIR_DOMAIN_PAUSED
            self._away = []
            return self._change([domain for domain in self._domains if domain.state()[0] == before])
        raise ValueError(command)

    def _flipped(self, count: int) -> list[libvirt.virDomain]:
        back, self._away = self._away, []
        if not back:
            self._away = self._chosen.sample(self._domains, min(count, len(self._domains)))
        return back or self._away

    def _change(self, domains: list[libvirt.virDomain]) -> int:
        for domain in domains:
            toggle(domain)
        return len(domains)


def main() -> None:
    """Fill the host, then obey until standard input ends."""
    uri, node = sys.argv[1], Path(sys.argv[2])
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        domain.destroy()
        domain.undefine()
    changer = Changer(fill(connection, node))
    print(flush=True)
    for line in sys.stdin:
        print(changer.obey(line.strip()), flush=True)


if __name__ == "__main__":
    main()
