"""Who uses the host's links: guests, unmanaged QEMU, other programs, libvirt networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.model.kind import Kind

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.link import Link, Links
    from tui.model.network import Networks
    from tui.model.process import QemuProcess


@dataclass(frozen=True, slots=True)
class LinkUser:
    """Whose a link is."""

    kind: Kind | None
    """DOMAIN, PROCESS (of an unmanaged QEMU) or NETWORK; None: another program."""
    name: str
    key: str
    """The key of the domain, process or network, "" for another program."""
    detail: str = ""
    """The MAC of the guest's NIC, or the pid of the program."""

    @property
    def words(self) -> str:
        """Return who it is in a few words."""
        if self.kind is Kind.NETWORK:
            return f"network {self.name}"
        return self.name if self.kind is not None else f"{self.name}[{self.detail}]"


def users_of(
    links: Links, domains: Mapping[str, Domain], processes: Mapping[str, QemuProcess], networks: Networks | None
) -> dict[str, LinkUser]:
    """Return who uses each link that somebody does, by link key. Who holds a tap open has it, in whichever namespace
    that is; else the running domain whose live XML names it, and the network whose bridge it is, in our own."""
    home = links.home
    by_name = {link.raw_name: link for link in links.links.values() if home is not None and link.netns == home.key}
    found = dict(_network_bridges(by_name, networks))
    found |= _named_by_domains(by_name, domains)
    of_pid = {process.pid: process for process in processes.values()}
    for key, owners in links.owners.items():
        link = links.links.get(key)
        if link is None or not owners:
            continue
        owner = owners[0]
        process = of_pid.get(owner.pid)
        if process is None:
            found.setdefault(key, LinkUser(None, owner.name, "", str(owner.pid)))
        else:
            found[key] = _guest(process, link, domains)
    return found


def _network_bridges(by_name: Mapping[str, Link], networks: Networks | None) -> Iterator[tuple[str, LinkUser]]:
    for network in networks.networks.values() if networks is not None else ():
        link = by_name.get(network.config.raw_bridge) if network.active else None
        if link is not None:
            yield link.key, LinkUser(Kind.NETWORK, network.name, network.key)


def _named_by_domains(by_name: Mapping[str, Link], domains: Mapping[str, Domain]) -> dict[str, LinkUser]:
    found = {}
    for domain in domains.values():
        if not domain.active or domain.config is None:
            continue
        for nic in domain.config.nics:
            if nic.target and (link := by_name.get(nic.target)) is not None:
                found[link.key] = LinkUser(Kind.DOMAIN, domain.name, domain.key, nic.mac)
    return found


def _guest(process: QemuProcess, link: Link, domains: Mapping[str, Domain]) -> LinkUser:
    domain = domains.get(process.uuid) if process.uuid is not None else None
    if domain is None or not domain.active:
        macs = {nic.ifname: nic.mac for nic in process.nics}
        return LinkUser(Kind.PROCESS, process.name, process.key, macs.get(link.name) or "")
    nics = domain.config.nics if domain.config is not None else ()
    mac = next((nic.mac for nic in nics if nic.target == link.name), "")
    return LinkUser(Kind.DOMAIN, domain.name, domain.key, mac)
