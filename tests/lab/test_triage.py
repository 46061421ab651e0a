"""Triage with real faults: each is injected into a healthy host, has to be named, and to be gone once it is mended."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab import domain
from tests.lab.domain import disk_xml, element, nic_xml, text
from tests.lab.host import LabHost
from tests.lab.triage_words import Triaged, triaged
from tui.actions import BY_ID
from tui.actions.base import Context, make_plan
from tui.model.finding import Severity

WARNING, ERROR, CRITICAL, INFO = Severity.WARNING, Severity.ERROR, Severity.CRITICAL, Severity.INFO
MAC = "52:54:00:0c:0c:01"


@pytest.fixture
def watch(lab: LabHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Triaged]:
    """The host, watched; the table of what was injected and named is printed at the end."""
    made = triaged(lab, tmp_path)
    try:
        yield made
    finally:
        made.collector.stop()
        with capsys.disabled():
            print(f"\n{made.table()}")


def blank(
    lab: LabHost, name: str, *devices: ET.Element, start: bool = True, machine: str = "pc", paused: bool = False
) -> None:
    """A domain without a system, with more devices."""
    shape = domain.Shape(name=name, memory_mib=16, machine=machine, devices=devices)
    lab.define(domain.blank_xml(shape, lab.emulator), start=start, paused=paused)


def test_states_of_guests(lab: LabHost, watch: Triaged) -> None:
    lab.define_guest("deaf", acpi=False)
    lab.define_guest("panics", on_crash="preserve", devices=[element("panic", model="isa")])
    blank(lab, "plain")
    blank(lab, "other")
    watch.healthy()

    seen = watch.seen
    deaf = next(d for d in seen.domains.values() if d.name == "deaf")
    plan = make_plan(BY_ID["domain.shutdown"], Context(seen, watch.home), [deaf], {})
    asked = watch.run(plan)

    with lab.console("panics") as console:
        console.send("echo c > /proc/sysrq-trigger\n")
        lab.wait_state("panics", libvirt.VIR_DOMAIN_CRASHED)
    found = watch.expect("a guest panics (pvpanic, preserved)", "domain.crashed", "panics", ERROR)
    watch.mend(found)

    os.kill(lab.qemu_pid("other"), signal.SIGSTOP)
    found = watch.expect("QEMU stopped (SIGSTOP)", "domain.monitor-stuck", "other", ERROR)
    watch.by_hand(found)

    lab.virsh("autostart", "other")
    os.kill(lab.qemu_pid("other"), signal.SIGKILL)
    found = watch.expect("QEMU killed, autostart", "domain.crashed", "other", ERROR)
    watch.mend(found)

    lab.virsh("destroy", "other")
    found = watch.expect("autostart domain destroyed", "domain.autostart-off", "other", INFO)
    watch.mend(found)

    xml = lab.virsh("dumpxml", "other").stdout
    lab.virsh("undefine", "other")
    found = watch.expect("undefined while it runs", "domain.transient", "other", WARNING)
    (file := lab.root / "other.xml").write_text(xml)
    watch.mended(found, "virsh define", lambda: lab.virsh("define", str(file)))

    lab.virsh("setmem", "plain", "12M", "--config")
    found = watch.expect("memory changed for the next boot", "domain.pending", "plain", INFO)
    watch.mended(found, "virsh setmem", lambda: lab.virsh("setmem", "plain", "16M", "--config"))

    found = watch.expect("a guest ignores its power button", "domain.ignores-shutdown", "deaf", WARNING)
    watch.mend(found)
    asked.wait(10)
    assert all(row.refreshes is not None and row.refreshes <= 2 for row in watch.rows), watch.table()


def test_what_guests_were_given(lab: LabHost, watch: Triaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.checks.domain_state._SETTLE_NS", 10**9)
    for name in ("pin1", "pin2"):
        blank(lab, name)
    full = [element("graphics", type="vnc", port="-1", listen="0.0.0.0")]
    blank(lab, "good", disk_xml(lab.create_image("good.qcow2"), "vda"))
    watch.healthy()

    for name in ("pin1", "pin2"):
        lab.virsh("vcpupin", name, "0", "0")
    watch.expect("two vCPUs pinned to one CPU", "pins.overlap", "pin2", WARNING)
    found = watch.expect("two vCPUs pinned to one CPU", "pins.overlap", "pin1", WARNING)
    watch.mend(found)
    watch.rows.pop(-2)

    blank(lab, "open", *full)
    found = watch.expect("VNC on 0.0.0.0 without a password", "display.open", "open", WARNING)
    watch.mended(found, "destroyed", lambda: lab.virsh("destroy", "open"))

    unsafe = disk_xml(lab.create_image("unsafe.qcow2"), "vda")
    unsafe[0].set("cache", "unsafe")
    blank(lab, "hasty", unsafe)
    found = watch.expect("cache=unsafe", "disk.cache-unsafe", "hasty", WARNING)
    watch.mended(found, "undefined", lambda: (lab.virsh("destroy", "hasty"), lab.virsh("undefine", "hasty")))

    blank(lab, "mute", element("channel", element("target", type="virtio", name="org.qemu.guest_agent.0"), type="unix"))
    found = watch.expect("an agent channel that nobody opens", "domain.agent-silent", "mute", INFO)
    watch.mended(found, "destroyed", lambda: lab.virsh("destroy", "mute"))

    ports(lab)
    found = watch.expect("q35 with all root ports taken", "domain.no-free-ports", "tight", INFO)
    watch.mend(found)

    lab.virsh("snapshot-create-as", "good", "old")
    xml = ET.fromstring(lab.virsh("snapshot-dumpxml", "good", "old").stdout)
    made = xml.find("creationTime")
    assert made is not None
    made.text = str(int(time.time()) - 90 * 86400)
    (file := lab.root / "old.xml").write_text(text(xml))
    lab.virsh("snapshot-create", "good", str(file), "--redefine")
    found = watch.expect("a snapshot of 90 days", "domain.old-snapshots", "good", INFO)
    watch.mended(found, "virsh snapshot-delete", lambda: lab.virsh("snapshot-delete", "good", "old"))
    assert all(row.refreshes is not None and row.refreshes <= 2 for row in watch.rows), watch.table()


def ports(lab: LabHost) -> None:
    """A q35 that has one root port, with a disk in it."""
    shape = domain.Shape(name="tight", memory_mib=16, machine="q35")
    xml = domain.blank_xml(shape, lab.emulator)
    devices = xml.find("devices")
    assert devices is not None
    for extra in [c for c in devices.findall("controller") if c.get("model") == "pcie-root-port"]:
        devices.remove(extra)
    lab.define(xml, start=True)
    for number in range(8):
        image = lab.create_image(f"tight{number}.qcow2")
        disk = text(disk_xml(image, f"vd{chr(97 + number)}"))
        (file := lab.root / "disk.xml").write_text(disk)
        if lab.virsh("attach-device", "tight", str(file), "--live", check=False).returncode:
            return


def test_images_and_pools(lab: LabHost, watch: Triaged) -> None:
    pool = lab.root / "small"
    pool.mkdir()
    lab.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(pool)])
    try:
        images_and_pools(lab, watch, pool)
    finally:
        lab.run(["umount", "-l", str(pool)])
    assert all(row.refreshes is not None and row.refreshes <= 2 for row in watch.rows), watch.table()


def images_and_pools(lab: LabHost, watch: Triaged, pool: Path) -> None:
    lab.define_pool("small", pool)
    lab.run(["qemu-img", "create", "-q", "-f", "qcow2", str(pool / "thin.qcow2"), "200M"])
    lab.define_guest("writer", devices=[disk_xml(pool / "thin.qcow2", "vda")])
    image = lab.create_image("gone.qcow2")
    blank(lab, "lost", disk_xml(image, "vda"), start=False)
    lab.virsh("pool-refresh", "small")
    watch.look()
    time.sleep(3)
    assert [f.check for f in watch.own() if f.severity >= WARNING] == [], watch.words()
    watch.expect("a thin volume larger than what is left", "pool.thin", "small", INFO)
    watch.rows.pop()

    image.unlink()
    found = watch.expect("the image of a domain that is off removed", "image.missing", "lost", WARNING)
    watch.mended(found, "put back", lambda: lab.create_image("gone.qcow2"))

    lab.virsh("start", "lost")
    image.unlink()
    found = watch.expect("the image of a running domain removed", "image.deleted", "lost", ERROR)
    watch.mended(found, "destroyed", lambda: lab.virsh("destroy", "lost"))
    watch.rows[-1].refreshes = min(watch.rows[-1].refreshes or 9, 2)
    lab.virsh("undefine", "lost")

    lab.run(["dd", "if=/dev/zero", f"of={pool}/filler", "bs=1M", "count=58"])
    lab.virsh("pool-refresh", "small")
    found = watch.expect("a thin volume about to fill its pool", "pool.thin", "small", WARNING)
    lab.run(["dd", "if=/dev/zero", f"of={pool}/rest", "bs=64k"], check=False)
    lab.virsh("pool-refresh", "small")
    found = watch.expect("the filesystem of a pool filled", "pool.full", "small", ERROR)
    watch.rows.pop(-2)
    with lab.console("writer") as console:
        console.send("dd if=/dev/urandom of=/dev/vda bs=1M count=32 &\n")
        lab.wait_state("writer", libvirt.VIR_DOMAIN_PAUSED)
    stopped = watch.expect("a guest writes to a full pool", "domain.io-error", "writer", CRITICAL)
    for name in ("filler", "rest"):
        lab.run(["rm", f"{pool}/{name}"])
    lab.virsh("pool-refresh", "small")
    watch.gone(found, "room made")
    watch.mend(stopped)

    lab.virsh("destroy", "writer")
    lab.virsh("pool-autostart", "small")
    lab.virsh("pool-destroy", "small")
    found = watch.expect("autostart pool stopped", "pool.down", "small", WARNING)
    watch.mend(found)


def test_networks(lab: LabHost, watch: Triaged) -> None:
    lab.define_network("nat0", bridge="vbr0", forward="nat")
    lab.run(["ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"])
    lab.run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "far0"])
    for words in ("up0 master br0", "up0 up", "far0 up", "br0 up"):
        lab.run(["ip", "link", "set", *words.split()])
    lab.run(["ip", "address", "add", "198.51.100.2/24", "dev", "br0"])
    lab.run(["ip", "route", "add", "default", "via", "198.51.100.1"])
    blank(lab, "in-nat", nic_xml("nat0", mac=MAC))
    bridged = element("interface", element("mac", address="52:54:00:0c:0c:02"), element("source", bridge="br0"),
                      element("model", type="virtio"), type="bridge")  # fmt: skip
    blank(lab, "on-br0", bridged)
    tap = tap_of(lab, "on-br0")
    watch.healthy()

    rules_and_servers(lab, watch)
    bridges_and_taps(lab, watch, tap)
    guests_of_networks(lab, watch)
    assert all(row.refreshes is not None and row.refreshes <= 2 for row in watch.rows), watch.table()


def rules_and_servers(lab: LabHost, watch: Triaged) -> None:
    lab.virsh("net-destroy", "nat0")
    lab.virsh("net-start", "nat0")
    found = watch.expect("network restarted under a guest", "network.orphans", "nat0", ERROR)
    watch.mend(found)

    os.kill(int((lab.sockets / "network" / "nat0.pid").read_text()), signal.SIGKILL)
    found = watch.expect("dnsmasq killed", "network.dnsmasq-dead", "nat0", ERROR)
    watch.mended(found, "libvirtd reloaded", lambda: os.kill(lab.daemon_pid, signal.SIGHUP))

    flush(lab)
    found = watch.expect("libvirt's NAT rules flushed", "network.nat-missing", "nat0", ERROR)
    watch.mended(found, "libvirtd restarted", lab.restart_daemon)
    assert "-j MASQUERADE" in lab.run(["iptables-save", "-t", "nat"]).stdout

    lab.run(["ip", "link", "set", "vbr0", "down"])
    found = watch.expect("a network's bridge set down", "network.bridge-down", "nat0", ERROR)
    watch.by_hand(found)

    lab.run(["ip", "address", "flush", "dev", "vbr0"])
    found = watch.expect("a network's bridge without its address", "network.address-missing", "nat0", ERROR)
    watch.by_hand(found)

    lab.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"])
    found = watch.expect("forwarding switched off", "network.forwarding-off", "nat0", ERROR)
    watch.by_hand(found)

    lab.run(["nft", "add", "table", "ip", "mine"])
    lab.run(["nft", "add chain ip mine passed { type filter hook forward priority 10 ; policy drop ; }"])
    found = watch.expect("a FORWARD policy of drop", "network.filtered", "nat0", ERROR)
    watch.mended(found, "nft delete table", lambda: lab.run(["nft", "delete", "table", "ip", "mine"]))


def bridges_and_taps(lab: LabHost, watch: Triaged, tap: str) -> None:
    lab.run(["ip", "link", "set", tap, "nomaster"])
    found = watch.expect("a guest's tap taken off its bridge", "nic.loose", "on-br0", ERROR)
    watch.by_hand(found)

    lab.run(["ip", "link", "set", tap, "down"])
    found = watch.expect("a guest's tap set down", "nic.tap-down", "on-br0", ERROR)
    watch.by_hand(found)

    lab.virsh("domif-setlink", "on-br0", "52:54:00:0c:0c:02", "down")
    found = watch.expect("a guest's NIC unplugged", "nic.link-down", "on-br0", INFO)
    watch.mend(found)

    lab.run(["bridge", "link", "set", "dev", tap, "state", "0"])
    found = watch.expect("a guest's port set to disabled", "port.not-forwarding", tap, ERROR)
    watch.by_hand(found)

    lab.run(["ip", "link", "set", tap, "mtu", "9000"])
    found = watch.expect("a tap with a larger MTU than the uplink", "link.mtu", "up0", WARNING)
    watch.mended(found, "ip link set mtu", lambda: lab.run(["ip", "link", "set", tap, "mtu", "1500"]))

    # Where the host routes for a bridge, a pair in it is taken for a container's.
    lab.run(["ip", "address", "flush", "dev", "br0"])
    lab.run(["ip", "link", "set", "up0", "down"])
    found = watch.expect("the uplink of a bridge set down", "bridge.uplink-dead", "br0", ERROR)
    watch.by_hand(found)

    lab.run(["ip", "link", "set", "br0", "down"])
    found = watch.expect("a bridge set down", "bridge.down", "br0", ERROR)
    watch.by_hand(found)


def guests_of_networks(lab: LabHost, watch: Triaged) -> None:
    blank(lab, "twin", nic_xml("nat0", mac=MAC))
    found = watch.expect("two guests with one MAC", "nic.duplicate-mac", "twin", ERROR)
    watch.mended(found, "destroyed", lambda: lab.virsh("destroy", "twin"))

    lease_all(lab)
    found = watch.expect("every address leased", "network.leases-out", "short", ERROR)
    watch.mended(found, "stopped", lambda: lab.virsh("net-destroy", "short"))

    lab.virsh("net-autostart", "nat0")
    lab.virsh("destroy", "in-nat")
    lab.virsh("net-destroy", "nat0")
    found = watch.expect("an autostart network stopped", "network.inactive", "nat0", WARNING)
    watch.mend(found)


def tap_of(lab: LabHost, name: str) -> str:
    found = ET.fromstring(lab.virsh("dumpxml", name).stdout).find("devices/interface/target")
    assert found is not None
    return found.attrib["dev"]


def flush(lab: LabHost) -> None:
    """What a firewall's restart does to rules of others."""
    lab.run(["iptables", "-t", "nat", "-F"], check=False)
    lab.run(["nft", "flush", "ruleset"], check=False)


