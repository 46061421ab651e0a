"""Checks of the network on scripted snapshots: the fault, and what looks like it and is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.network_scene import HOME, Net
from tests.unit.test_filtering import chain, rule
from tests.unit.triage_scene import NOW, SECOND, checks, findings
from tui.model.dnsmasq import DhcpRange, Dnsmasq, Lease
from tui.model.domain import DomainState
from tui.model.firewall import Firewall
from tui.model.link import BondFacts, BondSlaveFacts, BridgeFacts, LinkUsage, PortState, Rule, TapFacts, TunnelFacts
from tui.model.network import Network, NetworkAddress, NetworkConfig, Networks
from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
from tui.model.process import QemuNic
from tui.model.snapshot import HostSnapshot

_MASQUERADE = rule("masquerade", source="192.168.122.0/24")
_RANGE = DhcpRange("192.168.122.2", "192.168.122.5")


class Place(Net):
    """A host with a NAT network of libvirt (virbr0, vm1) and a bridge with an uplink (br0, vm2)."""

    def __init__(self) -> None:
        super().__init__()
        self.link("eth0", "ethernet", physical=True)
        self.link("br0", "bridge")
        self.plug("eth0", "br0")
        self.address("br0", "198.51.100.5/24")
        self.route(HOME, "default", "198.51.100.1", "br0")
        self.link("virbr0", "bridge", mac="52:54:00:aa:00:01")
        self.address("virbr0", "192.168.122.1/24")
        self.guest("vm1", "vnet1", "virbr0", "52:54:00:00:00:01", "192.168.122.3", kind="network", source="default",
                   raw_source="default")  # fmt: skip
        self.guest("vm2", "vnet2", "br0", "52:54:00:00:00:02", "198.51.100.20", source="br0")
        self.filter(HOME, chain("postrouting", _MASQUERADE, kind="nat"))
        self.dnsmasqs.append(Dnsmasq("9:1", 9, HOME, ("virbr0",), (_RANGE,), self.leases_of(1), network="default"))
        self.network = Network(
            "default", "default", "default", active=True, autostart=True, persistent=True,
            config=NetworkConfig("virbr0", "virbr0", "nat", "", mac="52:54:00:aa:00:01",
                                 addresses=(NetworkAddress("192.168.122.1", 24, (_RANGE,)),)),
        )  # fmt: skip
        self.more: dict[str, Any] = {}
        self.limits: tuple[str, ...] = ()
        self.rules: dict[str, tuple[Rule, ...]] = {}

    def guest(self, name: str, tap: str, bridge: str, mac: str, address: str, **nic: Any) -> None:
        self.link(tap, "tun", tap=TapFacts("tap", persistent=False), mac="fe" + mac[2:])
        self.plug(tap, bridge)
        self.domain(name, tap, mac, address, **{"raw_target": tap, **nic})
        self.domains[name] = replace(self.domains[name], persistent=True)

    @staticmethod
    def leases_of(count: int) -> tuple[Lease, ...]:
        return tuple(Lease(f"192.168.122.{n + 2}", f"52:54:00:00:01:{n:02x}", "", NOW) for n in range(count))

    def limited(self) -> Place:
        """Not root sees no other namespaces."""
        self.limits = ("other namespaces: not root",)
        return self

    def setting(self, **changes: Any) -> None:
        netns = self.namespaces[HOME]
        self.namespaces[HOME] = replace(netns, settings=replace(netns.settings, **changes))

    def config(self, **changes: Any) -> None:
        self.network = replace(self.network, config=replace(self.network.config, **changes))

    def snapshot(self) -> HostSnapshot:
        seen = super().snapshot()
        assert seen.links is not None
        links = replace(seen.links, limits=self.limits, rules=self.rules)
        networks = Networks({"default": self.network})
        return replace(seen, taken_ns=NOW, links=links, networks=networks, **self.more)


def has(net: Net, **facts: Any) -> Net:
    """Changes of the network's own record."""
    assert isinstance(net, Place)
    net.network = replace(net.network, **facts)
    return net


def nic_of(net: Place, name: str, **facts: Any) -> Place:
    one = net.domains[name]
    assert one.config is not None
    nics = tuple(replace(nic, **facts) for nic in one.config.nics)
    net.domains[name] = replace(one, config=replace(one.config, nics=nics))
    return net


def state(net: Place, name: str, now: DomainState) -> Place:
    net.domains[name] = replace(net.domains[name], state=now, reason="user")
    return net


