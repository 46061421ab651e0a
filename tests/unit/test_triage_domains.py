"""Checks of domains on scripted snapshots: the fault, and what looks like it and is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.triage_scene import (
    GIB,
    NOW,
    SECOND,
    by_key,
    checks,
    cpus,
    disk,
    domain,
    findings,
    host,
    off,
    pool,
    process,
    slow_disk,
    storage,
    usage,
    vcpu,
    volume,
)
from tui.checks.exposure import open_at
from tui.model.asked import AskedGuest
from tui.model.domain import DomainState, MonitorState
from tui.model.health import ImageState
from tui.model.snapshot import HostSnapshot
from tui.model.usage import DomainUsage

DAY = 86400


def state(of: DomainState, reason: str, **facts: Any) -> HostSnapshot:
    gone = of in (DomainState.SHUTOFF,)
    return host(domain("vm1", state=of, reason=reason, **{"id": None if gone else 1, **facts}))


AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='{}'/></channel>"


def agent(connected: bool, up_s: float = 3600, **facts: Any) -> HostSnapshot:
    devices = AGENT.format("connected" if connected else "disconnected")
    qemu = process("vm1", started_ns=NOW - int(up_s * SECOND))
    return host(domain("vm1", devices, **facts), processes=by_key(qemu))


def displayed(*words: str, libvirt: bool = True) -> HostSnapshot:
    qemu = process("vm1", displays=words, uuid="vm1" if libvirt else None, libvirt_name="vm1" if libvirt else None)
    return host(*([domain("vm1")] if libvirt else []), processes=by_key(qemu))


def imaged(name: str, **facts: Any) -> HostSnapshot:
    known: dict[str, Any] = {"missing": False, "read_only": False}
    make: Any = {"off": off, "auto": lambda n, d: off(n, d, autostart=True), "on": domain}[name]
    return host(make("vm1", disk("/images/a.qcow2")), images={"/images/a.qcow2": ImageState(**(known | facts))})


PORTS = "<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-root-port'/>"
TAKEN = PORTS + "<memballoon model='virtio'><address type='pci' bus='0x01' slot='0x00'/></memballoon>"
MORE = TAKEN + "<controller type='pci' index='2' model='pcie-root-port'/>"


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (state(DomainState.CRASHED, "panicked"), {"domain.crashed": "error"}),
        (state(DomainState.SHUTOFF, "crashed", autostart=True), {"domain.crashed": "error"}),
        (state(DomainState.SHUTOFF, "failed"), {"domain.crashed": "info"}),
        (state(DomainState.SHUTOFF, "destroyed"), {}),
        (state(DomainState.SHUTOFF, "saved"), {}),
        (state(DomainState.PAUSED, "I/O error"), {"domain.io-error": "critical"}),
        (state(DomainState.PAUSED, "user"), {}),
        (state(DomainState.PAUSED, "migration"), {}),
        (state(DomainState.PAUSED, "snapshot"), {}),
        (state(DomainState.PAUSED, "watchdog"), {"domain.paused-by-trouble": "error"}),
        (host(domain("vm1"), monitors={"vm1": MonitorState(NOW)}), {"domain.monitor-stuck": "error"}),
        (host(off("vm1"), monitors={"vm1": MonitorState(NOW)}), {}),
        (host(domain("vm1"), asked=(AskedGuest("vm1", "domain.shutdown", NOW),)),
         {"domain.ignores-shutdown": "warning"}),
        (host(off("vm1"), asked=(AskedGuest("vm1", "domain.shutdown", NOW),)), {}),
        # Undefined while it ran, beside others; all transient is how oVirt or KubeVirt do it.
        (host(domain("vm1", persistent=False), domain("vm2")), {"domain.transient": "warning"}),
        (host(domain("vm1", persistent=False), off("vm2")), {"domain.transient": "info"}),
        (host(domain("vm1", persistent=None)), {}),
        (host(domain("vm1", disk("/a"), later=disk("/b"))), {"domain.pending": "info"}),
        (state(DomainState.SHUTOFF, "shutdown", autostart=True), {"domain.autostart-off": "info"}),
        (state(DomainState.RUNNING, "booted", autostart=True), {}),
        (agent(connected=False), {"domain.agent-silent": "info"}),
        (agent(connected=False, up_s=20), {}),
        (agent(connected=True), {}),
        (agent(connected=False, state=DomainState.PAUSED), {}),
        # Disks.
        (host(domain("vm1", disk("/images/a.qcow2", cache="unsafe"))), {"disk.cache-unsafe": "warning"}),
        (host(domain("vm1", disk("/images/a.qcow2", more="<readonly/>", cache="unsafe"))), {}),
        (host(domain("vm1", disk("/images/a.qcow2", more="<transient/>", cache="unsafe"))), {}),
        (imaged("off", missing=True), {"image.missing": "warning"}),
        (imaged("auto", missing=True), {"image.missing": "error", "domain.autostart-off": "info"}),
        (imaged("off"), {}),
        (imaged("off", missing=True, layer=2), {"image.chain-broken": "warning"}),
        (imaged("off", read_only=True), {"image.read-only": "warning"}),
        # Its QEMU holds it; whether a name is there is no matter then.
        (imaged("on", missing=True), {}),
        (host(domain("vm1", disk("/a")), processes=by_key(process("vm1", deleted=("/a",)))),
         {"image.deleted": "error"}),
        (host(domain("vm1", disk("/a")), processes=by_key(process("vm1", deleted=("/tmp/vl.x",)))), {}),
        (host(domain("vm1", disk("/a")), domain("vm2", disk("/a"))), {"image.shared": "critical"}),
        (host(domain("vm1", disk("/a")), off("vm2", disk("/a"))), {}),
        (host(domain("vm1", disk("/a", more="<shareable/>")), domain("vm2", disk("/a", more="<shareable/>"))), {}),
        (host(domain("vm1", disk("/a", more="<readonly/>")), domain("vm2", disk("/a", more="<readonly/>"))), {}),
        (host(domain("vm1", disk("/base")), domain("vm2", disk("/b", more="<backingStore type='file'><source "
         "file='/base'/></backingStore>"))), {"image.written-below": "critical"}),
        # Plugs.
        (host(domain("vm1", TAKEN)), {"domain.no-free-ports": "info"}),
        (host(domain("vm1", PORTS)), {}),
        (host(off("vm1", TAKEN)), {}),
        (host(domain("vm1", TAKEN, later=MORE)), {}),
        # Displays, as libvirt and hands write them.
        (displayed("vnc 0.0.0.0:1,audiodev=audio1"), {"display.open": "warning"}),
        (displayed("vnc :1", libvirt=False), {"display.open": "warning"}),
        (displayed("vnc 127.0.0.1:0,audiodev=audio1"), {}),
        (displayed("vnc unix:/run/a.sock"), {}),
        (displayed("none", "gtk"), {}),
    ],
)  # fmt: skip
def test_domains(seen: HostSnapshot, found: dict[str, str]) -> None:
    assert checks(seen) == found


@pytest.mark.parametrize(
    ("display", "open_"),
    [
        ("vnc [::]:2", True),
        ("vnc 0.0.0.0:2,tls-creds=vnc-tls-creds0", False),
        ("vnc 0.0.0.0:2,sasl=on", False),
        ("vnc 0.0.0.0:2,password=on", False),
        ("vnc 0.0.0.0:2,password", False),
        ("vnc 0.0.0.0:2,password=off", True),
        ("vnc 192.0.2.7:2", False),
        ("vnc none", False),
        ("spice port=5900,addr=0.0.0.0,disable-ticketing=on", True),
        ("spice port=5900,addr=0.0.0.0", False),
        ("spice port=5900,addr=127.0.0.1,disable-ticketing=on", False),
        ("spice unix=on,addr=/run/spice.sock,disable-ticketing=on", False),
        ("gtk", False),
    ],
)
def test_who_may_look_at_a_display(display: str, open_: bool) -> None:
    assert bool(open_at(display)) is open_


def test_old_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.checks.domain_state.time.time", lambda: 100 * DAY)
    (found,) = findings(host(domain("vm1", snapshots=True, oldest_snapshot_s=10 * DAY)))
    assert (found.check, found.message) == ("domain.old-snapshots", "has a snapshot that is 90 days old")
    assert findings(host(domain("vm1", snapshots=True, oldest_snapshot_s=80 * DAY))) == ()
    assert findings(host(domain("vm1", snapshots=True))) == ()


def chained(layers: int) -> HostSnapshot:
    names = [f"{n}.qcow2" for n in range(layers)]
    below = [f"/images/{name}" for name in names[1:]] + [""]
    volumes = [volume(name, below=path) for name, path in zip(names, below, strict=True)]
    return host(domain("vm1", disk("/images/0.qcow2")), storage=storage([pool()], volumes))


def test_long_chains() -> None:
    assert checks(chained(9)) == {}
    assert checks(chained(12)) == {"image.chain-long": "info"}
    assert checks(chained(40)) == {"image.chain-long": "warning"}


# Pins


def pinned(name: str, *pins: str, **facts: Any) -> Any:
    """A domain of two vCPUs with pins as in `0=3` or `emulator=0-1`."""
    words = []
    for pin in pins:
        thread, _, on = pin.partition("=")
        words.append(
            f"<emulatorpin cpuset='{on}'/>" if thread == "emulator" else f"<vcpupin vcpu='{thread}' cpuset='{on}'/>"
        )
    rest = f"<cputune>{''.join(words)}</cputune>" + facts.pop("rest", "")
    return domain(name, "", rest, **facts)


STRICT = "<numatune><memory mode='{}' nodeset='{}'/></numatune>"


@pytest.mark.parametrize(
    ("domains", "offline", "found"),
    [
        ([pinned("vm1", "0=2", "1=3")], (2,), {"pins.offline": "error"}),
        ([pinned("vm1", "0=2-3", "1=2-3")], (2,), {}),
        ([pinned("vm1", "0=2", "1=3"), pinned("vm2", "0=3", "1=4")], (), {"pins.overlap": "warning"}),
        ([pinned("vm1", "0=2", "1=3"), pinned("vm2", "0=4", "1=5")], (), {}),
        # Many guests on one set of CPUs is how most hosts are run.
        ([pinned("vm1", "0=2-7", "1=2-7"), pinned("vm2", "0=2-7", "1=2-7")], (), {}),
        ([pinned("vm1", "0=2", "1=3"), pinned("vm2", "0=2", "1=3", id=None, state=DomainState.SHUTOFF)], (), {}),
        ([pinned("vm1", "0=2", "1=2")], (), {"pins.overlap": "warning"}),
        ([pinned("vm1", "0=2", "1=3", "emulator=2-3")], (), {"pins.emulator": "info"}),
        ([pinned("vm1", "0=2", "1=3", "emulator=0-1")], (), {}),
        ([pinned("vm1", "0=2", "1=3")], (), {}),
        # CPUs 4-7 are node 1's.
        ([pinned("vm1", "0=4", "1=5", rest=STRICT.format("strict", 0))], (), {"pins.far-memory": "warning"}),
        ([pinned("vm1", "0=4", "1=5", rest=STRICT.format("strict", 1))], (), {}),
        ([pinned("vm1", "0=4", "1=5", rest=STRICT.format("preferred", 0))], (), {}),
        ([pinned("vm1", "0=3", "1=4", rest=STRICT.format("strict", 0))], (), {}),
    ],
)  # fmt: skip
def test_pins(domains: Sequence[Any], offline: Sequence[int], found: dict[str, str]) -> None:
    assert checks(host(*domains, cpus=cpus(offline=offline))) == found


def test_overlapping_pins_are_mended_by_free_cpus() -> None:
    found = findings(host(pinned("vm1", "0=2", "1=3"), pinned("vm2", "0=3", "1=4")))
    assert [f.remedies[0].values for f in found] == [(("pins", "vcpu 1=0"),), (("pins", "vcpu 0=0"),)]


def crowded(*percents: float, delay: float = 30.0, on: str = "2-3") -> list[HostSnapshot]:
    """Domains of two vCPUs each, all pinned to the same CPUs, for half a minute; what each vCPU uses, in percent."""
    names = [f"vm{n}" for n in range(1, len(percents) + 1)]
    domains = [pinned(name, f"0={on}", f"1={on}") for name in names]
    return [
        replace(
            host(*domains, cpus=cpus(), usage={
                name: usage(at, vcpus=tuple(replace(vcpu(n, delay), cpu_percent=percent) for n in (0, 1)))
                for name, percent in zip(names, percents, strict=True)
            }),
            taken_ns=usage(at).read_ns,
        )
        for at in (0.0, 10.0, 20.0, 30.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (crowded(50.0, 50.0), {"pins.overloaded"}),
        (crowded(30.0, 30.0), set()),  # they wait, for something else
        (crowded(100.0), set()),  # two vCPUs on two CPUs
        (crowded(50.0, 50.0, delay=5.0), set()),
        (crowded(50.0, 50.0, on="0-7"), set()),  # all CPUs there are: no pin
    ],
)
def test_pins_to_cpus_that_are_busy(seen: list[HostSnapshot], found: set[str]) -> None:
    assert set(checks(*seen)) - {"domain.vcpu-delay"} == found


def test_of_several_vcpus_that_wait_the_one_whose_cpu_is_full_is_told_of() -> None:
    domains = [pinned("vm1", "0=2", "1=3", "emulator=7"), pinned("vm2", "0=4", "1=3")]
    seen = [
        replace(
            host(*domains, cpus=cpus(), usage={
                one.name: usage(at, vcpus=(replace(vcpu(0, 40.0), cpu_percent=10.0), vcpu(1, 40.0)))
                for one in domains
            }),
            taken_ns=usage(at).read_ns,
        )
        for at in (0.0, 10.0, 20.0, 30.0)
    ]  # fmt: skip
    found = [f for f in findings(*seen) if f.check == "pins.overloaded"]
    assert {f.message for f in found} == {"vcpu 1 waits for CPU 3, which the 2 vCPUs pinned there keep busy"}
    assert {f.remedies[0].values for f in found} == {(("pins", "vcpu 1=0-1,5-6"),)}


def test_a_vcpu_that_waits_is_mended_by_cpus_that_nobody_is_pinned_to() -> None:
    found = [f for f in findings(*crowded(50.0, 50.0)) if f.check == "pins.overloaded"]
    assert found[0].message == "vcpu 0 waits for CPU 2-3, which the 4 vCPUs pinned there keep busy"
    assert found[0].remedies[0].values == (("pins", "vcpu 0=0-1,4-7"),)


# Figures


def over(*readings: DomainUsage, **facts: Any) -> tuple[HostSnapshot, ...]:
    """One snapshot for each reading, and one of what is read besides it."""
    one = domain("vm1", **facts)
    return tuple(
        replace(host(one, usage={"vm1": reading}), taken_ns=reading.read_ns, domains={"vm1": one})
        for reading in readings
    )


def tight(at_s: float, faults: int) -> DomainUsage:
    return usage(at_s, usable_kib=64 * 1024, major_faults=faults)


def squeezed(gib: float) -> dict[str, Any]:
    config = domain("vm1").config
    assert config is not None
    return {"config": replace(config, memory_kib=int(gib * GIB))}


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (over(*(usage(n * 10, vcpus=(vcpu(0, 45.0), vcpu(1, 1.0))) for n in range(3))),
         {"domain.vcpu-delay": "warning"}),
        (over(*(usage(n * 10, vcpus=(vcpu(0, 5.0), vcpu(1, None))) for n in range(3))), {}),
        # Once is no state.
        (over(usage(0, vcpus=(vcpu(0, 90.0),)), usage(10, vcpus=(vcpu(0, 2.0),)), usage(20, vcpus=(vcpu(0, 90.0),))),
         {}),
        (over(usage(0, vcpus=(vcpu(0, 90.0),)), usage(10, vcpus=(vcpu(0, 90.0),))), {}),
        (over(*(usage(n * 10, disks=(slow_disk(900),)) for n in range(3))), {"domain.disk-slow": "warning"}),
        (over(*(usage(n * 10, disks=(slow_disk(3000),)) for n in range(3))), {"domain.disk-slow": "error"}),
        (over(*(usage(n * 10, disks=(slow_disk(40),)) for n in range(3))), {}),
        # A guest that boots takes all that it can get.
        (over(*(usage(n * 2, vcpus=(vcpu(0, 90.0),)) for n in range(8))), {}),
        # One request now and then says nothing of a disk.
        (over(*(usage(n * 10, disks=(slow_disk(900, 0.5),)) for n in range(3))), {}),
        (over(tight(0, 0), tight(10, 10000), tight(20, 20000), **squeezed(1)), {"domain.memory-squeezed": "warning"}),
        (over(tight(0, 0), tight(10, 10000), tight(20, 20000)), {"domain.memory-squeezed": "warning"}),
        # Full of cache is no want, and starting programs makes faults.
        (over(tight(0, 0), tight(10, 3), tight(20, 5), **squeezed(1)), {}),
        (over(*(usage(n * 10, major_faults=n * 20000) for n in range(3)), **squeezed(1)), {}),
    ],
)  # fmt: skip
def test_figures(seen: Sequence[HostSnapshot], found: dict[str, str]) -> None:
    assert checks(*seen) == found


def test_a_squeezed_guest_is_given_its_memory() -> None:
    (found,) = findings(*over(tight(0, 0), tight(10, 10000), tight(20, 20000), **squeezed(1)))
    assert found.message == "its balloon leaves it 1.0G of 4.0G, and it has 1000 major faults a second or more"
    assert (found.remedies[0].action, found.remedies[0].values) == ("domain.memory", (("amount", "100%"),))
