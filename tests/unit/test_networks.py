"""Networks as they are read, who is plugged in, and whose tap lost its bridge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import libvirt
import pytest

from tests.unit.conftest import wait
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_xml import parse_domain_xml
from tui.model.link import Link, Links, Netns, NetnsKind
from tui.model.network import Network, Networks
from tui.model.network_guests import orphans, plugged
from tui.model.network_xml import parse_network_xml
from tui.model.snapshot import HostSnapshot
from tui.runtime.board import Board
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.runtime.networks import NetworkWatcher
from tui.sources.network_events import NetworkEvents
from tui.sources.networks import NetworkReader

ISOLATED = "<network><name>{name}</name><bridge name='{name}'/></network>"


def names(networks: Networks | None) -> dict[str, Network]:
    assert networks is not None
    return {network.raw_name: network for network in networks.networks.values()}


# The test driver


def test_the_demo_hosts_networks_are_read_with_the_rest(demo: Collector) -> None:
    found = names(demo.board.snapshot.networks)
    assert "networks" not in demo.board.snapshot.unread
    assert {"default", "dmz", "old-office", "direct-10g"} <= found.keys()
    default, off = found["default"], found["old-office"]
    assert (default.active, default.autostart, default.persistent, default.config.words) == (True, True, True, "nat")
    assert (off.active, off.autostart, off.state) == (False, False, "inactive")
    assert default.leases is None, "this driver does not tell"
    assert (default.ports, default.port_macs) == (None, None)
    assert found["storage"].leases == (), "libvirt serves no DHCP in it"


def test_what_does_not_change_stays_the_same_object() -> None:
    connection = libvirt.open("test:///default")
    reader = NetworkReader(connection)
    first = reader.read()
    assert reader.read() is first
    made = connection.networkDefineXML(ISOLATED.format(name="more"))
    second = reader.read()
    assert second is not first
    assert second is not None
    assert first is not None
    assert set(names(second)) == {"default", "more"}
    key = names(first)["default"].key
    assert second.networks[key] is first.networks[key]
    made.undefine()
    assert set(names(reader.read())) == {"default"}
    connection.close()


def test_changes_of_others_are_seen_by_their_events(demo: Collector) -> None:
    """Nobody looks, so that nothing but the event brings the reading about."""
    connection = demo.control()
    connection.networkDefineXML(ISOLATED.format(name="fresh")).create()
    seen = wait(demo, lambda seen: "fresh" in names(seen.networks), "the event")
    assert names(seen.networks)["fresh"].active


def test_who_looks_has_them_read_at_once(demo: Collector) -> None:
    connection = demo.control()
    network = connection.networkLookupByName("storage")
    add, section = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_SECTION_DNS_HOST
    xml = "<host ip='10.9.9.9'><hostname>x</hostname></host>"
    network.update(add, section, -1, xml, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
    demo.focus(Focus(networks=True))
    seen = wait(demo, lambda seen: bool(names(seen.networks)["storage"].config.dns_hosts), "the reading")
    assert names(seen.networks)["storage"].config.dns_hosts[0].names == ("x",)


# What other drivers tell


class Failing:
    """A network of which some calls fail."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __getattr__(self, name: str) -> Any:
        def call(*_arguments: object) -> Any:
            answers = {"UUIDString": "u", "name": "n", "XMLDesc": RICH}
            if name in answers:
                return answers[name]
            error = libvirt.libvirtError("x")
            error.err = (self.code, 0, "the text", 0, "", None, None, 0, 0)
            raise error

        return call


RICH = (
    "<network><name>n</name><bridge name='b'/><ip address='10.0.0.1' prefix='24'><dhcp>"
    "<range start='10.0.0.2' end='10.0.0.9'/></dhcp></ip></network>"
)


class Host:
    """A connection with one network of which some calls fail."""

    def __init__(self, code: int) -> None:
        self.network = Failing(code)
        self.alive = True

    def isAlive(self) -> bool:
        return self.alive

    def listAllNetworks(self, _flags: int) -> list[Failing]:
        return [self.network]


def test_leases_that_cannot_be_read_are_unknown_and_say_why() -> None:
    found = NetworkReader(Host(libvirt.VIR_ERR_INTERNAL_ERROR)).read()
    (network,) = names(found).values()
    assert (network.leases, network.ports, network.problem) == (None, None, "leases: the text")


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_INVALID])
def test_a_driver_without_leases_and_a_network_that_just_stopped_are_no_trouble(code: int) -> None:
    (network,) = names(NetworkReader(Host(code)).read()).values()
    assert (network.leases, network.problem) == (None, "")


def test_a_lost_connection_ends_the_reading() -> None:
    with pytest.raises(libvirt.libvirtError):
        NetworkReader(Host(libvirt.VIR_ERR_INVALID_CONN)).read()
    closed = Host(libvirt.VIR_ERR_INTERNAL_ERROR)
    closed.alive = False
    with pytest.raises(libvirt.libvirtError):
        NetworkReader(closed).read()


class Refusing(Failing):
    """A connection that holds, of which every call fails: as where the daemon of networks does not run."""

    def isAlive(self) -> bool:
        return True