def byhand(net: Place) -> Place:
    """A QEMU that is nobody's domain."""
    net.process(77, "qemu", QemuNic("n0", "tap", "tap0", None, "52:54:00:00:00:77", "virtio-net-pci"))
    return net


def unreadable(net: Place) -> Place:
    net.namespaces[HOME] = replace(net.namespaces[HOME], problem="cannot be read")
    return net


def bonded(net: Place, *, up: bool = True, carrier: bool = True, other: bool = True) -> None:
    net.link("bond0", "bond", bond=BondFacts("802.3ad"))
    for name, works in (("eth1", carrier), ("eth2", other)):
        key = net.key("bond0")
        net.link(name, "ethernet", physical=True, master=key, master_kind="bond", carrier=works,
                 up=up or name == "eth2", slave=BondSlaveFacts(works, works))  # fmt: skip


def tunnel(net: Place, remote: str = "203.0.113.9", mtu: int = 1450, **facts: Any) -> str:
    facts_ = TunnelFacts(5, "198.51.100.5", remote, **facts)
    return net.link("vx1", "vxlan", mtu=mtu, parent=net.key("br0"), tunnel=facts_)


def ovs(net: Place, tag: int | None, vlan: str = "7", error: str = "") -> None:
    """vm3 is plugged into Open vSwitch."""
    net.link("vnet3", "tun", tap=TapFacts("tap", persistent=False))
    net.domain("vm3", "vnet3", "52:54:00:00:00:03", source="ovsbr")
    net.domains["vm3"] = replace(net.domains["vm3"], persistent=True)
    nic_of(net, "vm3", vlan=vlan, virtualport="openvswitch")
    port = OvsPort("p", "vnet3", "vnet3", (OvsInterface("vnet3", "vnet3", "", error=error),), tag=tag)
    net.ovs = Ovs((OvsBridge("b", "ovsbr", "ovsbr", (port,)),), 1, netns=HOME)


def twin(net: Place, mac: str, bridge: str, address: str = "198.51.100.21") -> None:
    net.guest("twin", "vnet9", bridge, mac, address, source=bridge)


