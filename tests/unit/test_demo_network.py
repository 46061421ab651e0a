"""The demo host's made-up network agrees with itself, with the guests, and with what a kernel can be like."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import wait, watched
from tui.demo import prepare
from tui.demo.links import DemoNetwork
from tui.demo.wiring import EDGE, HOME, HOSTILE_LINK, HOSTILE_NETNS
from tui.model.domain import Domain, DomainState
from tui.model.firewall import Firewall
from tui.model.firewall_facts import forward_drops, nat_of, port_forwards
from tui.model.link import Links, LinkUsage
from tui.model.ovs import Ovs
from tui.model.snapshot import as_json
from tui.model.text import clean
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus

S = 1_000_000_000
NOW = 1_764_000_000 * S


@pytest.fixture
def domains(demo: Collector) -> dict[str, Domain]:
    return dict(demo.board.snapshot.domains)


@pytest.fixture
def parts(domains: dict[str, Domain]) -> dict[str, Any]:
    return DemoNetwork().read(domains, NOW)


@pytest.fixture
def links(parts: dict[str, Any]) -> Links:
    found = parts["links"]
    assert isinstance(found, Links)
    return found


def taps(links: Links) -> set[str]:
    return {link.raw_name for link in links.links.values() if link.kind in ("tun", "macvtap")}


def test_every_nic_of_a_running_guest_has_its_link(links: Links, domains: dict[str, Domain]) -> None:
    running = [domain for domain in domains.values() if domain.active and domain.config]
    wanted = [nic.target for domain in running if domain.config for nic in domain.config.nics]
    assert len(wanted) == len(set(wanted)) > 30
    assert taps(links) == set(wanted)


def test_a_guest_that_ends_takes_its_links_along(domains: dict[str, Domain]) -> None:
    network = DemoNetwork()
    before = network.read(domains, NOW)["links"]
    (web,) = [domain for domain in domains.values() if domain.name == "web-01"]
    assert web.config is not None
    assert {nic.target for nic in web.config.nics} <= taps(before)
    off = {**domains, web.key: replace(web, id=None, state=DomainState.SHUTOFF)}
    after = network.read(off, NOW + S)["links"]
    assert taps(before) - taps(after) == {nic.target for nic in web.config.nics}
    assert after.links.keys() < before.links.keys(), "the others keep their keys"


def test_links_lead_to_links_that_exist(links: Links) -> None:
    for link in links.links.values():
        for other in (link.master, link.peer, link.parent):
            assert other is None or other in links.links, link
        if link.peer is not None:
            assert links.links[link.peer].peer == link.key
        assert link.master is None or link.master_kind == links.links[link.master].kind
        assert link.netns in links.namespaces
        assert len(link.raw_name.encode()) <= 15, "IFNAMSIZ"
        assert link.name == clean(link.raw_name)
    names = [(link.netns, link.raw_name) for link in links.links.values()]
    assert len(names) == len(set(names))
    for table in (links.addresses, links.neighbours, links.fdb, links.owners):
        assert table.keys() <= links.links.keys()
    hops = [hop.link for routes in links.routes.values() for route in routes for hop in route.hops]
    assert set(hops) <= links.links.keys()


def test_what_the_new_panes_have_to_show_is_there(links: Links, parts: dict[str, Any]) -> None:
    kinds = {link.kind for link in links.links.values()}
    assert kinds >= {
        "bridge", "veth", "tun", "vlan", "bond", "vxlan", "gre", "openvswitch", "macvtap", "ethernet", "loopback",
    }  # fmt: skip
    assert {space.kind.value for space in links.namespaces.values()} == {"home", "named", "container"}
    assert links.home is not None
    ovs = parts["ovs"]
    assert isinstance(ovs, Ovs)
    ports = {port.name: port for bridge in ovs.bridges for port in bridge.ports}
    assert {interface.kind for port in ports.values() for interface in port.interfaces} == {
        "", "internal", "patch", "vxlan", "gre",
    }  # fmt: skip
    assert sum(port.tag == 110 for port in ports.values()) >= 5
    system = {port.raw_name for port in ports.values() if port.interfaces[0].kind in ("", "internal")}
    assert system <= {link.raw_name for link in links.links.values() if link.netns == HOME}


def test_the_firewalls_mean_something(parts: dict[str, Any], links: Links) -> None:
    firewalls: dict[str, Firewall] = parts["firewalls"]
    assert firewalls.keys() == links.namespaces.keys()
    assert {nat.source for nat in nat_of(firewalls[HOME])} == {"192.168.122.0/24", "172.17.0.0/16"}
    assert [(nat.oif, nat.exact) for nat in nat_of(firewalls[EDGE])] == [("dmz0", True)]
    assert len(port_forwards(firewalls[EDGE])) == 1
    assert (forward_drops(firewalls[EDGE]), forward_drops(firewalls[HOME])) == (True, False)


def test_leases_are_of_guests_and_unique(parts: dict[str, Any], domains: dict[str, Domain]) -> None:
    macs = {nic.mac for domain in domains.values() if domain.config for nic in domain.config.nics}
    for dnsmasq in parts["dnsmasqs"]:
        addresses = [lease.address for lease in dnsmasq.leases]
        assert len(addresses) == len(set(addresses))
        assert {lease.mac for lease in dnsmasq.leases} <= macs
    networks = {dnsmasq.network for dnsmasq in parts["dnsmasqs"]}
    assert networks == {"", "default", "lab", "guests"}


def test_hostile_names_are_shown_cleaned(links: Links, parts: dict[str, Any]) -> None:
    raw = {link.raw_name for link in links.links.values()} | {space.raw_name for space in links.namespaces.values()}
    assert {HOSTILE_LINK, HOSTILE_NETNS} <= raw
    seen: list[str] = []
    gather(as_json({name: part for name, part in parts.items() if name != "link_usage"}), seen.append)
    assert all(text.isprintable() for text in seen)


def test_the_screen_s_collector_publishes_it(demo_uri: str) -> None:
    with watched(demo_uri, prepare=prepare, network=DemoNetwork().read) as collector:
        seen = wait(collector, lambda seen: seen.links is not None and len(taps(seen.links)) > 30, "plugged in")
        assert seen.links is not None
        assert seen.firewalls.keys() == seen.links.namespaces.keys()
        assert seen.ovs is not None
        assert seen.dnsmasqs
        assert not seen.link_usage, "nobody looks"
        collector.focus(Focus(links=True))
        wait(collector, lambda seen: any(usage.rx_bytes_per_s for usage in seen.link_usage.values()), "rates")
        (web,) = [domain for domain in seen.domains.values() if domain.name == "web-01"]
        collector.control().lookupByUUIDString(web.key).destroy()
        collector.nudge({web.key})
        before = len(seen.links.links)
        wait(collector, lambda now: now.links is not None and len(now.links.links) < before, "unplugged")


def gather(value: Any, tell: Callable[[str], None], name: str = "") -> None:
    """Tell every text that is not raw by its name."""
    if isinstance(value, dict):
        for key, item in value.items():
            gather(item, tell, key)
    elif isinstance(value, list):
        for item in value:
            gather(item, tell, name)
    elif isinstance(value, str) and not re.match(r"raw_|paths", name):
        tell(value)


def test_traffic_flows_and_nothing_else_changes(domains: dict[str, Domain]) -> None:
    network = DemoNetwork()
    first = network.read(domains, NOW)
    second = network.read(dict(domains), NOW + 2 * S)
    for name in ("links", "firewalls", "ovs", "dnsmasqs"):
        assert second[name] is first[name]
    before: dict[str, LinkUsage] = first["link_usage"]
    after: dict[str, LinkUsage] = second["link_usage"]
    assert before.keys() == after.keys() == first["links"].links.keys()
    busy = [key for key, usage in after.items() if usage.rx_bytes_per_s]
    assert 0 < len(busy) < len(after)
    for key in busy:
        rate = after[key].rx_bytes_per_s
        assert rate is not None
        assert after[key].rx_bytes - before[key].rx_bytes == int(rate * 2)
    assert all(usage.rx_bytes_per_s is None for usage in before.values())
