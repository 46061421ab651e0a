"""What the interfaces pane shows of a link, and what its filter knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model import units
from tui.widgets.grid_columns import Cell

if TYPE_CHECKING:
    from tui.model.link import Link, Netns
    from tui.panes.interface_rows import LinkRow
    from tui.widgets.grid_filter import Fact

# By the words of PortState and NetnsKind, whose classes come after the first picture.
_PORTS = {
    "disabled": ("○", "dim"),
    "listening": ("◐", "warn"),
    "learning": ("◐", "warn"),
    "forwarding": ("●", "good"),
    "blocking": ("◐", "warn"),
}
_NETNS = {"named": "netns", "container": "container", "process": "process"}


def title_of(netns: Netns) -> str:
    """Return what a namespace is called above its links."""
    word = _NETNS.get(netns.kind)
    return f"{word} {netns.name}" if word else "this host"


def name_cell(row: LinkRow) -> Cell:
    """Return the name; what lies on another link or is a port of it stands in from it."""
    if row.link is None:
        return Cell(title_of(row.netns), "title")
    return Cell("  " * (row.depth + 1) + row.name)


def state_of(link: Link) -> tuple[str, str, str]:
    """Return glyph, word and style of a link's state; of a bridge port that of the port."""
    if not link.up:
        return "○", "down", "dim"
    if not link.carrier:
        return "◌", "no carrier", "warn"
    if link.port is not None:
        glyph, style = _PORTS[link.port.state]
        return glyph, link.port.state.value, style
    if link.operstate in ("lowerlayerdown", "dormant"):
        return "◌", "lower down" if link.operstate == "lowerlayerdown" else "dormant", "warn"
    return "●", "up", "good"


def state_cell(row: LinkRow) -> Cell:
    """Return the state of a link; of a namespace how many links it has, or why they cannot be seen."""
    if row.link is not None:
        glyph, word, style = state_of(row.link)
        return Cell(f"{glyph} {word}", style)
    if row.netns.problem:
        return Cell("⚠ cannot be read", "bad")
    return Cell(units.counted(row.links, "link"), "dim")


def kind_words(link: Link) -> str:
    """Return the kind of a link with the number that tells it from others."""
    if link.vlan_id is not None:
        return f"{link.kind} {link.vlan_id}"
    if link.tunnel is not None and link.tunnel.id is not None:
        return f"{link.kind} {link.tunnel.id}"
    if link.bond is not None:
        return f"bond {link.bond.mode}"
    if link.vrf_table is not None:
        return f"vrf {link.vrf_table}"
    if link.tap is not None:
        return link.tap.mode
    return f"{link.kind} {link.mode}".rstrip()


def kind_cell(row: LinkRow) -> Cell:
    """Return the kind of a link."""
    return Cell(kind_words(row.link) if row.link is not None else "")


def tie_words(row: LinkRow) -> str:
    """Return what a link hangs on beside its master: its far end, the link it lies on."""
    link, (_master, peer, parent) = row.link, row.around
    if link is None:
        return ""
    places = row.places or ("", "")
    parts = []
    if peer is not None:
        parts.append(f"⇄ {peer.name}{f'@{places[0]}' if places[0] else ''}")
    if parent is not None:
        parts.append(f"on {parent.name}{f'@{places[1]}' if places[1] else ''}")
    if link.parent_netns_unseen:
        parts.append("⇄ ?")
    if link.tunnel is not None and link.tunnel.remote:
        parts.append(f"→ {link.tunnel.remote}")
    return " ".join(parts)


def address_cell(row: LinkRow) -> Cell:
    """Return the first address that is not good for its link alone, and how many more there are."""
    shown = [address for address in row.addresses if address.scope != "link"]
    if not shown:
        return Cell("")
    more = f" +{len(shown) - 1}" if len(shown) > 1 else ""
    return Cell(f"{shown[0].address}/{shown[0].prefix}{more}")


def rate_cell(row: LinkRow, name: str) -> Cell:
    """Return a rate in bytes/s; blank for namespaces."""
    if row.link is None:
        return Cell("")
    value = getattr(row.usage, name, None)
    return Cell("?", "unknown") if value is None else Cell(units.rate(value), "dim" if value < 1 else "")


def count_cell(row: LinkRow, name: str) -> Cell:
    """Return how many more errors or drops there are than when one began to look."""
    value = getattr(row, name)
    if row.link is None or value is None:
        return Cell("")
    return Cell(f"+{value}", "warn") if value else Cell("0", "dim")


def user_cell(row: LinkRow) -> Cell:
    """Return who uses it."""
    if row.user is None:
        return Cell("")
    return Cell(row.user.words, "" if row.user.kind is not None else "dim")


FACTS = (
    "name", "netns", "kind", "state", "master", "peer", "parent", "address", "mac", "mtu", "vlan", "user",
    "rx", "tx", "errors", "drops",
)  # fmt: skip


def fact(row: LinkRow, name: str) -> Fact:
    """Return what the filter language calls `name`: rates in bytes/s, None for unknown."""
    link = row.link
    if name == "name":
        return row.name
    if name == "netns":
        return row.netns.name
    if link is None:
        return None
    if name in ("rx", "tx"):
        return (
            row.usage.rx_bytes_per_s if name == "rx" and row.usage else row.usage.tx_bytes_per_s if row.usage else None
        )
    if name in ("errors", "drops"):
        return row.errors if name == "errors" else row.drops
    around = dict(zip(("master", "peer", "parent"), row.around, strict=True))
    if name in around:
        other = around[name]
        return other.name if other is not None else ""
    return _link_fact(row, link, name)


def _link_fact(row: LinkRow, link: Link, name: str) -> Fact:
    if name == "vlan":
        return link.vlan_id
    if name == "mtu":
        return link.mtu
    facts: dict[str, str] = {
        "kind": kind_words(link),
        "state": state_of(link)[1],
        "address": " ".join(f"{a.address}/{a.prefix}" for a in row.addresses),
        "mac": link.mac,
        "user": row.user.words if row.user is not None else "",
    }
    return facts.get(name)
