"""The demo host's firewalls: libvirt's rules, Docker's, and those of the router."""

from __future__ import annotations

from typing import Any

from tui.demo.wiring import CONTAINERS, EDGE, HOME, HOSTILE, LAN_SUBNET
from tui.model.firewall import Firewall, FirewallChain, FirewallRule

_MEAN_BYTES = 700
_LIBVIRT, _DOCKER, _LAN = "192.168.122.0/24", "172.17.0.0/16", f"{LAN_SUBNET}.0/16"
_HOOKS = {
    "prerouting": ("nat", "prerouting", -100),
    "forward": ("filter", "forward", 0),
    "postrouting": ("nat", "postrouting", 100),
}


def firewalls(now_ns: int) -> dict[str, Firewall]:
    """Return the firewall of each namespace by its key."""
    empty = {key: Firewall(key, (), now_ns) for key in (HOSTILE, *(key for key, _, _ in CONTAINERS))}
    made = {HOME: (*_docker(), *_libvirt()), EDGE: _edge()}
    return {**{key: Firewall(key, chains, now_ns) for key, chains in made.items()}, **empty}


def _rule(text: str, verdict: str, packets: int = 0, *, vague: bool = False, **asked: Any) -> FirewallRule:
    return FirewallRule(text, verdict, understood=not vague, packets=packets, bytes=packets * _MEAN_BYTES, **asked)


def _chain(place: str, hook: str, *rules: FirewallRule, policy: str = "accept", origin: str = "nft") -> FirewallChain:
    """Return a chain; `place` is family, table and name, `hook` "" for one that is no base chain."""
    family, table, name = place.split(" ")
    if not hook:
        return FirewallChain(family, table, name, rules, origin=origin)
    return FirewallChain(family, table, name, rules, *_HOOKS[hook], policy, origin=origin)


def _docker() -> tuple[FirewallChain, ...]:
    origin = "iptables-nft"
    forward = (
        _rule("-j DOCKER-USER", "jump DOCKER-USER", 918_120),
        _rule("-i docker0 -j ACCEPT", "accept", 40_211, iif="docker0"),
    )
    published = _rule(
        "-i eno1 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.17.0.2:5000",
        "dnat", 312, vague=True, iif="eno1", to="172.17.0.2:5000", protocol="tcp", ports="5000",
    )  # fmt: skip
    hidden = _rule(
        f"-s {_DOCKER} ! -o docker0 -j MASQUERADE",
        "masquerade", 2_411, oif="docker0", source=_DOCKER, negated=frozenset({"oif"}),
    )  # fmt: skip
    return (
        _chain("ip filter FORWARD", "forward", *forward, origin=origin),
        _chain("ip filter DOCKER-USER", "", _rule("-j RETURN", "return", 918_120), origin=origin),
        _chain("ip nat PREROUTING", "prerouting", published, origin=origin),
        _chain("ip nat POSTROUTING", "postrouting", hidden, origin=origin),
    )


def _libvirt() -> tuple[FirewallChain, ...]:
    """As libvirt 10 makes them for "default" and "storage"."""
    forward = (
        _rule(f'ip saddr {_LIBVIRT} iifname "virbr0" counter accept', "accept", 80_455, iif="virbr0", source=_LIBVIRT),
        _rule('iifname "virbr20" counter reject', "reject", 4, iif="virbr20"),
    )
    hidden = _rule(
        f"ip saddr {_LIBVIRT} ip daddr != {_LIBVIRT} counter masquerade",
        "masquerade", 1_804, source=_LIBVIRT, destination=_LIBVIRT, negated=frozenset({"destination"}),
    )  # fmt: skip
    return (
        _chain("ip libvirt_network forward", "forward", *forward),
        _chain("ip libvirt_network guest_nat", "postrouting", hidden),
    )


def _edge() -> tuple[FirewallChain, ...]:
    """A router that lets out what is in the LAN, and in what belongs to it or wants the shop."""
    let_out = f'iifname "lan0" oifname "dmz0" ip saddr {_LAN}'
    forward = (
        _rule("ct state established,related counter accept", "accept", 7_220_118, vague=True),
        _rule(f"{let_out} counter accept", "accept", 61_003, iif="lan0", oif="dmz0", source=_LAN),
        _rule(
            'tcp dport 443 counter accept comment "[red]shop[/red]"',
            "accept", 12_030, vague=True, protocol="tcp", ports="443",
        ),
    )  # fmt: skip
    shop = _rule(
        'iifname "dmz0" tcp dport 443 counter dnat to 10.1.0.111:443',
        "dnat", 12_030, vague=True, iif="dmz0", to="10.1.0.111:443", protocol="tcp", ports="443",
    )  # fmt: skip
    hidden = _rule(f'oifname "dmz0" ip saddr {_LAN} counter masquerade', "masquerade", 59_871, oif="dmz0", source=_LAN)
    return (
        _chain("inet edge forward", "forward", *forward, policy="drop"),
        _chain("ip edge-nat pre", "prerouting", shop),
        _chain("ip edge-nat post", "postrouting", hidden),
    )