NAT = chain("postrouting", _MASQUERADE, kind="nat")
PASSED = chain("forward", rule("accept", iif="virbr0"), rule("accept", oif="virbr0"), policy="drop")
GONE = "could not open network device vnet3 (No such device)"
Fault = Callable[[Place], object]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lambda net: None, {}),
        # libvirt's networks.
        (lambda net: has(net, active=False), {"network.inactive": "warning"}),
        (lambda net: has(net, active=False, autostart=False), {}),
        (lambda net: net.change("virbr0", up=False, carrier=False), {"network.bridge-down": "error"}),
        (lambda net: net.address("virbr0"), {"network.address-missing": "error"}),
        (lambda net: net.address("virbr0", "192.168.122.9/24"), {"network.address-missing": "error"}),
        (lambda net: net.address("virbr0", "192.168.122.1/24", "10.9.9.9/24"), {}),
        (lambda net: (net.address("virbr0"), has(net, active=False, autostart=False)),
         {"bridge.no-uplink": "info"}),
        (lambda net: (net.address("virbr0"), net.config(addresses=())), {}),
        (lambda net: (net.address("virbr0"), unreadable(net)), {}),
        # Without a guest a bridge has no carrier.
        (lambda net: net.change("virbr0", carrier=False), {}),
        (lambda net: net.config(raw_bridge="virbr7", bridge="virbr7", mac=""), {"network.bridge-missing": "error"}),
        (lambda net: (net.config(raw_bridge="virbr7", mac=""), net.limited()), {}),
        (lambda net: net.plug("vnet1", None), {"network.orphans": "error"}),
        (lambda net: net.dnsmasqs.clear(), {"network.dnsmasq-dead": "error"}),
        (lambda net: (net.dnsmasqs.clear(), net.limited()), {}),
        (lambda net: (net.dnsmasqs.clear(), net.config(addresses=(NetworkAddress("192.168.122.1", 24),))), {}),
        (lambda net: net.dnsmasqs.__setitem__(0, replace(net.dnsmasqs[0], leases=net.leases_of(4))),
         {"network.leases-out": "error"}),
        (lambda net: net.dnsmasqs.__setitem__(0, replace(net.dnsmasqs[0], leases=net.leases_of(3))), {}),
        (lambda net: net.dnsmasqs.__setitem__(0, replace(net.dnsmasqs[0], leases=None)), {}),
        (lambda net: net.setting(ipv4_forwarding=False), {"network.forwarding-off": "error"}),
        (lambda net: (net.setting(ipv4_forwarding=False), net.config(mode="")), {}),
        (lambda net: net.setting(ipv4_forwarding=None), {}),
        (lambda net: net.filter(HOME), {"network.nat-missing": "error"}),
        (lambda net: (net.filter(HOME), net.config(mode="route")), {}),
        (lambda net: net.filter(HOME, chain("postrouting", rule("masquerade", oif="br0"), kind="nat")), {}),
        (lambda net: net.firewalls.__setitem__(HOME, Firewall(HOME, (), 1, problem="not root")), {}),
        (lambda net: net.firewalls.__setitem__(HOME, Firewall(HOME, (), 1, legacy=("ip nat",))), {}),
        # A VPN that routes half of 192.168.122.0/24, as the usual split of 192.168.0.0/16 does not.
        (lambda net: net.routes[HOME].append(("192.168.122.0/25", "", net.key("eth0"))),
         {"network.route-stolen": "error"}),
        (lambda net: net.routes[HOME].append(("192.168.0.0/16", "", net.key("eth0"))), {}),
        (lambda net: net.routes[HOME].append(("192.168.122.9/32", "", net.key("eth0"))), {}),
        (lambda net: net.filter(HOME, chain("postrouting", _MASQUERADE, kind="nat"), chain("forward", policy="drop")),
         {"network.filtered": "error"}),
        (lambda net: net.filter(HOME, NAT, PASSED),
         {}),
        # One guest's address: the way back to it, and rules against it.
        (lambda net: (net.setting(rp_filter=1), net.routes[HOME].append(("192.168.122.3/32", "", net.key("br0")))),
         {"nic.rp-filter": "error"}),
        (lambda net: (net.setting(rp_filter=2), net.routes[HOME].append(("192.168.122.3/32", "", net.key("br0")))), {}),
        (lambda net: (net.change("virbr0", rp_filter=1),
                      net.routes[HOME].append(("192.168.122.3/32", "", net.key("br0")))),
         {"nic.rp-filter": "error"}),
        (lambda net: (net.setting(rp_filter=1), net.routes[HOME].append(("192.168.0.0/16", "", net.key("br0")))), {}),
        (lambda net: (net.setting(rp_filter=1), net.routes[HOME].append(("192.168.122.3/32", "", net.key("br0"))),
                      net.rules.update({HOME: (Rule(HOME, 100, 7, "from 192.168.122.0/24 lookup 7"),)})), {}),
        (lambda net: net.filter(HOME, NAT, chain("forward", rule("drop", source="192.168.122.3"))),
         {"nic.filtered": "info"}),
        (lambda net: net.filter(HOME, NAT, chain("forward", rule("drop", source="192.168.122.7"))), {}),
        (lambda net: net.filter(HOME, NAT, chain("forward", rule("accept", source="192.168.122.3/32"))), {}),
        # Another NIC in the LAN of a bridge: the guests' gateway is out there, not this host.
        (lambda net: (net.setting(rp_filter=1), net.link("eth9", "ethernet", physical=True),
                      net.address("eth9", "198.51.100.6/24"), net.routes[HOME].reverse()), {}),
        (lambda net: net.filter(HOME, NAT, chain("forward", rule("accept", source="192.168.122.3"),
                                                 rule("drop", source="192.168.122.0/24"))),
         {"network.filtered": "error"}),
        # Bridges and ports.
        (lambda net: net.change("br0", up=False, carrier=False), {"bridge.down": "error"}),
        (lambda net: net.change("eth0", carrier=False), {"bridge.uplink-dead": "error"}),
        (lambda net: (net.plug("eth0", None), net.address("br0")), {"bridge.no-uplink": "info"}),
        # A container that is off beside the guests of a bridge that the host routes for.
        (lambda net: (net.plug("eth0", None), net.veth("c0", "c1"), net.plug("c0", "br0"),
                      net.change("c1", up=False), net.change("c0", carrier=False)), {}),
        (lambda net: (net.plug("eth0", None), net.address("br0"), net.veth("c0", "c1"), net.plug("c0", "br0"),
                      net.change("c1", up=False), net.change("c0", carrier=False)), {"bridge.uplink-dead": "error"}),
        # A bridge that the host itself routes for needs none.
        (lambda net: net.plug("eth0", None), {}),
        (lambda net: net.plug("vnet2", "br0", PortState.BLOCKING), {"port.not-forwarding": "error"}),
        (lambda net: net.plug("vnet2", "br0", PortState.DISABLED), {"port.not-forwarding": "error"}),
        # Just plugged in.
        (lambda net: net.plug("vnet2", "br0", PortState.LISTENING), {}),
        # Spanning tree closes one of two ways.
        (lambda net: (net.link("eth1", "ethernet", physical=True), net.plug("eth1", "br0", PortState.BLOCKING)), {}),
        (lambda net: net.change("vnet2", mtu=9000), {"link.mtu": "warning"}),
        # The host may want jumbo frames for itself.
        (lambda net: net.change("eth0", mtu=9000), {}),
        (lambda net: (net.veth("a", "b"), net.change("a", mtu=1400)), {"link.mtu": "warning"}),
        (lambda net: bonded(net), {}),
        (lambda net: bonded(net, carrier=False), {"bond.slave-dead": "warning"}),
        (lambda net: bonded(net, carrier=False, up=False), {"bond.slave-dead": "info"}),
        (lambda net: bonded(net, carrier=False, other=False), {"bond.dead": "error"}),
        (lambda net: tunnel(net), {}),
        (lambda net: tunnel(net, mtu=1500), {"tunnel.mtu": "info"}),
        (lambda net: tunnel(net, mtu=65000, collect_metadata=True), {}),
        (lambda net: (tunnel(net), net.routes[HOME].__delitem__(slice(1, 2))), {"tunnel.unreachable": "error"}),
        (lambda net: (tunnel(net), net.resolved("br0", "198.51.100.1", "", "failed")), {"tunnel.unreachable": "error"}),
        (lambda net: (tunnel(net, "239.1.1.1"), net.routes[HOME].clear()), {}),
        (lambda net: (tunnel(net), net.routes[HOME].clear(), net.rules.update({HOME: (Rule(HOME, 99, 100, "all"),)})),
         {}),
        (lambda net: net.link("vnet77", "tun", tap=TapFacts("tap", persistent=True), carrier=False),
         {"tap.left-over": "info"}),
        # OpenVPN's own.
        (lambda net: net.link("tap0", "tun", tap=TapFacts("tap", persistent=True), carrier=False), {}),
        # The host's end of a guest, and the guest's own.
        (lambda net: net.change("vnet1", up=False, carrier=False), {"nic.tap-down": "error"}),
        (lambda net: net.change("vnet2", up=False, carrier=False), {"nic.tap-down": "error"}),
        (lambda net: (net.change("vnet2", up=False, carrier=False), state(net, "vm2", DomainState.PAUSED)), {}),
        (lambda net: (net.link("tap0", "tun", tap=TapFacts("tap", persistent=True), up=False), byhand(net)),
         {"nic.tap-down": "warning"}),
        (lambda net: (net.link("tap0", "tun", tap=TapFacts("tap", persistent=True)), byhand(net)), {}),
        (lambda net: nic_of(net, "vm2", link_up=False), {"nic.link-down": "info"}),
        (lambda net: (nic_of(net, "vm2", link_up=False), net.change("vnet2", up=False)), {"nic.link-down": "info"}),
        (lambda net: (nic_of(net, "vm2", link_up=False), state(net, "vm2", DomainState.PAUSED)), {}),
        # Plugs of guests.
        (lambda net: net.plug("vnet2", None), {"nic.loose": "error"}),
        # Its bridge is none of the kernel's: Open vSwitch's, which cannot be read.
        (lambda net: (net.plug("vnet2", None), nic_of(net, "vm2", source="ovsbr0")), {}),
        (lambda net: twin(net, "52:54:00:00:00:02", "br0"), {"nic.duplicate-mac": "error"}),
        (lambda net: twin(net, "52:54:00:00:00:02", "virbr0"), {}),
        (lambda net: twin(net, "52:54:00:00:00:07", "br0", "198.51.100.20"), {"nic.duplicate-ip": "error"}),
        (lambda net: twin(net, "52:54:00:00:00:07", "virbr0", "198.51.100.20"), {}),
        (lambda net: ovs(net, 7), {}),
        (lambda net: ovs(net, None), {"ovs.tag-mismatch": "error"}),
        (lambda net: ovs(net, 9), {"ovs.tag-mismatch": "error"}),
        (lambda net: ovs(net, 9, vlan=""), {}),
        # "could not open network device vnet3 (No such device)"
        (lambda net: ovs(net, 7, error=GONE), {"ovs.port-error": "error"}),
        # Docker: bridge-nf-call-iptables and a policy of drop.
        (lambda net: (net.setting(bridge_nf_iptables=True),
                      net.filter(HOME, NAT, PASSED)),
         {"bridge.filtered": "error"}),
        (lambda net: net.setting(bridge_nf_iptables=True), {}),
    ],
)  # fmt: skip
def test_the_network(fault: Fault, found: dict[str, str]) -> None:
    net = Place()
    fault(net)
    assert checks(net.snapshot()) == found


