"""Links as RTM_NEWLINK tells them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tui.model.default_links import DEFAULT_LINKS
from tui.model.link import Link, PortVlan, link_key
from tui.model.text import clean
from tui.sources.netlink.kinds import PEERED, facts_of_kind, facts_of_port, lower_index
from tui.sources.netlink.sockets import NetlinkSocket
from tui.sources.netlink.wire import attribute, attributes, chosen, each_attribute, flag, number, signed, text

GET_LINK = 18
_NEW_LINK = 16
_HEAD = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, hardware type, index, flags, changed."""
_TARGET_NETNSID, _EXT_MASK = 46, 29
# RTEXT_FILTER_SKIP_STATS: the counters are read apart, and a link that only passed packets is the same as before.
_WANTED = attribute(_EXT_MASK, struct.pack("=I", 8))
_IFNAME, _ADDRESS, _MTU, _LINK, _MASTER, _OPERSTATE, _LINKINFO, _ALIAS = 3, 1, 4, 5, 10, 16, 18, 20
_PROMISCUITY, _LINK_NETNSID, _PROPERTIES, _ALTNAME, _PARENT_DEVICE = 30, 37, 52, 53, 56
_OF_LINK = frozenset({
    _IFNAME, _ADDRESS, _MTU, _LINK, _MASTER, _OPERSTATE, _LINKINFO, _ALIAS, _PROMISCUITY, _LINK_NETNSID, _PROPERTIES,
    _PARENT_DEVICE,
})  # fmt: skip
_KIND, _DATA, _MASTER_KIND, _PORT_DATA = 1, 2, 4, 5
_UP, _LOWER_UP = 0x1, 0x10000
_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_LOOPBACK = 772
# ARPHRD types whose address is an IP address or nothing: tunnels, and none.
_NO_MAC = frozenset({768, 769, 776, 778, 823, 65534, 512})
_NAMELESS = {_LOOPBACK: "loopback", 512: "ppp", 803: "wireless", 24: "firewire", 32: "infiniband", 280: "can"}

Resolve = Callable[[int], str | None]
"""From an nsid, as our own namespace counts, to the key of a namespace; None: it is not known."""


@dataclass(frozen=True, slots=True)
class Conf:
    """RTM_NEWNETCONF of one link."""

    forwarding: bool | None = None
    rp_filter: int | None = None


@dataclass(slots=True)
class Beside:
    """What the other messages of the same namespace say of its links, by ifindex."""

    conf: Mapping[int, Conf] = field(default_factory=dict)
    vlans: Mapping[int, tuple[PortVlan, ...]] = field(default_factory=dict)
    speeds: Mapping[int, tuple[int | None, str]] = field(default_factory=dict)

    def of(self, index: int) -> dict[str, Any]:
        """Return these fields of Link."""
        conf = self.conf.get(index, _NO_CONF)
        speed, duplex = self.speeds.get(index, _NO_SPEED)
        return {
            "forwarding": conf.forwarding,
            "rp_filter": conf.rp_filter,
            "vlans": self.vlans.get(index, ()),
            "speed_mbit": speed,
            "duplex": duplex,
        }

    def fits(self, link: Link) -> bool:
        """Whether a link says the same already."""
        conf = self.conf.get(link.index, _NO_CONF)
        return (
            (link.forwarding, link.rp_filter) == (conf.forwarding, conf.rp_filter)
            and link.vlans == self.vlans.get(link.index, ())
            and (link.speed_mbit, link.duplex) == self.speeds.get(link.index, _NO_SPEED)
        )


_NO_CONF = Conf()
_NO_SPEED: tuple[int | None, str] = (None, "")


def read_links(home: NetlinkSocket, nsid: int | None) -> list[bytes]:
    """Return the messages of all links of a namespace, None for our own; raises NetlinkError."""
    return home.dump(GET_LINK, _HEAD.pack(0, 0, 0, 0, 0) + _target(nsid) + _WANTED)


