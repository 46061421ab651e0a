"""Child process of the benchmarks: keeps a host of many domains alive and changes some of them on demand.

    python -m tests.bench.population URI NODE.xml

`test:///default` behind a daemon is one host for all its connections, and there as long as one is open: this process
holds that one and fills it with the domains of a node file. It prints the name of each and a blank line when all are
there; every line "N" on its standard input suspends or resumes N domains and is answered by their number. It ends with
its standard input.
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


def flip(domain: libvirt.virDomain) -> None:
    """Suspend a running domain, resume a suspended one."""
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()
    else:
        domain.suspend()


def main() -> None:
    """Fill the host, then flip as told until standard input ends."""
    uri, node = sys.argv[1], Path(sys.argv[2])
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        domain.destroy()
        domain.undefine()
    running = fill(connection, node)
    print(flush=True)
    chosen = random.Random(len(running))
    for line in sys.stdin:
        domains = chosen.sample(running, min(int(line), len(running)))
        for domain in domains:
            flip(domain)
        print(len(domains), flush=True)


if __name__ == "__main__":
    main()
