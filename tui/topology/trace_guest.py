"""What is right and wrong with the guest at an end of a trace: its QEMU, its NIC, its MAC and its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.domain import DomainState
from tui.model.finding import Fact, Hop, Layer, Remedy
from tui.topology.trace_facts import broken, good, mend, unknown, warning

if TYPE_CHECKING:
    from tui.model.process import QemuProcess
    from tui.topology.guests import GuestNic
    from tui.topology.trace_scene import Scene

_STATE, _PROC, _XML = "virDomainGetState", "/proc/PID/stat", "virDomainGetXMLDesc"
_STOPPED = frozenset({"stopped", "tracing-stop"})


def guest_hop(scene: Scene, nic: GuestNic) -> Hop:
    """Return the hop of a guest's NIC."""
    facts = [*_run_state(scene, nic), *_link(nic), *_mac(scene, nic), *_address(scene, nic)]
    netns = ""
    if nic.tap is not None and (tap := scene.wiring.link(nic.tap)) is not None:
        netns = scene.wiring.netns_name(tap.netns)
    return Hop("guest", nic.name, netns, nic.key, tuple(facts))


def _run_state(scene: Scene, nic: GuestNic) -> list[Fact]:
    facts = [] if nic.domain is None else [_domain_state(nic)]
    if nic.process is not None:
        facts.append(_process_state(nic.process))
    if nic.key in scene.snapshot.monitors:
        facts.append(warning("its QEMU monitor does not answer", "virConnectGetAllDomainStats", "monitor-stuck",
                             Layer.PROCESS))  # fmt: skip
    return facts


def _domain_state(nic: GuestNic) -> Fact:
    domain = nic.domain
    assert domain is not None
    if domain.state is DomainState.RUNNING or domain.state is DomainState.BLOCKED:
        return good("is running", _STATE)
    words = f"is {domain.state.value}" + (f" ({domain.reason})" if domain.reason else "")
    if domain.state is DomainState.PAUSED:
        remedy = Remedy(f"resume {domain.name}", "domain.resume", domain.key)
        return broken(words, _STATE, "guest-paused", Layer.PROCESS, remedy)
    if not domain.active:
        remedy = Remedy(f"start {domain.name}", "domain.start", domain.key)
        return broken(words, _STATE, "guest-off", Layer.PROCESS, remedy)
    return broken(words, _STATE, "guest-not-running", Layer.PROCESS)


def _process_state(process: QemuProcess) -> Fact:
    if process.state in _STOPPED:
        remedy = mend("let it go on", "kill", "-CONT", str(process.pid))
        words = f"its QEMU, process {process.pid}, is {process.state}"
        return broken(words, _PROC, "qemu-stopped", Layer.PROCESS, remedy)
    if process.state in ("zombie", "dead"):
        return broken(f"its QEMU, process {process.pid}, is a {process.state}", _PROC, "qemu-dead", Layer.PROCESS)
    return good(f"its QEMU, process {process.pid}, is {process.state}", _PROC)


def _link(nic: GuestNic) -> list[Fact]:
    if nic.link_up:
        return []
    domain = nic.domain
    words = ("virsh", "domif-setlink", domain.raw_name, nic.mac, "up") if domain is not None else ()
    return [broken("the link of its NIC is set down", _XML, "guest-link-down", Layer.ADMIN, mend("set it up", *words))]


def _mac(scene: Scene, nic: GuestNic) -> list[Fact]:
    """Two guests with one MAC harm each other where a frame of one gets to the other."""
    if not nic.mac:
        return []
    others = [other for other in scene.guests.with_mac(nic.mac) if (other.key, other.index) != (nic.key, nic.index)]
    reached = set(scene.wiring.segment(nic.tap)) if nic.tap is not None else set()
    near = [other for other in others if other.tap in reached]
    if near:
        names = ", ".join(other.name for other in near)
        remedy = mend(f"give {nic.name} or {names} another MAC")
        return [broken(f"{names} has the same MAC {nic.mac}", _XML, "duplicate-mac", Layer.L2, remedy)]
    return [good(f"MAC {nic.mac}", _XML)]


def _address(scene: Scene, nic: GuestNic) -> list[Fact]:
    if not nic.addresses:
        return [
            unknown(
                "no address of it is known: no lease, no agent, no neighbour",
                "DHCP leases, RTM_GETNEIGH",
            )
        ]
    facts = [good(f"known by {', '.join(nic.addresses[:3])}", "DHCP leases, agent, RTM_GETNEIGH")]
    if nic.tap is not None:
        for address in nic.addresses:
            facts += duplicates(scene, nic.tap, address, nic.mac)
    return facts


def duplicates(scene: Scene, start: str, address: str, mac: str, own: str = "") -> list[Fact]:
    """Return who else on the segment of `start` has an address: neither the link `own` nor one of this MAC."""
    reached = set(scene.wiring.segment(start))
    links = [
        link
        for link in scene.wiring.endpoints(start)
        if link.key not in (start, own) and any(a.address == address for a in scene.wiring.addresses(link))
    ]
    found = [(f"{link.name} in {scene.wiring.netns_name(link.netns)}", "RTM_GETADDR") for link in links]
    found += [
        (nic.name, "DHCP leases, agent")
        for nic in scene.guests.told(address)
        if nic.running and nic.tap in reached and nic.tap != start and nic.mac != mac
    ]
    remedy = mend(f"give one of them another address than {address}")
    return [
        broken(f"{name} has the address {address} as well", source, "duplicate-ip", Layer.L3, remedy)
        for name, source in found
    ]
