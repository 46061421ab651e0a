"""Faults that the routed lab network is given, one at a time, and what a trace has to name."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.host import LabHost
from tests.lab.routed import FAR, NEXT_HOP, RoutedNetwork

GUEST = "g1"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault may use."""

    lab: LabHost
    net: RoutedNetwork
    address: str
    """That of the guest."""

    @property
    def tap(self) -> str:
        """The tap of the guest."""
        return self.net.taps[GUEST]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken."""

    name: str
    inject: Callable[[Stage], None]
    hop: str
    """The name of the hop that is to be named, TAP for the guest's tap."""
    cause: str
    passes: bool = False
    """Whether a small ping passes all the same."""
    guest_lives: bool = True
    """Whether the guest can be asked to ping; else the router pings it."""
    undo: Callable[[Stage], None] = lambda _stage: None
    """What healing the network does not mend."""


TAP = "TAP"


def ip(lines: str) -> Callable[[Stage], None]:
    """A fault of iproute2's words; TAP stands for the guest's tap, ADDRESS for its address."""
    return lambda stage: stage.net.ip(lines.replace(TAP, stage.tap).replace("ADDRESS", stage.address))


def port(name: str, *words: str) -> Callable[[Stage], None]:
    """A setting of a bridge port."""

    def inject(stage: Stage) -> None:
        device = stage.tap if name == TAP else name
        stage.net.inside("", "bridge", "link", "set", "dev", device, *words)

    return inject


def run(netns: str, *words: str) -> Callable[[Stage], None]:
    """A program in a namespace."""
    return lambda stage: stage.net.inside(netns, *words)


def nft(netns: str, rules: str) -> Callable[[Stage], None]:
    """Rules of nft."""
    return lambda stage: stage.net.nft(netns, rules)


def both(*faults: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """Several at once."""

    def inject(stage: Stage) -> None:
        for fault in faults:
            fault(stage)

    return inject


def _signal(number: signal.Signals) -> Callable[[Stage], None]:
    return lambda stage: os.kill(stage.lab.qemu_pid(GUEST), number)


def _virsh(*words: str) -> Callable[[Stage], None]:
    def inject(stage: Stage) -> None:
        stage.lab.virsh(*(word.replace(TAP, stage.tap) for word in words))

    return inject


_THIEF = "02:00:00:00:00:66"
_THIEF_GONE = "link del p-thief\nnetns del thief\n-n r1 neighbour del ADDRESS dev r1-in"


def _duplicate(stage: Stage) -> None:
    """A namespace on the same bridge with the guest's address, which the router takes for the guest. Of itself it would
    change its mind with every packet of either, so it is told."""
    stage.net.ip(
        "netns add thief\nlink add p-thief type veth peer name eth0 netns thief\nlink set p-thief up master br-in\n"
        f"-n thief link set eth0 up address {_THIEF}\n-n thief address add {stage.address}/24 dev eth0\n"
        f"-n r1 neighbour replace {stage.address} lladdr {_THIEF} dev r1-in nud permanent"
    )


FORWARD_DROP = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }\n"
_DROP_RULE = """\
table inet guard {
    chain passing {
        type filter hook forward priority 0; policy accept;
        ip saddr 10.0.0.0/24 oifname "r1-ex" drop
    }
}
"""
_ONE_WAY = """\
table ip filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
        iifname "r1-in" accept
    }
}
"""
_OTHER_WAY = """\
link add p-in2 type veth peer name r1-in2 netns r1
link set p-in2 up master br-in
-n r1 link set r1-in2 up
-n r1 route add ADDRESS dev r1-in2
"""
_IN_AGAIN = "link add p-in type veth peer name r1-in netns r1"
_DEAD = f"""\
-n outside address del {NEXT_HOP}/24 dev wan0
-n outside route del local default dev lo
-n r1 neighbour flush dev r1-ex
"""
_LISTEN = "link set br-in down type bridge forward_delay 3000 stp_state 1\nlink set br-in up"

