"""Who is behind a tap: libvirt domains, unmanaged QEMU, other programs; and libvirt's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.topology import EdgeKind, NodeKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.model.domain import Domain
    from tui.model.domain_config import Nic
    from tui.model.link import Link
    from tui.model.network import Network
    from tui.model.process import QemuNic, QemuProcess
    from tui.topology.parts import Fact, Parts

_TAPS = frozenset({"tun", "macvtap", "macvlan", "ipvtap", "veth"})
_SWITCH = "ovs-vswitchd"
_BRIDGED = frozenset({"network", "bridge"})


def add_networks(parts: Parts) -> None:
    """Add libvirt's networks, and tie each to its bridge, or to the links that guests of it lie on."""
    networks = parts.snapshot.networks
    for network in networks.networks.values() if networks is not None else ():
        config = network.config
        id = parts.node(
            f"network:{network.key}", NodeKind.NETWORK, network.name, network.state, key=network.key,
            mode=config.mode or "isolated", bridge=config.bridge, device=config.device, autostart=network.autostart,
            persistent=network.persistent, virtualport=config.virtualport, problem=network.problem,
            dhcp_ranges=", ".join(f"{span.first}-{span.last}" for ip in config.addresses for span in ip.ranges),
            leases=len(network.leases) if network.leases is not None else None,
        )  # fmt: skip
        for name in _devices(network) if network.active else ():
            link = parts.by_name.get((parts.home, name))
            bridge = parts.node_of.get(link.key) if link is not None else _ovs_bridge(parts, name)
            if bridge is not None:
                parts.edge(id, bridge, EdgeKind.OWNER, config.mode or "isolated")


def _devices(network: Network) -> Iterable[str]:
    config = network.config
    if config.raw_bridge:
        return (config.raw_bridge,)
    return config.interfaces or ((config.device,) if config.device else ())


def _ovs_bridge(parts: Parts, name: str) -> str | None:
    ovs = parts.snapshot.ovs
    found = [bridge for bridge in ovs.bridges if bridge.raw_name == name] if ovs is not None else []
    return f"ovs-bridge:{found[0].key}" if found else None


def add_guests(parts: Parts) -> None:
    """Add every active domain, unmanaged QEMU and other holder of a tap, with the links or NICs it has."""
    claimed: set[str] = set()
    for domain in parts.snapshot.domains.values():
        if domain.active and domain.config is not None:
            _add_domain(parts, domain, domain.config.nics, claimed)
    for process in parts.snapshot.unmanaged().values():
        _add_process(parts, process, claimed)
    _add_owners(parts, claimed)


def _add_domain(parts: Parts, domain: Domain, nics: Iterable[Nic], claimed: set[str]) -> None:
    pids = parts.pids.get(domain.key, set())
    addresses = {address.mac: address.address for address in parts.snapshot.addresses.get(domain.key, ())}
    for index, nic in enumerate(nics):
        guest = parts.node(f"domain:{domain.key}", NodeKind.DOMAIN, domain.name, domain.state.value, key=domain.key)
        facts: dict[str, Fact] = {
            "guest_mac": nic.mac,
            "guest_address": _address(parts, nic.mac, addresses),
            "model": nic.model,
            "source": nic.source,
        }
        link = _tap_of(parts, nic.target, nic.mac, pids) if nic.target else None
        if link is None:
            id = parts.node(
                f"nic:{domain.key}:{index}", NodeKind.NIC, nic.target or nic.mac or f"NIC {index}",
                "up" if nic.link_up else "down", key=domain.key, nic_kind=nic.kind,
            )  # fmt: skip
            parts.tell(id, **facts)
            _plug_unseen(parts, id, nic)
        else:
            id = parts.node_of[link.key]
            claimed.add(link.key)
            parts.tell(id, **facts, link_state=None if nic.link_up else "down", problem=_nic_problem(parts, link, nic))
        parts.edge(guest, id, EdgeKind.TAP, "" if nic.link_up else "link down")


def _nic_problem(parts: Parts, link: Link, nic: Nic) -> str:
    if nic.kind in _BRIDGED and link.kind == "tun" and parts.node_of[link.key] not in parts.plugged:
        return f"not plugged into {nic.source or 'its bridge'}"
    return ""


