"""Questions that a path trace has for the kernel and for Open vSwitch, and what they answer."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class RouteQuestion:
    """Where does this namespace send a packet (RTM_GETROUTE)?"""

    netns: str
    """The key of the namespace."""
    destination: str
    source: str = ""
    """"" where the namespace may choose its own."""
    iif: str = ""
    """The key of the link that it comes in by; "" for a packet of the namespace itself."""


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """What the kernel does with such a packet."""

    kind: str = ""
    """unicast, local, broadcast ...; "" where it drops it."""
    oif: str = ""
    """The key of the link that it leaves by."""
    gateway: str = ""
    source: str = ""
    """The source address that the kernel would choose."""
    table: int | None = None
    code: int = 0
    """The errno that it refuses the packet with: ENETUNREACH no route, EHOSTUNREACH forwarding is off or the route
    says unreachable, EINVAL or EXDEV rp_filter or a blackhole, EACCES prohibited; 0 where it passes."""
    problem: str = ""
    """Why it could not be asked; "" when it could. Nothing may be concluded then."""

    @property
    def refused(self) -> bool:
        """Whether the kernel drops the packet."""
        return self.code != 0

    @property
    def word(self) -> str:
        """The errno's name, as ENETUNREACH."""
        return errno.errorcode.get(self.code, str(self.code))


@dataclass(frozen=True, slots=True)
class FlowQuestion:
    """What does Open vSwitch do with a frame (ovs-appctl ofproto/trace)?"""

    bridge: str
    """Raw, as is the port."""
    port: str
    source_mac: str
    destination_mac: str
    """ff:ff:ff:ff:ff:ff where it is not known: an ARP request then."""


@dataclass(frozen=True, slots=True)
class FlowAnswer:
    """What Open vSwitch does with it."""

    actions: str = ""
    """The datapath's actions, cleaned; "drop" for none."""
    problem: str = ""
    """Why it could not be asked."""


class ProbeKind(StrEnum):
    """How somebody is asked on the wire."""

    ARP = "ARP"
    PING = "ping"


@dataclass(frozen=True, slots=True)
class ProbeQuestion:
    """Who answers on the wire? Asked on request only."""

    netns: str
    """The key of the namespace that asks."""
    link: str
    """The key of the link that it asks by; "" for a ping by whatever link its routes say."""
    address: str
    kind: ProbeKind
    sender: str = ""
    """The address that asks for ARP; "" for none."""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Who answered."""

    who: tuple[str, ...] = ()
    """MACs, or for a ping the address; () for nobody."""
    took_ms: float | None = None
    """How long the first took."""
    problem: str = ""
    """Why it could not be asked."""


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """How many packets pass this link while one asks on the wire?"""

    link: str
    """The key of the link."""


@dataclass(frozen=True, slots=True)
class CountAnswer:
    """Packets by IFLA_STATS64, those of others included; a bridge counts only what is for itself."""

    received: int
    sent: int


Question = RouteQuestion | FlowQuestion | ProbeQuestion | CountQuestion
Answer = RouteAnswer | FlowAnswer | ProbeAnswer | CountAnswer
Answers = Mapping[Question, Answer]
