"""Rows of the networks pane: libvirt's networks, and who is plugged into each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.kind import Kind
from tui.model.text import natural
from tui.widgets.grid_columns import Cell

if TYPE_CHECKING:
    from tui.model.finding import Finding
    from tui.model.network import Network, NetworkAddress
    from tui.model.network_guests import Plugged
    from tui.panes.spec import View
    from tui.widgets.grid_filter import Fact


@dataclass(frozen=True, slots=True, eq=False)
class NetworkRow:
    """A network; the same object while nothing changed."""

    key: str
    network: Network
    guests: tuple[Plugged, ...]
    """Who is plugged in, running guests first."""
    orphans: tuple[Plugged, ...] | None
    """The running ones whose tap has no bridge; None: not known."""
    order: tuple[object, ...]
    found: tuple[Finding, ...] = ()
    """What triage says is wrong with it, worst first; muted findings and mere notes left out."""

    @property
    def name(self) -> str:
        """The name to show."""
        return self.network.name

    @property
    def running(self) -> int:
        """How many NICs of running guests are in it."""
        return sum(one.live for one in self.guests)


class NetworkRows:
    """Makes the rows of a view; what did not change is not made again."""

    def __init__(self) -> None:
        self._made_of: tuple[object, ...] | None = None
        self._rows: tuple[NetworkRow, ...] = ()

    def __call__(self, view: View) -> Sequence[NetworkRow]:
        """Return the networks by name."""
        seen = view.snapshot
        parts = (seen.networks, seen.domains, seen.links, seen.findings)
        if self._made_of is not None and all(a is b for a, b in zip(parts, self._made_of, strict=True)):
            return self._rows
        self._made_of = parts
        before = {row.key: row for row in self._rows}
        self._rows = tuple(_kept(before.get(row.key), row) for row in _rows(view))
        return self._rows


def _kept(old: NetworkRow | None, new: NetworkRow) -> NetworkRow:
    if old is not None and all(getattr(old, name) == getattr(new, name) for name in NetworkRow.__slots__):
        return old
    return new


def _rows(view: View) -> list[NetworkRow]:
    networks = view.snapshot.networks
    if networks is None:
        return []
    # Imported with the first networks, which is after the first picture.
    from tui.model.network_guests import of_network, orphans, plugged

    guests = plugged(view.snapshot.domains.values())
    found = _found(view)
    rows = []
    for network in networks.networks.values():
        ones = of_network(guests, network)
        lost = orphans(view.snapshot, network, ones)
        wrong = tuple(found.get(network.key, ()))
        rows.append(NetworkRow(network.key, network, ones, lost, natural(network.name), wrong))
    return sorted(rows, key=lambda row: row.order)


def _found(view: View) -> dict[str, list[Finding]]:
    """What somebody should look at, by the key of its network."""
    from tui.panes.triage import told

    by_key: dict[str, list[Finding]] = {}
    for finding in told(view):
        if finding.kind == Kind.NETWORK:
            by_key.setdefault(finding.key, []).append(finding)
    return by_key


def state_cell(row: NetworkRow) -> Cell:
    """Return the state; orphaned taps and what triage found come before it."""
    if row.orphans:
        return Cell(f"⚠ {len(row.orphans)} unplugged", "bad")
    if row.network.problem:
        return Cell("⚠ incomplete", "bad")
    if row.found:
        return Cell(f"⚠ {row.network.state}", "warn" if row.found[0].severity.word == "warning" else "bad")
    if row.network.active:
        return Cell("● active", "good")
    return Cell("○ inactive", "warn" if row.network.autostart else "dim")


def mode_cell(row: NetworkRow) -> Cell:
    """Return how it reaches the outside."""
    return Cell(row.network.config.words)


def bridge_cell(row: NetworkRow) -> Cell:
    """Return its bridge, of a macvtap its links."""
    config = row.network.config
    return Cell(config.bridge or ",".join(config.interfaces) or config.device)


def address_cell(row: NetworkRow) -> Cell:
    """Return the host's address in it."""
    addresses = row.network.config.addresses
    if not addresses:
        return Cell("")
    more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
    return Cell(with_prefix(addresses[0]) + more)


def with_prefix(address: NetworkAddress) -> str:
    """Return an address as 10.0.0.1/24."""
    return address.address + ("" if address.prefix is None else f"/{address.prefix}")


def dhcp_cell(row: NetworkRow) -> Cell:
    """Return the first range that DHCP gives out, short: what both ends begin with is said once."""
    found = [range_ for address in row.network.config.addresses for range_ in address.ranges]
    if not found:
        return Cell("")
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return Cell(short_range(found[0].first, found[0].last) + more)


def short_range(first: str, last: str) -> str:
    """Return a range as 10.0.0.10-.200."""
    dot = ":" if ":" in first else "."
    start, end = first.rpartition(dot), last.rpartition(dot)
    return f"{first}-{dot}{end[2]}" if start[0] == end[0] else f"{first}-{last}"


def leases_cell(row: NetworkRow) -> Cell:
    """Return how many leases there are."""
    if not row.network.active:
        return Cell("")
    leases = row.network.leases
    if leases is None:
        return Cell("?", "unknown")
    return Cell(str(len(leases)) if leases or row.network.config.serves_dhcp else "")


def guests_cell(row: NetworkRow) -> Cell:
    """Return how many NICs are in it, running and all."""
    if not row.guests:
        return Cell("")
    return Cell(f"{row.running}/{len(row.guests)}", "good" if row.running else "dim")


def auto_cell(row: NetworkRow) -> Cell:
    """Return whether it starts with the host."""
    if not row.network.persistent:
        return Cell("transient", "warn")
    return Cell("yes" if row.network.autostart else "no", "" if row.network.autostart else "dim")


FACTS = (
    "name", "state", "mode", "bridge", "address", "guests", "running", "leases", "orphans", "autostart", "persistent",
    "guest", "mac", "domain", "uuid",
)  # fmt: skip


def fact(row: NetworkRow, name: str) -> Fact:
    """Return what the filter language calls `name`; None for unknown."""
    network, config = row.network, row.network.config
    facts: dict[str, Fact] = {
        "name": network.name,
        "state": network.state,
        "mode": config.words,
        "bridge": bridge_cell(row).text,
        "address": " ".join(with_prefix(address) for address in config.addresses),
        "guests": len(row.guests),
        "running": row.running,
        "leases": None if network.leases is None else len(network.leases),
        "orphans": None if row.orphans is None else len(row.orphans),
        "autostart": "yes" if network.autostart else "no",
        "persistent": "yes" if network.persistent else "no",
        "guest": " ".join(dict.fromkeys(one.domain.name for one in row.guests)),
        "mac": " ".join(one.nic.mac for one in row.guests),
        "domain": config.domain,
        "uuid": network.key,
    }
    return facts.get(name)