# What only several snapshots tell


def dropping(drops: int, packets: float, paused: bool = False) -> list[HostSnapshot]:
    net = Place()
    if paused:
        net.domains["vm2"] = replace(net.domains["vm2"], state=DomainState.PAUSED, reason="user")
    seen = net.snapshot()
    first = LinkUsage(0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, packets, packets, new_drops=drops)
    return [replace(seen, link_usage={net.key("vnet2"): replace(first, tx_dropped=n * drops)}) for n in range(6)]


def test_drops_that_rise() -> None:
    assert checks(*dropping(300, 1000)) == {"link.drops": "warning"}
    assert checks(*dropping(300, 1000, paused=True)) == {}
    # A few unknown protocols among many packets are counted as drops on every wire.
    assert checks(*dropping(3, 0.5)) == {}
    assert checks(*dropping(50, 100_000)) == {}


def test_ports_that_never_get_to_forward() -> None:
    net = Place()
    net.change("br0", bridge=BridgeFacts(stp=True, vlan_filtering=False))
    net.plug("vnet2", "br0", PortState.LISTENING)
    seen = net.snapshot()
    assert seen.links is not None
    later = replace(seen, taken_ns=NOW + 60 * SECOND, links=replace(seen.links))
    assert checks(seen) == {}
    assert checks(seen, later) == {"port.not-forwarding": "error"}