FAULTS = (
    Fault("QEMU stopped", _signal(signal.SIGSTOP), "g1/net0", "qemu-stopped", guest_lives=False,
          undo=_signal(signal.SIGCONT)),
    Fault("guest paused", _virsh("suspend", GUEST), "g1/net0", "guest-paused", guest_lives=False,
          undo=_virsh("resume", GUEST)),
    Fault("link of the NIC down", _virsh("domif-setlink", GUEST, TAP, "down"), "g1/net0", "guest-link-down",
          undo=_virsh("domif-setlink", GUEST, TAP, "up")),
    Fault("tap down", ip("link set TAP down"), TAP, "link-down"),
    Fault("tap not enslaved", ip("link set TAP nomaster"), TAP, "not-enslaved"),
    Fault("tap in another bridge", ip("link set TAP master br-ex"), TAP, "wrong-bridge"),
    Fault("bridge down", ip("link set br-in down"), "br-in", "bridge-down"),
    Fault("STP listening", ip(_LISTEN), TAP, "stp-listening"),
    Fault("port disabled", port(TAP, "state", "0"), TAP, "port-disabled"),
    Fault("router's port disabled", port("p-in", "state", "0"), "p-in", "port-disabled"),
    Fault("ports isolated", both(port(TAP, "isolated", "on"), port("p-in", "isolated", "on")), "p-in", "port-isolated"),
    Fault("veth end down", ip("link set p-in down"), "p-in", "link-down"),
    Fault("veth end down, in the router", ip("-n r1 link set r1-in down"), "r1-in", "link-down"),
    Fault("gateway address missing", ip("-n r1 address del 10.0.0.1/24 dev r1-in"), "r1", "gateway-address-missing"),
    Fault("forwarding off", run("r1", "sysctl", "-qw", "net.ipv4.ip_forward=0"), "r1", "forwarding-off"),
    Fault("rp_filter", both(ip(_OTHER_WAY), run("r1", "sysctl", "-qw", "net.ipv4.conf.r1-in.rp_filter=1")), "r1",
          "rp-filter", undo=ip("link del p-in2")),
    Fault("no default route", ip("-n r1 route del default"), "r1", "no-route"),
    Fault("route unreachable", ip(f"-n r1 route add unreachable {FAR}"), "r1", "route-unreachable",
          undo=ip(f"-n r1 route del unreachable {FAR}")),
    Fault("route blackhole", ip(f"-n r1 route add blackhole {FAR}"), "r1", "route-blackhole",
          undo=ip(f"-n r1 route del blackhole {FAR}")),
    Fault("way back elsewhere", ip(f"-n r1 route add ADDRESS via {NEXT_HOP}"), "r1", "no-return-route",
          undo=ip("-n r1 route del ADDRESS")),
    Fault("FORWARD policy drop", run("r1", "iptables", "-P", "FORWARD", "DROP"), "forward", "policy-drop"),
    Fault("nft drop rule", nft("r1", _DROP_RULE), "forward", "filter-drop"),
    Fault("answers dropped", nft("r1", _ONE_WAY), "forward", "policy-drop"),
    Fault("bridge-nf with FORWARD drop", both(run("", "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"),
                                              run("", "iptables", "-P", "FORWARD", "DROP")),
          "br-in: bridge-nf-call-iptables", "bridge-nf-drop"),
    Fault("no NAT", nft("r1", "flush ruleset\n"), "NAT", "no-nat"),
    Fault("next hop dead", ip(_DEAD), NEXT_HOP, "next-hop-dead"),
    Fault("next hop silent", ip("-n outside link set wan0 arp off\n-n r1 neighbour flush dev r1-ex"), "wan0",
          "next-hop-dead", undo=ip("-n outside link set wan0 arp on")),
    Fault("router port out of bridge", ip("link set p-in nomaster"), "p-in", "not-enslaved"),
    Fault("router's outer port out of bridge", ip("link set p-ex nomaster"), "p-ex", "not-enslaved"),
    Fault("router's outer link down", ip("-n r1 link set r1-ex down"), "r1-ex", "link-down"),
    Fault("outer bridge down", ip("link set br-ex down"), "br-ex", "bridge-down"),
    Fault("uplink out of bridge", ip("link set up0 nomaster"), "up0", "not-enslaved"),
    Fault("uplink down", ip("link set up0 down"), "up0", "link-down"),
    Fault("uplink without carrier", ip("-n outside link set wan0 down"), "wan0", "link-down"),
    Fault("duplicate IP", _duplicate, "g1/net0", "duplicate-ip", undo=ip(_THIEF_GONE)),
    Fault("router's veth gone", ip("link del p-in"), "br-in", "bridge-no-router", undo=ip(_IN_AGAIN)),
    Fault("MTU mismatch", ip("-n r1 link set r1-in mtu 1400"), "r1-in", "mtu-mismatch", passes=True),
)  # fmt: skip

TWO_AT_ONCE = (
    (Fault("tap down and uplink down", ip("link set TAP down\nlink set up0 down"), TAP, "link-down"),
     ("up0", "link-down")),
    (Fault("drop rule and uplink out of bridge", both(nft("r1", _DROP_RULE), ip("link set up0 nomaster")), "forward",
           "filter-drop"), ("up0", "not-enslaved")),
    (Fault("disabled port and no default route", both(port("p-in", "state", "0"), ip("-n r1 route del default")),
           "p-in", "port-disabled"), ("r1", "no-route")),
)  # fmt: skip
"""Each with the hop and cause of the farther one."""
