"""The NICs of the guests that run here, libvirt's and others', with their taps and the addresses they are known by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tui.model.domain import Domain
    from tui.model.domain_config import Nic
    from tui.model.link import Link
    from tui.model.process import QemuNic, QemuProcess
    from tui.model.snapshot import HostSnapshot
    from tui.topology.wiring import Wiring

_DEFAULT_MAC = 0x525400123456
"""What QEMU gives its first NIC that is given none; the next gets one more (qemu_macaddr_default_if_unset)."""
_GUESSED = frozenset({"arp", "neighbour"})
"""Sources of addresses that are tables of the kernel."""
_WITHOUT_LINK = frozenset({"user", "passt", "slirp", "socket", "vhost-user", "vhostuser", "hubport", "stream", "dgram"})


@dataclass(frozen=True, slots=True)
class GuestNic:
    """A NIC of a domain or of an unmanaged QEMU."""

    key: str
    """The key of the domain or process."""
    guest: str
    """Its name."""
    index: int
    mac: str
    """In small letters."""
    kind: str
    """network, bridge, direct, ethernet, user, tap ..."""
    target: str
    """The name of the link it should have on the host, cleaned; "" where none is told."""
    tap: str | None
    """The key of that link; None: it is not there."""
    expected: str
    """The bridge that it was meant to be plugged into, cleaned; "" where nothing tells."""
    link_up: bool
    addresses: tuple[str, ...]
    domain: Domain | None = None
    process: QemuProcess | None = None
    """The QEMU of the guest, where it is seen."""

    @property
    def name(self) -> str:
        """Guest and NIC, as in web1/net0."""
        return f"{self.guest}/net{self.index}"

    @property
    def linkless(self) -> bool:
        """Whether the host has no link for it: QEMU itself passes its packets on."""
        return self.kind in _WITHOUT_LINK

    @property
    def running(self) -> bool:
        """Whether there is a QEMU for it."""
        return self.process is not None or (self.domain is not None and self.domain.active)


class Guests:
    """All guest NICs of a snapshot, and what they are found by."""

    def __init__(self, snapshot: HostSnapshot, wiring: Wiring) -> None:
        self._snapshot = snapshot
        self._wiring = wiring
        self._told = _told_addresses(snapshot)
        self._resolved = _resolved_addresses(snapshot)
        self._named: dict[str, list[Link]] = {}
        for link in wiring.links.values():
            self._named.setdefault(link.name, []).append(link)
        owners = snapshot.links.owners if snapshot.links is not None else {}
        self._pids = {key: {owner.pid for owner in found} for key, found in owners.items()}
        self.nics: tuple[GuestNic, ...] = (*self._of_domains(), *self._of_processes())
        self.by_tap = {nic.tap: nic for nic in self.nics if nic.tap is not None and nic.running}

    def of(self, key: str) -> list[GuestNic]:
        """Return the NICs of a domain or process."""
        return [nic for nic in self.nics if nic.key == key]

    def with_mac(self, mac: str) -> list[GuestNic]:
        """Return the NICs of guests that run with a MAC."""
        return [nic for nic in self.nics if nic.mac == mac and nic.running]

    def with_address(self, address: str) -> list[GuestNic]:
        """Return the NICs that are known by an address."""
        return [nic for nic in self.nics if address in nic.addresses]

    def owners(self, tap: str) -> set[int]:
        """Return the processes that hold a tap open."""
        return self._pids.get(tap, set())

    def addresses_of(self, mac: str) -> tuple[str, ...]:
        """Return the addresses that a MAC is known by: told by leases or agents, else resolved by the kernel."""
        return tuple(dict.fromkeys(self._told.get(mac) or self._resolved.get(mac) or ()))

    def told_of(self, nic: GuestNic) -> tuple[str, ...]:
        """Return the addresses that leases or agents say a NIC has."""
        return tuple(dict.fromkeys(self._told.get(nic.mac, ())))

    def told(self, address: str) -> list[GuestNic]:
        """Return the NICs that leases or agents say have an address; what the kernel has resolved may be of old."""
        return [nic for nic in self.nics if address in self._told.get(nic.mac, ())]

    def _of_domains(self) -> Iterator[GuestNic]:
        qemus = {process.uuid: process for process in self._snapshot.processes.values() if process.libvirt_name}
        for domain in self._snapshot.domains.values():
            process = qemus.get(domain.key) if domain.active else None
            for index, nic in enumerate(domain.config.nics if domain.config is not None else ()):
                yield self._of_domain(domain, process, index, nic)

    def _of_domain(self, domain: Domain, process: QemuProcess | None, index: int, nic: Nic) -> GuestNic:
        mac = nic.mac.lower()
        tap = self._tap(nic.target, process.pid if process is not None else None) if domain.active else None
        return GuestNic(
            key=domain.key,
            guest=domain.name,
            index=index,
            mac=mac,
            kind=nic.kind,
            target=nic.target,
            tap=tap,
            expected=self._bridge_of(nic),
            link_up=nic.link_up,
            addresses=self.addresses_of(mac),
            domain=domain,
            process=process,
        )

    def _bridge_of(self, nic: Nic) -> str:
        if nic.kind == "bridge":
            return nic.source
        networks = self._snapshot.networks
        if nic.kind != "network" or networks is None:
            return ""
        found = (network for network in networks.networks.values() if network.name == nic.source)
        return next((network.config.bridge for network in found), "")

    def _of_processes(self) -> Iterator[GuestNic]:
        for key, process in self._snapshot.unmanaged().items():
            macs = _macs(process.nics)
            for index, (nic, mac) in enumerate(zip(process.nics, macs, strict=True)):
                yield GuestNic(
                    key=key,
                    guest=process.name,
                    index=index,
                    mac=mac,
                    kind=nic.kind,
                    target=nic.ifname or "",
                    tap=self._tap(nic.ifname or "", process.pid),
                    expected=nic.bridge or "",
                    link_up=True,
                    addresses=self.addresses_of(mac),
                    process=process,
                )

    def _tap(self, name: str, pid: int | None) -> str | None:
        """Return the link of that name that the process holds open; else, of those that no other process is known to
        hold, the one at home, or the only one there is."""
        found = self._named.get(name, []) if name else []
        held = [link.key for link in found if pid is not None and pid in self.owners(link.key)]
        free = [link for link in found if pid is None or not self.owners(link.key)]
        home = [link.key for link in free if link.netns == self._wiring.home]
        return next(iter(held or home or [link.key for link in free if len(free) == 1]), None)


def _macs(nics: Iterable[QemuNic]) -> list[str]:
    """The MACs of a QEMU's NICs in their order, those that it gives by itself included."""
    found = [(nic.mac or "").lower() for nic in nics]
    own = (f"{_DEFAULT_MAC + number:012x}" for number in range(256))
    free = (mac for mac in (":".join(text[at : at + 2] for at in range(0, 12, 2)) for text in own) if mac not in found)
    return [mac or next(free) for mac in found]