def _plug_unseen(parts: Parts, id: str, nic: Nic) -> None:
    """Where the host's links are not seen, a NIC is a port of its network, or of its bridge by name."""
    networks = parts.snapshot.networks
    if parts.seen is not None:
        return
    if nic.kind == "network" and networks is not None:
        found = [network.key for network in networks.networks.values() if network.name == nic.source]
        parts.edge(id, f"network:{found[0]}" if found else "", EdgeKind.PORT, nic.vlan and f"vlan {nic.vlan}")
    elif nic.kind == "bridge" and nic.source:
        bridge = parts.node(f"bridge:{nic.source}", NodeKind.BRIDGE, nic.source, "unknown")
        parts.edge(id, bridge, EdgeKind.PORT, nic.vlan and f"vlan {nic.vlan}")


def _address(parts: Parts, mac: str, known: dict[str, str]) -> str | None:
    """The address that libvirt tells, else the one that some dnsmasq gave to the MAC."""
    return known.get(mac) or parts.leases.get(mac.lower())


def _tap_of(parts: Parts, target: str, mac: str, pids: set[int]) -> Link | None:
    """The link of that name that the domain's QEMU holds; where owners are not seen: at home, or with its MAC."""
    found = [link for link in parts.named.get(target, ()) if link.kind in _TAPS and link.key in parts.node_of]
    owned = [link for link in found if pids & {owner.pid for owner in parts.owners(link)}]
    at_home = [link for link in found if link.netns == parts.home]
    alike = [link for link in found if mac and link.mac[2:] == mac.lower()[2:]]
    for chosen in (owned, [link for link in at_home if link in alike], at_home, alike):
        if len(chosen) == 1:
            return chosen[0]
    return None


def _add_process(parts: Parts, process: QemuProcess, claimed: set[str]) -> None:
    def guest() -> str:
        return parts.node(
            f"process:{process.key}", NodeKind.PROCESS, process.name, state_of_process(process), key=process.key,
            pid=process.pid, program="qemu",
        )  # fmt: skip

    held = {link.key: link for link in parts.held.get(process.pid, ()) if link.key in parts.node_of}
    by_name = {nic.ifname: nic for nic in process.nics if nic.ifname}
    if not held:
        for name in by_name:
            found = [link for link in parts.named.get(name, ()) if link.kind in _TAPS and link.key in parts.node_of]
            held |= {link.key: link for link in found if len(found) == 1 and not parts.owners(link)}
    for link in held.values():
        nic = by_name.get(link.name)
        id = parts.node_of[link.key]
        claimed.add(link.key)
        parts.tell(id, **_nic_facts(parts, nic))
        parts.edge(guest(), id, EdgeKind.TAP)
    for index, nic in enumerate(process.nics):
        if nic.ifname not in {link.name for link in held.values()}:
            id = parts.node(
                f"nic:{process.key}:{index}", NodeKind.NIC, nic.ifname or nic.id or f"NIC {index}", "unknown",
                key=process.key, nic_kind=nic.kind, mac=nic.mac, model=nic.model, source=nic.bridge,
            )  # fmt: skip
            parts.edge(guest(), id, EdgeKind.TAP)


def state_of_process(process: QemuProcess) -> str:
    """Return running for one that sleeps between two turns, too."""
    return "running" if process.runs else process.state


def _nic_facts(parts: Parts, nic: QemuNic | None) -> dict[str, Fact]:
    if nic is None:
        return {}
    address = parts.leases.get(nic.mac) if nic.mac else None
    return {"guest_mac": nic.mac, "guest_address": address, "model": nic.model}


def _add_owners(parts: Parts, claimed: set[str]) -> None:
    """Other programs that hold a tun or tap: VPNs and the like. What a switch holds are its own ports."""
    for key, owners in parts.seen.owners.items() if parts.seen is not None else ():
        id = parts.node_of.get(key)
        if id is None or key in claimed:
            continue
        for owner in owners:
            if owner.name != _SWITCH:
                process = parts.node(
                    f"process:{owner.pid}", NodeKind.PROCESS, owner.name, "running", key=str(owner.pid), pid=owner.pid,
                    program=owner.name,
                )  # fmt: skip
                parts.edge(process, id, EdgeKind.OWNER)