def read_link(home: NetlinkSocket, nsid: int | None, index: int) -> bytes:
    """Return the message of one link; raises NetlinkError, ENODEV when it is gone."""
    return home.get(GET_LINK, _HEAD.pack(0, 0, index, 0, 0) + _target(nsid) + _WANTED)


def _target(nsid: int | None) -> bytes:
    return b"" if nsid is None else attribute(_TARGET_NETNSID, struct.pack("=i", nsid))


def parse_link(body: bytes, netns: str, resolve: Resolve, beside: Beside, *, home: bool = False) -> Link:
    """Return the link of a message of the namespace with key `netns`."""
    _family, hardware, index, flags, _changed = _HEAD.unpack_from(body)
    found = chosen(body, _OF_LINK, _HEAD.size)
    raw_name = text(found.get(_IFNAME))
    kind, master_kind, lower, facts = _info(found.get(_LINKINFO, b""), netns)
    master = number(found.get(_MASTER))
    state = number(found.get(_OPERSTATE)) or 0
    return Link(
        key=link_key(netns, index),
        netns=netns,
        index=index,
        name=clean(raw_name),
        raw_name=raw_name,
        kind=kind or _nameless(hardware, raw_name, home),
        mac="" if hardware in _NO_MAC else found.get(_ADDRESS, b"").hex(":"),
        mtu=number(found.get(_MTU)) or 0,
        up=bool(flags & _UP),
        carrier=bool(flags & _LOWER_UP),
        operstate=_STATES[state] if state < len(_STATES) else str(state),
        master=link_key(netns, master) if master else None,
        master_kind=master_kind,
        promiscuous=bool(flag(found.get(_PROMISCUITY))),
        altnames=_altnames(found.get(_PROPERTIES)),
        alias=clean(text(found.get(_ALIAS))),
        physical=_PARENT_DEVICE in found,
        **_below(kind, found, lower, netns, resolve),
        **beside.of(index),
        **facts,
    )


@lru_cache(maxsize=512)
def _info(content: bytes, netns: str) -> tuple[str, str, int | None, Mapping[str, Any]]:
    """What IFLA_LINKINFO says: kind, kind of the master, index of the link below, fields of Link. Of veths and the like
    it is the same for all."""
    info = attributes(content)
    kind, master_kind = clean(text(info.get(_KIND))), clean(text(info.get(_MASTER_KIND)))
    data = attributes(info.get(_DATA, b""))
    facts = facts_of_kind(kind, data, netns) | facts_of_port(master_kind, info.get(_PORT_DATA, b""))
    return kind, master_kind, lower_index(kind, data), facts


def _nameless(hardware: int, raw_name: str, home: bool) -> str:
    """The kind of a link that its driver gives no name for. That it is wireless only sysfs tells, and only of the
    namespace that it was mounted in."""
    if home and hardware == 1 and os.path.exists(f"/sys/class/net/{raw_name}/phy80211"):
        return "wireless"
    return _NAMELESS.get(hardware, "ethernet")


def _altnames(content: bytes | None) -> tuple[str, ...]:
    if content is None:
        return ()
    return tuple(clean(text(name)) for kind, name in each_attribute(content) if kind == _ALTNAME)


def _below(kind: str, found: dict[int, bytes], own: int | None, netns: str, resolve: Resolve) -> dict[str, Any]:
    """The peer or parent. An index without a namespace is of the same one; 0 is none (tunnels that lie on no link)."""
    index = number(found.get(_LINK)) or own
    if not index:
        return {}
    nsid = signed(found.get(_LINK_NETNSID))
    where = netns if nsid is None else resolve(nsid)
    if where is None:
        return {"parent_netns_unseen": True}
    return {"peer" if kind in PEERED else "parent": link_key(where, index)}


def index_of(body: bytes) -> int:
    """Return the ifindex that a message of a link is about."""
    index: int = _HEAD.unpack_from(body)[2]
    return index


def is_idle_default(link: Link, used: bool) -> bool:
    """Whether a link is one of those that come with a module and nobody has set up; `used`: it has an address."""
    return DEFAULT_LINKS.get(link.raw_name) == link.kind and not (link.up or link.master or used)
