"""The lab's routed network: guests' taps on br-in, a router namespace r1 with NAT and DHCP, br-ex with an uplink to a
namespace that answers to every address, as the rest of the world does."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from tests.lab.domain import element
from tests.lab.host import LabHost
from tests.lab.namespaces import find_program

INNER, OUTER = "10.0.0.1/24", "198.51.100.2/24"
NEXT_HOP, FAR = "198.51.100.1", "203.0.113.9"

_LINKS = """\
link add br-in type bridge
link add br-ex type bridge
netns add r1
netns add outside
link add p-in type veth peer name r1-in netns r1
link add p-ex type veth peer name r1-ex netns r1
link add up0 type veth peer name wan0 netns outside
"""
_HEALTHY = f"""\
link set br-in up type bridge stp_state 0
link set br-ex up type bridge stp_state 0
link set p-in up master br-in mtu 1500
link set p-ex up master br-ex mtu 1500
link set up0 up master br-ex mtu 1500
-n r1 link set lo up
-n r1 link set r1-in up mtu 1500
-n r1 link set r1-ex up mtu 1500
-n outside link set lo up
-n outside link set wan0 up mtu 1500
-n r1 address replace {INNER} dev r1-in
-n r1 address replace {OUTER} dev r1-ex
-n r1 route replace default via {NEXT_HOP}
-n outside address replace {NEXT_HOP}/24 dev wan0
-n outside route replace local default dev lo
"""
_NAT = """\
flush ruleset
table ip nat {
    chain postrouting {
        type nat hook postrouting priority 100
        oifname "r1-ex" masquerade
    }
}
"""


def nic_on(bridge: str, mac: str | None = None) -> ET.Element:
    """A virtio NIC whose tap libvirt plugs into a bridge."""
    address = [element("mac", address=mac)] if mac else []
    return element(
        "interface", *address, element("source", bridge=bridge), element("model", type="virtio"), type="bridge"
    )


class RoutedNetwork:
    """Built once; heal() brings all that a test broke back to what it was."""

    def __init__(self, lab: LabHost) -> None:
        self._lab = lab
        self.taps: dict[str, str] = {}
        """The tap of each guest."""

    def build(self) -> None:
        """Make it and start its DHCP server."""
        self.ip(_LINKS)
        self.heal()
        dnsmasq = ["--interface=r1-in", "--bind-interfaces", "--dhcp-range=10.0.0.50,10.0.0.99,1h", "--no-ping"]
        files = [f"--dhcp-leasefile={self._lab.root}/r1.leases", "--conf-file=/dev/null", "--pid-file="]
        program = [find_program("dnsmasq") or "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts"]
        self._lab.spawn([find_program("ip") or "ip", "netns", "exec", "r1", *program, *dnsmasq, *files])

    def add_guest(self, name: str, mac: str | None = None) -> None:
        """Boot a guest on br-in and wait for its lease."""
        self._lab.define_guest(name, memory_mib=96, devices=[nic_on("br-in", mac)])
        self._lab.wait_console(name, "LEASE eth0")
        with self._lab.connect() as connection:
            xml = ET.fromstring(connection.lookupByName(name).XMLDesc(0))
        target = xml.find("devices/interface/target")
        assert target is not None
        self.taps[name] = target.attrib["dev"]

    def ip(self, lines: str) -> None:
        """Run ip(8) with each line's words; RuntimeError when one fails."""
        for line in lines.splitlines():
            self._lab.run(["ip", *line.split()])

    def inside(self, netns: str, *words: str) -> None:
        """Run a program in one of the namespaces."""
        self._lab.run(["ip", "netns", "exec", netns, *words] if netns else list(words))

    def nft(self, netns: str, rules: str) -> None:
        """Load rules into a namespace, "" for the lab's own."""
        path = self._lab.root / "rules.nft"
        path.write_text(rules)
        self.inside(netns, "nft", "-f", str(path))

    def heal(self) -> None:
        """Everything as it should be."""
        self.ip(_HEALTHY)
        for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.r1-in.rp_filter=0", "conf.r1-ex.rp_filter=0"):
            self.inside("r1", "sysctl", "-qw", f"net.ipv4.{setting}")
        self.inside("", "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
        self.nft("r1", _NAT)
        self.nft("", "flush ruleset\n")
        for tap in self.taps.values():
            self.ip(f"link set {tap} up master br-in mtu 1500")
        for port in ("p-in", "p-ex", "up0", *self.taps.values()):
            self.inside("", "bridge", "link", "set", "dev", port, "state", "3", "isolated", "off")

    def virtdeck(self, program: Sequence[str], *words: str) -> tuple[int, str, str]:
        """Run the program inside; its exit code, output and errors."""
        done = self._lab.run([*program, "-c", self._lab.uri, *words], check=False)
        return done.returncode, done.stdout, done.stderr