def test_a_daemon_that_does_not_run_is_told_and_no_driver_without_networks() -> None:
    board = Board("qemu:///system", read_only=True, publish=lambda _snapshot: None)
    connection = Refusing(libvirt.VIR_ERR_SYSTEM_ERROR)
    watcher = NetworkWatcher(lambda: connection, board, owns_link=False, watched=lambda: False)
    watcher.start()
    assert board.wait(lambda seen: "networks" not in seen.unread, 10), "whoever reads once does not wait for ever"
    watcher.stop()
    assert board.snapshot.problems == ("networks cannot be read: the text",)
    assert NetworkReader(Refusing(libvirt.VIR_ERR_NO_SUPPORT)).read() is None


def test_only_starts_and_stops_of_domains_are_of_interest() -> None:
    told: list[str] = []
    events = NetworkEvents(lambda: told.append("x"))
    for event in (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_DEFINED):
        events._lifecycle(None, None, event, 0, None)
    assert told == []
    events._lifecycle(None, None, libvirt.VIR_DOMAIN_EVENT_STARTED, 0, None)
    assert told == ["x"]


def test_a_network_whose_xml_is_none_is_there_all_the_same() -> None:
    """libvirt 9.0 does not escape the names of portgroups."""
    connection = libvirt.open("test:///default")
    connection.networkDefineXML("<network><name>odd</name><portgroup name='a&quot;&lt;'/></network>")
    odd = names(NetworkReader(connection).read())["odd"]
    assert (odd.config.words, odd.persistent) == ("?", True)
    assert odd.problem.startswith("libvirt tells of it in XML that cannot be read")
    connection.close()


# Who is plugged in


def config(*nics: tuple[str, str, str]) -> DomainConfig:
    """NICs by MAC, network and tap."""
    parts = "".join(
        f"<interface type='network'><mac address='{mac}'/><source network='{network}'/>"
        f"{f'<target dev={tap!r}/>' if tap else ''}</interface>"
        for mac, network, tap in nics
    )
    return parse_domain_xml(f"<domain><name>x</name><devices>{parts}</devices></domain>")


def domain(name: str, live: DomainConfig | None, later: DomainConfig | None) -> Domain:
    state = DomainState.RUNNING if live is not None else DomainState.SHUTOFF
    return Domain(
        f"u-{name}", name, name, 1 if live else None, state, "", config=live or later, persistent_config=later
    )


WEB = domain("web", config(("52:54:00:00:00:01", "a", "vnet0")), config(("52:54:00:00:00:01", "b", "")))
OFF = domain("off", None, config(("52:54:00:00:00:02", "a", "")))
NETWORK = Network("n", "a", "a", True, False, True, parse_network_xml(RICH), port_macs=frozenset())


def test_both_sides_of_a_domain_are_counted_running_ones_first() -> None:
    found = plugged([OFF, WEB])
    assert [(p.domain.name, p.live, p.persistent) for p in found["a"]] == [("web", True, False), ("off", False, True)]
    assert [(p.domain.name, p.live, p.persistent) for p in found["b"]] == [("web", False, True)]


def snapshot(links: Links | None = None) -> HostSnapshot:
    return HostSnapshot(0, 0, None, links=links)  # type: ignore[arg-type]


def tap(master: str | None, mac: str = "fe:54:00:00:00:01") -> Links:
    home = Netns("1", "host", "", NetnsKind.HOME)
    link = Link("1:5", "1", 5, "vnet0", "vnet0", "tun", mac, 1500, True, True, "up", master)
    return Links({"1": home}, {"1:5": link}, 0)


@pytest.mark.parametrize(
    ("links", "macs", "lost"),
    [
        (None, frozenset(), 1),
        (None, frozenset({"52:54:00:00:00:01"}), 0),
        (None, None, None),
        (tap("1:2"), frozenset(), 0),
        (tap(None), frozenset({"52:54:00:00:00:01"}), 1),
        (tap(None, "fe:54:00:00:00:99"), frozenset(), 1),
        (tap(None, "fe:54:00:00:00:99"), frozenset({"52:54:00:00:00:01"}), 0),
    ],
    ids=["no port", "a port", "not told", "in a bridge", "in none", "another's tap", "another's tap, a port"],
)
def test_a_tap_without_a_bridge_is_an_orphan(
    links: Links | None, macs: frozenset[str] | None, lost: int | None
) -> None:
    network = replace(NETWORK, port_macs=macs)
    found = orphans(snapshot(links), network, plugged([WEB, OFF])["a"])
    assert (None if found is None else len(found)) == lost


def test_an_inactive_network_and_a_macvtap_have_no_orphans() -> None:
    ones = plugged([WEB])["a"]
    assert orphans(snapshot(), replace(NETWORK, active=False), ones) == ()
    assert orphans(snapshot(), replace(NETWORK, config=replace(NETWORK.config, macvtap=True)), ones) == ()
    switched = replace(NETWORK, config=replace(NETWORK.config, mode="bridge", virtualport="openvswitch"))
    assert orphans(snapshot(tap(None)), switched, ones) == (), "a port of Open vSwitch has no master"
    bridged = replace(NETWORK, config=replace(NETWORK.config, mode="bridge"))
    assert orphans(snapshot(), bridged, ones) == (), "its bridge stays when the network stops"
    assert len(orphans(snapshot(tap(None)), bridged, ones) or ()) == 1
    assert orphans(snapshot(), NETWORK, ()) == ()
