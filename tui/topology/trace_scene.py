"""What a trace is made from: a snapshot, its wiring and guests, and what the kernel answered; it notes what it would
like to ask."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

from tui.model.route import (
    CountAnswer,
    CountQuestion,
    FlowAnswer,
    FlowQuestion,
    ProbeAnswer,
    ProbeQuestion,
    RouteAnswer,
    RouteQuestion,
)
from tui.topology.guests import Guests
from tui.topology.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tui.model.firewall import Firewall
    from tui.model.link import Link, LinkNeighbour, Netns
    from tui.model.route import Answers, Question
    from tui.model.snapshot import HostSnapshot

OUTSIDE = "outside"
_SOMEWHERE = {4: "1.1.1.1", 6: "2606:4700:4700::1111"}
"""Addresses that every default route leads to; nothing is sent there."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is to be traced: a NIC of a guest, or a link; "" for the other."""

    guest: str = ""
    """The key of the domain or process."""
    nic: int = 0
    link: str = ""
    """The key of the link."""
    to: str = ""
    """An address; "" for outside."""
    probe: bool = False
    """Whether it is also to be proven on the wire."""


@dataclass(slots=True)
class Flow:
    """The packet on its way; addresses "" where they are not known."""

    source: str
    destination: str
    outside: bool
    """Whether the destination stands for anything beyond the default route."""
    mac: str = ""
    """Of the sender, on the first segment."""
    guest_source: str = ""
    """The source that the sender is known by; "" where one of its network stands for it."""

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4


class Ground:
    """What is made of a snapshot once, however often it is traced."""

    def __init__(self, snapshot: HostSnapshot) -> None:
        self.snapshot = snapshot
        self.wiring = Wiring(snapshot)
        self.guests = Guests(snapshot, self.wiring)


class Scene:
    """All that a trace looks at."""

    def __init__(
        self, snapshot: HostSnapshot, answers: Answers, *, ground: Ground | None = None, probe: bool = False
    ) -> None:
        """`ground` is what was made of the snapshot already."""
        ground = ground or Ground(snapshot)
        self.snapshot = snapshot
        self.wiring = ground.wiring
        self.guests = ground.guests
        self._answers = answers
        self._probe = probe
        self.questions: dict[Question, None] = {}
        """What was asked and is not answered yet, in its order."""

    def route(self, question: RouteQuestion) -> RouteAnswer | None:
        """Return what the kernel answered; None: it is not asked yet."""
        answer = self._answers.get(question)
        if isinstance(answer, RouteAnswer):
            return answer
        self.questions[question] = None
        return None

    def flow(self, question: FlowQuestion) -> FlowAnswer | None:
        """Return what Open vSwitch answered; None: it is not asked yet."""
        answer = self._answers.get(question)
        if isinstance(answer, FlowAnswer):
            return answer
        self.questions[question] = None
        return None

    def probed(self, question: ProbeQuestion) -> ProbeAnswer | None:
        """Return who answered on the wire; None: it was not asked, or not yet."""
        answer = self._answers.get(question)
        if isinstance(answer, ProbeAnswer):
            return answer
        if self._probe:
            self.questions[question] = None
        return None

    def counted(self, link: str) -> CountAnswer | None:
        """Return what passed a link while one asked on the wire; None: nobody did, or not yet."""
        question = CountQuestion(link)
        answer = self._answers.get(question)
        if self._probe and answer is None:
            self.questions[question] = None
        return answer if isinstance(answer, CountAnswer) else None

    def netns(self, key: str) -> Netns | None:
        """Return a namespace by its key."""
        return self.wiring.namespaces.get(key)

    def firewall(self, netns: str) -> Firewall | None:
        """Return the firewall of a namespace; None: it was not read."""
        return self.snapshot.firewalls.get(netns)

    def neighbour(self, link: str, address: str) -> LinkNeighbour | None:
        """Return what a link knows of an address."""
        links = self.snapshot.links
        table = links.neighbours.get(link, ()) if links is not None else ()
        return next((entry for entry in table if entry.address == address), None)

    def learned(self) -> Mapping[str, frozenset[str]]:
        """Return the MACs that bridges have learned, by the port they are behind."""
        links = self.snapshot.links
        fdb = links.fdb if links is not None else {}
        return {key: frozenset(entry.mac for entry in found if not entry.permanent) for key, found in fdb.items()}

    def default_gateway(self, link: Link) -> str:
        """Return the gateway of the default route that leaves by a link, "" where there is none."""
        links = self.snapshot.links
        for route in links.routes.get(link.netns, ()) if links is not None else ():
            if route.destination == "default" and not route.ipv6:
                for hop in route.hops:
                    if hop.link == link.key and hop.gateway:
                        return hop.gateway
        return ""

    def shares(self, link: Link, address: str) -> bool:
        """Whether a link has an address in a network that holds this one."""
        return any(_holds(f"{a.address}/{a.prefix}", address) for a in self.wiring.addresses(link))

    def own_address(self, link: Link, version: int, near: str = "") -> str:
        """Return an address of a link, the one in the network of `near` before others; "" where it has none."""
        found = [a for a in self.wiring.addresses(link) if a.ipv6 == (version == 6)]
        close = [a for a in found if near and _holds(f"{a.address}/{a.prefix}", near)]
        return next((a.address for a in (*close, *found)), "")


def _holds(network: str, address: str) -> bool:
    try:
        return ip_address(address) in ip_interface(network).network
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Whether a text is an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def flow_to(to: str, sources: tuple[str, ...], mac: str = "") -> Flow:
    """Return the packet from the first of `sources` that is of the destination's family."""
    version = 6 if ":" in to or (not to and sources and all(":" in source for source in sources)) else 4
    destination = to or _SOMEWHERE[version]
    source = next((source for source in sources if (":" in source) == (version == 6)), "")
    return Flow(source, destination, outside=not to, mac=mac, guest_source=source)