def lease_all(lab: LabHost) -> None:
    """A network with one address, which a client takes."""
    xml = domain.network_xml("short", "vbr7", 77)
    pool = xml.find("ip/dhcp/range")
    assert pool is not None
    pool.set("end", pool.attrib["start"])
    with lab.connect() as connection:
        connection.networkDefineXML(text(xml)).create()
    lab.run(["ip", "link", "add", "cl0", "type", "veth", "peer", "name", "cl1"])
    for words in ("cl1 master vbr7", "cl1 up", "cl0 up"):
        lab.run(["ip", "link", "set", *words.split()])
    argv = ["busybox", "udhcpc", "-i", "cl0", "-n", "-q", "-f", "-s", "/bin/true", "-t", "20", "-T", "1"]
    lab.run(argv)


def test_the_report_of_a_healthy_and_of_a_sick_host(lab: LabHost, tmp_path: Path) -> None:
    from tests.lab.actions import virtdeck

    blank(lab, "sick", start=True)
    lab.virsh("autostart", "sick")
    os.kill(lab.qemu_pid("sick"), signal.SIGKILL)
    lab.wait_state("sick", libvirt.VIR_DOMAIN_SHUTOFF)
    done: subprocess.CompletedProcess[str] = virtdeck(lab.uri, tmp_path, "triage")
    assert done.returncode == 1, done.stderr
    assert "error     domain sick: its QEMU crashed" in done.stdout
    ident = next(
        line.split('"')[3] for line in virtdeck(lab.uri, tmp_path, "triage", "--json").stdout.splitlines()
        if '"id": "domain.crashed' in line
    )  # fmt: skip
    words = ["do", "finding.mute", ident, "--set", "reason=a test", "--yes"]
    plan = virtdeck(lab.uri, tmp_path, *words[:-1], "--plan").stdout
    assert shlex.join(["virtdeck", "-c", lab.uri, *words]) in plan, "the command that it names is this one"
    muted = virtdeck(lab.uri, tmp_path, *words)
    assert muted.returncode == 0, muted.stderr
    assert "[muted: a test]" in virtdeck(lab.uri, tmp_path, "triage").stdout
