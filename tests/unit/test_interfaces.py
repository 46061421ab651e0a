"""The interfaces pane: the tree of links, who uses them, what moved since, and its detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.net_host import NetHost, homework
from tui.model.host import Connection, ConnectionState
from tui.model.kind import Kind
from tui.model.link import (
    FdbEntry,
    LinkNeighbour,
    LinkUsage,
    NetnsKind,
    PortFacts,
    PortState,
    PortVlan,
    TapOwner,
    TunnelFacts,
)
from tui.model.link_users import users_of
from tui.model.process import QemuNic
from tui.model.query import parse
from tui.model.snapshot import HostSnapshot
from tui.panes import interface_rows
from tui.panes.interface_bridge import bridge
from tui.panes.interface_cells import FACTS, fact, kind_words, state_cell, tie_words
from tui.panes.interface_detail import addresses, neighbours, overview
from tui.panes.interface_rows import LinkRow, LinkRows
from tui.panes.interfaces import COLUMNS, PANE
from tui.panes.spec import View
from tui.runtime.store import Store
from tui.widgets.lines import SpanLine

USED = LinkUsage(1000, 2000, 10, 20, 1, 0, 2, 0, 500.0, 250.0, 5.0, 2.5)


def view_of(seen: HostSnapshot, store: Store | None = None) -> View:
    kept = store or Store()
    kept.apply(seen)
    return View(seen, kept.cpu_history, link_history=kept.link_history, first_of_link=kept.first_of_link)


def rows_of(host: NetHost) -> dict[str, LinkRow]:
    return {row.name: row for row in LinkRows()(view_of(host.snapshot()))}


def text(lines: list[SpanLine]) -> str:
    return "\n".join("".join(span.text for span in line).rstrip() for line in lines)


def test_namespaces_come_first_then_their_links_and_ports_below_their_bridge() -> None:
    rows = LinkRows()(view_of(homework().snapshot()))
    assert [(row.depth, row.name) for row in rows] == [
        (0, "host"), (0, "br-ex"), (1, "b-ex"), (1, "up0"), (0, "br-in"), (1, "b-in"), (1, "tap1"), (1, "tap2"),
        (0, "outside"), (0, "wan0"), (0, "r1"), (0, "r1-ex"), (0, "r1-in"),
    ]  # fmt: skip
    assert [row.name for row in rows if row.link is None] == ["host", "outside", "r1"]


def test_a_vlan_lies_below_its_link_and_below_its_bridge_when_it_is_a_port() -> None:
    host = NetHost()
    eth0 = host.link("eth0")
    host.link("eth0.10", "vlan", parent=eth0, vlan_id=10)
    br = host.bridge("br0")
    host.link("eth0.20", "vlan", parent=eth0, vlan_id=20, master=br)
    rows = LinkRows()(view_of(host.snapshot()))
    assert [(row.depth, row.name) for row in rows[1:]] == [(0, "br0"), (1, "eth0.20"), (0, "eth0"), (1, "eth0.10")]
    found = rows_of(host)
    assert tie_words(found["eth0.20"]) == "on eth0"
    assert found["eth0.10"].link is not None
    assert kind_words(found["eth0.10"].link) == "vlan 10"


def test_a_torn_reading_with_a_circle_loses_no_link() -> None:
    host = NetHost()
    one = host.link("one")
    two = host.link("two", "vlan", parent=one)
    host.change(one, parent=two)
    assert {"one", "two"} <= rows_of(host).keys()


def test_the_far_end_of_a_veth_names_its_namespace() -> None:
    rows = rows_of(homework())
    assert tie_words(rows["b-in"]) == "⇄ r1-in@r1"
    assert tie_words(rows["r1-in"]) == "⇄ b-in@host"


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"up": False}, "○ down"),
        ({"carrier": False}, "◌ no carrier"),
        ({"operstate": "lowerlayerdown"}, "◌ lower down"),
        ({"port": PortFacts(PortState.BLOCKING)}, "◐ blocking"),
        ({"port": PortFacts(PortState.FORWARDING)}, "● forwarding"),
        ({}, "● up"),
    ],
)
def test_the_state_says_the_first_thing_that_is_wrong(facts: dict[str, Any], shown: str) -> None:
    host = NetHost()
    host.link("eth0", **facts)
    assert state_cell(rows_of(host)["eth0"]).text == shown


def test_a_namespace_that_cannot_be_read_says_so() -> None:
    host = NetHost()
    key = host.netns("shut")
    host.namespaces[key] = replace(host.namespaces[key], problem="permission denied")
    row = rows_of(host)["shut"]
    assert state_cell(row).text == "⚠ cannot be read"
    assert "permission denied" in text(overview(view_of(host.snapshot()), row))


def test_who_uses_a_link() -> None:
    host = homework()
    host.network("nat1", "br-in")
    in_r1 = host.tap("tap7", netns=next(key for key, netns in host.namespaces.items() if netns.name == "r1"), pid=77)
    host.qemu("raw1", 77, QemuNic("n0", "tap", "tap7", None, "52:54:00:00:00:77", "e1000"))
    vpn = host.tap("vpn0", pid=88)
    seen = host.snapshot()
    assert seen.links is not None
    users = users_of(seen.links, seen.domains, seen.processes, seen.networks)
    of = {seen.links.links[key].name: user for key, user in users.items()}
    assert (of["tap1"].kind, of["tap1"].name, of["tap1"].detail) == (Kind.DOMAIN, "vm1", "52:54:00:aa:00:00")
    assert (of["tap7"].kind, of["tap7"].name, of["tap7"].detail) == (Kind.PROCESS, "raw1", "52:54:00:00:00:77")
    assert of["br-in"].words == "network nat1"
    assert users[vpn].words == "qemu-system-x86[88]"
    assert users[in_r1].key == "77:1"


def test_a_tap_of_the_same_name_in_another_namespace_is_not_the_guests() -> None:
    host = NetHost()
    other = host.netns("other")
    host.guest("vm1", "tap1")
    elsewhere = host.tap("tap1", netns=other)
    seen = host.snapshot()
    assert seen.links is not None
    assert elsewhere not in users_of(seen.links, seen.domains, {}, None)


def test_errors_and_drops_count_from_when_one_began_to_look() -> None:
    host, store, rows = NetHost(), Store(), LinkRows()
    key = host.link("eth0")
    host.usage = {key: USED}
    rows(view_of(host.snapshot(), store))
    host.usage = {key: replace(USED, rx_errors=4, tx_dropped=5, rx_bytes_per_s=1500.0)}
    row = rows(view_of(host.snapshot(), store))[1]
    assert (row.errors, row.drops) == (3, 5)
    assert row.spark.strip() == "▄█"
    host.usage = {key: replace(USED, rx_errors=0, rx_dropped=1)}
    row = rows(view_of(host.snapshot(), store))[1]
    assert (row.errors, row.drops) == (0, 1), "a counter that began anew counts from 0"
    host.usage = {}
    row = rows(view_of(host.snapshot(), store))[1]
    assert (row.usage, row.errors, row.spark) == (None, None, "")


def test_what_did_not_move_is_the_same_row() -> None:
    host, store, rows = homework(), Store(), LinkRows()
    first = host.snapshot()
    tap1, tap2 = (key for key, link in host.links.items() if link.name in ("tap1", "tap2"))
    before = {row.key: row for row in rows(view_of(replace(first, link_usage={tap1: USED, tap2: USED}), store))}
    moved = replace(USED, rx_bytes=9)
    after = {row.key: row for row in rows(view_of(replace(first, link_usage={tap1: moved, tap2: USED}), store))}
    assert [key for key, row in after.items() if row is not before[key]] == [tap1]
    again = rows(view_of(replace(first, link_usage={tap1: moved, tap2: USED}), store))
    assert all(after[row.key] is row for row in again)


def test_another_link_changes_its_own_row_alone() -> None:
    host, rows = homework(), LinkRows()
    before = {row.key: row for row in rows(view_of(host.snapshot()))}
    tap1 = next(key for key, link in host.links.items() if link.name == "tap1")
    host.change(tap1, up=False)
    after = rows(view_of(host.snapshot()))
    assert [row.name for row in after if row is not before[row.key]] == ["tap1"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("netns:r1", ["r1", "r1-ex", "r1-in"]),
        ("kind:bridge", ["br-ex", "br-in"]),
        ("master=br-in user:vm", ["tap1", "tap2"]),
        ("peer:r1-", ["b-ex", "b-in"]),
        ("address:10.0", ["r1-in"]),
        ("kind:tap -user:vm1", ["tap2"]),
    ],
)
def test_the_filter_knows_what_is_asked_for(query: str, names: list[str]) -> None:
    rows = LinkRows()(view_of(homework().snapshot()))
    condition = parse(query, FACTS)
    assert [row.name for row in rows if condition.matches(partial(fact, row), lambda: "")] == names


def test_the_overview_tells_what_a_link_is() -> None:
    host = homework()
    host.link("vx0", "vxlan", tunnel=TunnelFacts(42, "192.0.2.1", "192.0.2.9", 4789))
    rows, view = rows_of(host), view_of(host.snapshot())
    shown = text(overview(view, rows["tap1"]))
    for words in ("● forwarding", "Port of      br-in", "Used by      vm1", "Its NIC      52:54:00:aa:00:00"):
        assert words in shown
    assert "Far end      192.0.2.9 port 4789" in text(overview(view, rows["vx0"]))
    r1 = text(overview(view, rows["r1"]))
    assert "netns r1" in r1
    assert "IPv4 forward on" in r1
    assert "default via 203.0.113.1 dev r1-ex" in r1


def test_addresses_routes_neighbours_and_the_forwarding_table() -> None:
    host = homework()
    seen = host.snapshot()
    assert seen.links is not None
    keys = {link.name: key for key, link in host.links.items()}
    links = replace(
        seen.links,
        neighbours={keys["r1-in"]: (LinkNeighbour("10.0.0.11", "52:54:00:aa:00:00", "reachable"),)},
        fdb={keys["tap1"]: (FdbEntry("52:54:00:aa:00:00", 10),)},
        links={
            **seen.links.links,
            keys["tap1"]: replace(host.links[keys["tap1"]], vlans=(PortVlan(10, 12, True, True),)),
        },
    )
    view = view_of(replace(seen, links=links))
    rows = {row.name: row for row in LinkRows()(view)}
    assert "10.0.0.1/24 global" in text(addresses(view, rows["r1-in"]))
    assert "default via 203.0.113.1 dev r1-ex" in text(addresses(view, rows["r1-ex"]))
    assert "default" not in text(addresses(view, rows["r1-in"]))
    assert "10.0.0.11" in text(neighbours(view, rows["r1-in"]))
    assert "reachable" in text(neighbours(view, rows["r1"]))
    shown = text(bridge(view, rows["br-in"]))
    assert "● forwarding" in shown
    assert "10-12 pvid untagged" in shown
    assert "52:54:00:aa:00:00  10    tap1  learned" in shown
    assert "neither a bridge" in text(bridge(view, rows["wan0"]))


def test_names_that_try_to_break_a_screen_are_shown_as_they_are() -> None:
    host = NetHost()
    host.netns("[red]x\x1b[2J", kind=NetnsKind.CONTAINER)
    host.link("a\x1b[31mb\u202e")
    view = view_of(host.snapshot())
    for row in LinkRows()(view):
        shown = [column.render(row).text for column in COLUMNS] + [text(overview(view, row)), PANE.words(row)]
        assert not any(ord(char) < 32 or char == "\u202e" for part in shown for char in part.replace("\n", ""))


@pytest.mark.parametrize("limits", [(), ("links: the host is not this machine",)])
def test_without_links_it_says_why(limits: tuple[str, ...]) -> None:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    seen = HostSnapshot(0, 0, connection, unread=frozenset(), limits=limits)
    assert LinkRows()(view_of(seen)) == []
    assert PANE.empty(view_of(seen)) == (limits[0] if limits else "no links can be seen here")


def test_a_look_at_the_processes_makes_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their CPU times differ every time; of thousands of links the rows are made when somebody else uses one."""
    host, rows, made, make = homework(), LinkRows(), list[object](), interface_rows._rows

    def counted(*parts: Any) -> Iterator[LinkRow]:
        made.append(parts)
        return make(*parts)

    monkeypatch.setattr(interface_rows, "_rows", counted)
    host.qemu("byhand", 700)
    seen = host.snapshot()
    first = rows(view_of(seen))
    busy = {key: replace(one, cpu_time_ns=9) for key, one in seen.processes.items()}
    assert rows(view_of(replace(seen, processes=busy))) is first
    assert len(made) == 1
    key = next(key for key, link in host.links.items() if link.name == "r1-ex")
    assert seen.links is not None
    links = replace(seen.links, owners={key: (TapOwner(700, "qemu"),)})
    used = rows(view_of(replace(seen, links=links, processes=busy)))
    assert [row.user.name for row in used if row.user and row.key == key] == ["byhand"]
    gone = rows(view_of(replace(seen, links=links, processes={})))
    assert [row.user.name for row in gone if row.user and row.key == key] == ["qemu"]