def _told_addresses(snapshot: HostSnapshot) -> dict[str, list[str]]:
    """Return addresses by MAC: what libvirt and the agents tell, and leases."""
    found: dict[str, list[str]] = {}
    for told in snapshot.addresses.values():
        for address in told:
            if address.source not in _GUESSED:
                found.setdefault(address.mac.lower(), []).append(address.address)
    networks = snapshot.networks.networks.values() if snapshot.networks is not None else ()
    leases = [lease for network in networks for lease in network.leases or ()]
    leases += [lease for dnsmasq in snapshot.dnsmasqs for lease in dnsmasq.leases or ()]
    for lease in leases:
        found.setdefault(lease.mac.lower(), []).append(lease.address)
    return found


def _resolved_addresses(snapshot: HostSnapshot) -> dict[str, list[str]]:
    """Return addresses by MAC as neighbour tables have them."""
    found: dict[str, list[str]] = {}
    for told in snapshot.addresses.values():
        for address in told:
            if address.source in _GUESSED:
                found.setdefault(address.mac.lower(), []).append(address.address)
    neighbours = snapshot.links.neighbours.values() if snapshot.links is not None else ()
    for entry in (entry for table in neighbours for entry in table):
        if entry.mac and not entry.address.lower().startswith("fe80:"):
            found.setdefault(entry.mac.lower(), []).append(entry.address)
    return found