def flapping(times: int, apart_s: float = 1.0) -> list[HostSnapshot]:
    seen = []
    for n in range(times):
        net = Place()
        net.learned(("vnet2", "eth0")[n % 2], "02:00:00:00:ff:01")
        net.learned("eth0", "02:00:00:00:ff:02")
        seen.append(replace(net.snapshot(), taken_ns=NOW + int(n * apart_s * SECOND)))
    return seen


def test_a_mac_that_goes_to_and_fro() -> None:
    assert checks(*flapping(6)) == {"bridge.mac-flaps": "warning"}
    # A guest that was migrated here, and back.
    assert checks(*flapping(3)) == {}
    assert checks(*flapping(6, apart_s=50)) == {}


def test_the_words_name_what_and_where() -> None:
    net = Place()
    net.filter(HOME)
    (found,) = findings(net.snapshot())
    assert (found.kind, found.key, found.message) == (
        "network", "default", "no rule hides 192.168.122.0/24: its NAT is gone",
    )  # fmt: skip
    net = Place()
    net.plug("vnet2", None)
    (found,) = findings(net.snapshot())
    assert found.message == "net0 (vnet2) is plugged into nothing; br0 is meant"
    assert found.remedies[0].command == ("ip", "link", "set", "vnet2", "master", "br0")
    net = Place()
    net.dnsmasqs.clear()
    (found,) = findings(net.snapshot())
    assert not any(remedy.action for remedy in found.remedies), "DNS is not mended by taking guests offline"
    assert found.remedies[0].command == ("systemctl", "reload", "libvirtd")
    net = Place()
    net.plug("vnet1", None)
    (found,) = findings(net.snapshot())
    assert (found.message, found.remedies[0].action) == ("running and plugged into nothing: vm1", "network.replug")


def test_a_dot_in_the_name_of_a_link_is_a_slash_to_sysctl() -> None:
    net = Place()
    net.change("virbr0", name="br0.100", raw_name="br0.100", rp_filter=1)
    net.config(bridge="br0.100", raw_bridge="br0.100")
    net.routes[HOME].append(("192.168.122.3/32", "", net.key("br0")))
    found = next(found for found in findings(net.snapshot()) if found.check.startswith("nic.rp-filter"))
    assert "net.ipv4.conf.br0/100.rp_filter=2" in found.remedies[0].command
