"""The networks pane: what there is of each network, networks changed by keys, and names that try to break a screen."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from tests.ui.conftest import OpenDeck
from tests.ui.strict import taken_apart
from tests.ui.test_hostile_names import PAIRS, written, xml_safe
from tests.ui.words import Deck
from tui.model.dnsmasq import Lease
from tui.model.finding import Finding, Severity
from tui.model.network import Network
from tui.model.plan import Confirm
from tui.model.text import clean
from tui.panes.network_detail import leases
from tui.panes.network_rows import NetworkRow


def network(deck: Deck, name: str) -> Network:
    networks = deck.snapshot.networks
    assert networks is not None
    found = networks.named(name)
    assert found is not None, name
    return found


def names(deck: Deck) -> set[str]:
    networks = deck.snapshot.networks
    assert networks is not None
    return {network.raw_name for network in networks.networks.values()}


async def test_each_network_has_its_line(demo: OpenDeck) -> None:
    async with demo(size=(200, 30)) as deck:
        await deck.press("4")
        await deck.until(lambda: "old-office" in deck.rows())
        lines = {line.split()[0]: line for line in deck.lines() if line.split()}
        assert all(word in lines["default"] for word in ("● active", "nat", "virbr0", "192.168.122.1/24", "2/3"))
        assert "192.168.122.100-.199" in lines["default"]
        assert all(word in lines["old-office"] for word in ("○ inactive", "0/1"))
        assert "macvtap" in lines["direct-10g"]
        assert "ovs" in lines["dmz"]


async def test_what_triage_says_of_a_network_is_said_here_too(demo: OpenDeck) -> None:
    def said(check: str, severity: Severity, name: str, **more: str) -> Finding:
        return Finding(check, severity, "network", name, network(deck, name).key, f"{check} it is", "why", **more)  # type: ignore[arg-type]

    async with demo(size=(200, 30)) as deck:
        await deck.press("4")
        await deck.until(lambda: "old-office" in deck.rows())
        deck.app.collector._triage.stop()
        deck.app.collector.board.update(
            findings=(
                said("network.dnsmasq-dead", Severity.ERROR, "default"),
                said("network.route-stolen", Severity.ERROR, "dmz", muted="known"),
                said("network.leases-out", Severity.INFO, "dmz"),
            )
        )
        await deck.focus("default")
        await deck.press("enter")
        await deck.until(lambda: "⚠ network.dnsmasq-dead it is" in deck.text(), "the finding")
        await deck.press("escape")
        lines = {line.split()[0]: line for line in deck.lines() if line.split()}
        assert "⚠ active" in lines["default"]
        assert "● active" in lines["dmz"]


async def test_the_tabs_tell_the_rest(demo: OpenDeck) -> None:
    async with demo(size=(120, 40)) as deck:
        await deck.press("4")
        await deck.focus("default")
        for tab, said in (
            ("overview", "nat: guests go out"),
            ("guests", "52:54:00:"),
            ("leases", "this driver does not tell leases"),
            ("hosts", "192.168.122.10"),
            ("portgroups", "it has no portgroups"),
            ("xml", "<domain name='demo.example.net'"),
        ):
            deck.app.frame.open_tab(tab)
            assert said in deck.detail(), tab
        await deck.focus("dmz")
        deck.app.frame.open_tab("portgroups")
        assert "▸ public" in deck.detail()
        await deck.focus("storage")
        deck.app.frame.open_tab("leases")
        assert "libvirt serves no DHCP in it" in deck.detail()


async def test_a_network_is_started_and_stopped(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("4")
        await deck.focus("old-office")
        await deck.act("s", "Start old-office")
        await deck.until(lambda: network(deck, "old-office").active)
        await deck.focus("old-office")
        await deck.act("x", "Stop old-office")
        await deck.until(lambda: not network(deck, "old-office").active)
        await deck.press("x")
        await deck.expect_toast("Stop: it is inactive")


async def test_a_network_of_running_guests_wants_its_name_typed(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("4")
        await deck.focus("storage")
        await deck.press("x")
        said = await deck.expect_popup("Stop storage")
        assert "the network of running guests: " in said
        plan = deck.dialog._plan
        assert plan is not None
        assert (plan.confirm, plan.phrase) == (Confirm.TYPE, "storage")
        await deck.press("y", "enter")
        assert network(deck, "storage").active, "a yes is not enough"
        await deck.press("escape")


async def test_a_new_network_of_the_form_is_there_at_once_and_goes_by_undo(demo: OpenDeck, home: Path) -> None:
    async with demo(size=(120, 60)) as deck:
        await deck.press("4")
        await deck.focus("default")
        await deck.press("n")
        await deck.expect_popup("Define network")
        await deck.enter("name", "fresh")
        assert "DHCP gives out 192.168.123.2 to 192.168.123.254" in deck.popup()
        await deck.confirm("Define network")
        await deck.until(lambda: "fresh" in names(deck))
        assert network(deck, "fresh").active
        await deck.undo_last()
        await deck.until(lambda: "fresh" not in names(deck))
        assert list((home / "state").rglob("*-fresh.xml")), "its XML is kept"


async def test_n_defines_a_domain_among_domains_and_a_network_among_networks(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.press("n")
        await deck.expect_popup("Define from file")
        await deck.press("escape")
        await deck.press("4", "n")
        await deck.expect_popup("Define network")
        await deck.press("escape")


async def test_a_static_host_is_added_and_taken_away(demo: OpenDeck) -> None:
    async with demo(size=(120, 40)) as deck:
        await deck.press("4")
        await deck.focus("lab")
        await deck.press("f")
        await deck.expect_popup("Add a static DHCP host to")
        await deck.enter("client", "52:54:00:00:00:77")
        await deck.enter("address", "10.20.30.77")
        await deck.confirm("Add a static DHCP host to lab")
        await deck.until(lambda: bool(network(deck, "lab").config.addresses[0].hosts))
        deck.app.frame.open_tab("hosts")
        assert "10.20.30.77" in deck.detail()


# Names


async def test_nothing_leaks_from_names_of_networks_bridges_and_hosts(demo: OpenDeck) -> None:
    async with demo(size=(100, 30)) as deck:
        connection = deck.app.collector.control()
        before, made = len(names(deck)), 0
        for pair in PAIRS:
            evil = xml_safe(pair.hostile).replace("/", "|").replace("\n", " ")
            with suppress(libvirt.libvirtError):
                connection.networkDefineXML(_hostile(evil))
                made += 1
        # Names of networks, hosts and portgroups with quotes make XML of libvirt that is none.
        assert made > len(PAIRS) * 2 // 3
        await deck.press("4")
        await deck.until(lambda: len(names(deck)) == before + made)
        await deck.until(deck.rested)
        taken_apart(await written(deck))
        for item in list(deck.grid.shown_items):
            deck.grid.go_to(item.key)
            for tab in ("overview", "guests", "leases", "hosts", "portgroups", "xml"):
                deck.app.frame.open_tab(tab)
                await deck.screen.handled()
            deck.app.frame.zoom(False)
            taken_apart(await written(deck))
        for key in ("x", "D", "e", "f", "s"):
            await deck.press(key)
            await deck.settle()
            taken_apart(await written(deck))
            await deck.press("escape")


def _hostile(evil: str) -> str:
    root = ET.Element("network")
    ET.SubElement(root, "name").text = evil
    ET.SubElement(root, "bridge", name=evil[:40])
    ET.SubElement(root, "domain", name=evil)
    dns = ET.SubElement(ET.SubElement(root, "dns"), "host", ip="10.66.0.9")
    ET.SubElement(dns, "hostname").text = evil
    ET.SubElement(root, "portgroup", name=evil)
    dhcp = ET.SubElement(ET.SubElement(root, "ip", address="10.66.0.1", prefix="24"), "dhcp")
    ET.SubElement(dhcp, "host", mac="52:54:00:00:00:01", name=evil, ip="10.66.0.2")
    return ET.tostring(root, encoding="unicode")


async def test_what_guests_call_themselves_is_shown_literally(demo: OpenDeck) -> None:
    """The source cleans what a lease says; the table shows it as it is."""
    async with demo() as deck:
        await deck.press("4")
        await deck.focus("default")
        row, view = deck.app.frame.item, deck.app.frame._view
        assert view is not None
        assert isinstance(row, NetworkRow)
        given = tuple(
            Lease(f"10.66.0.{number}", "52:54:00:00:00:01", clean(pair.hostile), 1) for number, pair in enumerate(PAIRS)
        )
        shown = leases(view, replace(row, network=replace(row.network, leases=given)))
        assert len(shown) == len(PAIRS) + 1
        for line in shown:
            for span in line:
                taken_apart(span.text)
