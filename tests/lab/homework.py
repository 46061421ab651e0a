"""The homework network in the lab: two guests behind a router namespace with NAT and DHCP.

    vm1, vm2 ─ taps ─ br-in ═ r1 (forwarding, masquerade, dnsmasq) ═ br-ex ═ outside

vm1 is a domain of libvirt, vm2 a QEMU started by hand. Everything is made with ip, nft and dnsmasq as people do it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.domain import element
from tests.lab.guest import COMMAND_LINE, READY, guest_image
from tests.lab.host import LabHost
from tests.lab.namespaces import Completed, wait_until

MACS = {"vm1": "52:54:00:00:00:01", "vm2": "52:54:00:00:00:02"}
ADDRESSES = {"vm1": "10.0.0.11", "vm2": "10.0.0.12"}
OUTSIDE = "203.0.113.1"
_RULES = """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "r1-ex" masquerade
  }
}
"""


@dataclass(frozen=True, slots=True)
class Homework:
    """The network, up, and both guests with their leases."""

    lab: LabHost
    vm2_log: Path

    def vm2_says(self, text: str) -> bool:
        """Whether the guest without libvirt wrote something to its console."""
        return text in self.vm2_log.read_text(errors="replace")


def build(lab: LabHost) -> Homework:
    """Build it all and wait until both guests have an address."""
    for name in ("r1", "outside"):
        lab.run(["ip", "netns", "add", name])
        lab.run(["ip", "-n", name, "link", "set", "lo", "up"])
    for name in ("br-in", "br-ex"):
        lab.run(["ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
        lab.run(["ip", "link", "set", name, "up"])
    _pair(lab, "b-in", "r1-in", "r1", "br-in", "10.0.0.1/24")
    _pair(lab, "b-ex", "r1-ex", "r1", "br-ex", "203.0.113.2/24")
    _pair(lab, "up0", "wan0", "outside", "br-ex", f"{OUTSIDE}/24")
    lab.run(["ip", "-n", "r1", "route", "add", "default", "via", OUTSIDE])
    lab.run(["ip", "netns", "exec", "r1", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    rules = lab.root / "run" / "homework.nft"
    rules.write_text(_RULES)
    lab.run(["ip", "netns", "exec", "r1", "nft", "-f", "/run/homework.nft"])
    _serve(lab)
    log = _start_by_hand(lab)
    lab.define_guest("vm1", devices=[_nic("br-in", "tap1", MACS["vm1"])])
    lab.wait_console("vm1", f"LEASE eth0 {ADDRESSES['vm1']}")
    made = Homework(lab, log)
    wait_until(lambda: made.vm2_says(f"LEASE eth0 {ADDRESSES['vm2']}"), "the lease of vm2")
    return made


def _pair(lab: LabHost, port: str, end: str, netns: str, bridge: str, address: str) -> None:
    lab.run(["ip", "link", "add", port, "type", "veth", "peer", "name", end, "netns", netns])
    lab.run(["ip", "link", "set", port, "master", bridge, "up"])
    lab.run(["ip", "-n", netns, "addr", "add", address, "dev", end])
    lab.run(["ip", "-n", netns, "link", "set", end, "up"])


def _serve(lab: LabHost) -> None:
    hosts = [f"--dhcp-host={MACS[name]},{ADDRESSES[name]}" for name in MACS]
    lab.spawn(
        ["ip", "netns", "exec", "r1", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
         "--interface=r1-in", "--bind-interfaces", "--no-ping", "--dhcp-range=10.0.0.10,10.0.0.50,1h",
         "--dhcp-leasefile=/run/homework.leases", "--pid-file=/run/homework.pid", *hosts]
    )  # fmt: skip


def _nic(bridge: str, tap: str, mac: str) -> Any:
    return element(
        "interface",
        element("mac", address=mac),
        element("source", bridge=bridge),
        element("target", dev=tap),
        element("model", type="virtio"),
        type="bridge",
    )


def _start_by_hand(lab: LabHost) -> Path:
    """Start vm2 on a tap made with ip; return the file that its console is written to."""
    lab.run(["ip", "tuntap", "add", "tap2", "mode", "tap"])
    lab.run(["ip", "link", "set", "tap2", "master", "br-in", "up"])
    image, log = guest_image(), lab.root / "run" / "vm2.log"
    lab.spawn(
        [lab.emulator, "-name", "vm2", "-machine", "q35,accel=tcg", "-m", "96", "-nodefaults", "-display", "none",
         "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", COMMAND_LINE,
         "-serial", "file:/run/vm2.log", "-netdev", "tap,id=n0,ifname=tap2,script=no,downscript=no",
         "-device", f"virtio-net-pci,netdev=n0,mac={MACS['vm2']}"]
    )  # fmt: skip
    wait_until(lambda: log.exists() and READY in log.read_text(errors="replace"), "vm2 to boot", timeout=60)
    return log


def argv(*words: str) -> list[str]:
    """The argument list of `virtdeck topology`."""
    return [sys.executable, "-m", "tui", "-c", "qemu:///system", "topology", *words]


def program(lab: LabHost, *words: str) -> Completed:
    """Run `virtdeck topology` in the lab's own namespaces, as somebody logged in there would."""
    return lab.run(argv(*words))


def around(name: str) -> list[str]:
    """The words that restrict a report to all that hangs together with something. The lab has no process namespace of
    its own: the namespaces of other programs on this machine are seen as well."""
    return ["--focus", name, "--hops", "20"]


def topology(lab: LabHost, name: str) -> dict[str, Any]:
    """What `virtdeck topology --json` says there of all that hangs together with something."""
    data: dict[str, Any] = json.loads(program(lab, "--json", *around(name)).stdout)
    return data


def named(data: dict[str, Any]) -> tuple[set[tuple[str, str, str, str]], set[tuple[str, str, str, str]]]:
    """Its nodes as (kind, name, namespace, state) and its edges as (name, name, kind, label): what two runs have in
    common."""
    names = {node["id"]: "dnsmasq" if node["kind"] == "dnsmasq" else node["name"] for node in data["nodes"]}
    nodes = {(node["kind"], names[node["id"]], node["netns"], node["state"]) for node in data["nodes"]}
    return nodes, {(names[edge["a"]], names[edge["b"]], edge["kind"], edge["label"]) for edge in data["edges"]}
