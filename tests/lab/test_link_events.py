"""The watcher of links follows what happens in real namespaces, and does nothing when nothing happens."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.lab.alone import run_alone
from tests.lab.conftest import unavailable
from tests.lab.link_words import Watching, link_of, our_rows, read_once, rows_of_pyroute2, settle
from tests.lab.namespaces import run
from tests.lab.own_net import OwnNet
from tui.model.link import LinkAddress, Links, NetnsKind
from tui.runtime.board import Board
from tui.runtime.desk import Focus
from tui.runtime.link_follower import LinkFollower
from tui.sources.netlink.events import Dirty, EventSocket, Marks, Part
from tui.sources.netlink.picture import Picture


def test_a_link_comes_changes_and_goes(net: OwnNet) -> None:
    net.add_netns("a")
    with Watching() as watching:
        net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
        first = watching.link("v0", net.key("a"))
        assert first.peer == watching.link("v1", net.key()).key
        net.ip("link", "set", "v0", "mtu", "1400", "up", netns="a")
        assert watching.link("v0", net.key("a"), lambda link: link.mtu == 1400 and link.up).key == first.key
        net.ip("link", "set", "v1", "name", "other")
        assert watching.link("other", net.key()).key == first.peer
        net.ip("link", "del", "other")
        watching.gone("other", net.key())
        watching.gone("v0", net.key("a"))


def test_what_did_not_change_stays_the_same_object(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0")
    with Watching() as watching:
        before = watching.links
        net.ip("link", "set", "v1", "mtu", "1400")
        watching.link("v1", net.key(), lambda link: link.mtu == 1400)
        after = watching.links
        assert after is not before
        assert after.links is not before.links
        key = link_of(after, "v0", net.key()).key
        assert after.links[key] is before.links[key]
        assert after.addresses[key] is before.addresses[key]
        assert after.namespaces[net.key("a")] is before.namespaces[net.key("a")]


def test_moving_one_end_of_a_pair_mends_the_other(net: OwnNet) -> None:
    net.add_netns("a", "b")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    with Watching() as watching:
        for where in ("a", "b"):
            move(net, "v1", where)
            watching.until(_pair(net, ("v0", ""), ("v1", where)), "the pair")
        # Both ends away from home: nothing that home hears of itself.
        move(net, "v0", "a")
        watching.until(_pair(net, ("v0", "a"), ("v1", "b")), "the pair")


def _pair(net: OwnNet, first: tuple[str, str], second: tuple[str, str]) -> Callable[[Links], bool]:
    """Whether two links, by name and namespace, name each other."""
    keys = net.key(first[1]), net.key(second[1])

    def paired(links: Links) -> bool:
        ends = [
            one
            for one in links.links.values()
            if (one.raw_name, one.netns) in ((first[0], keys[0]), (second[0], keys[1]))
        ]
        return len(ends) == 2 and ends[0].peer == ends[1].key and ends[1].peer == ends[0].key

    return paired


def net_of(net: OwnNet, name: str) -> str:
    """The namespace that has a link of that name, "" for home."""
    names = ("", *sorted(os.listdir("/run/netns")))
    return next(netns for netns in names if name in {link["ifname"] for link in net.json("link", netns=netns)})


def move(net: OwnNet, name: str, where: str) -> None:
    """Move a link to a named namespace from wherever it is."""
    net.ip("link", "set", name, "netns", where, netns=net_of(net, name))


def test_the_index_of_a_link_that_moved_is_used_again_at_once(net: OwnNet) -> None:
    """What the other end took for its peer is still there by its key, and is another link."""
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    with Watching() as watching:
        old = watching.link("v1", net.key())
        _batch(["link set v1 netns a", f"link add v2 index {old.index} type veth peer name v3"])
        assert watching.link("v2", net.key()).key == old.key
        watching.until(_pair(net, ("v0", ""), ("v1", "a")), "the pair that was moved apart")
        watching.until(_pair(net, ("v2", ""), ("v3", "")), "the pair that is new")


def test_a_namespace_comes_and_goes_with_all_that_is_in_it(net: OwnNet) -> None:
    with Watching() as watching:
        net.add_netns("new")
        key = net.key("new")
        net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "new")
        net.ip("addr", "add", "10.1.0.1/24", "dev", "v1", netns="new")
        watching.link("v1", key)
        watching.until(lambda links: any(one.address == "10.1.0.1" for one in _addresses(links, key)), "its address")
        net.ip("netns", "del", "new")
        links = watching.until(lambda links: key not in links.namespaces, "the end of the namespace")
        assert not [link for link in links.links.values() if link.netns == key]
        assert not _addresses(links, key)
        watching.gone("v0", net.key())


def _addresses(links: Links, key: str) -> list[LinkAddress]:
    return [one for link, items in links.addresses.items() if link.startswith(f"{key}:") for one in items]


def test_the_number_of_a_namespace_that_ended_is_used_again(net: OwnNet) -> None:
    """The kernel gives a new namespace the inode number of one that just ended: it is another all the same."""
    with Watching() as watching:
        for turn in range(20):
            net.add_netns("again")
            net.ip("link", "add", f"v{turn}", "type", "veth", "peer", "name", f"t{turn}", "netns", "again")
            net.ip("netns", "del", "again")
        net.add_netns("again")
        net.ip("link", "add", "v20", "type", "veth", "peer", "name", "last", "netns", "again")
        watching.link("last", net.key("again"))
        settle(
            lambda: our_rows(watching.links, [net.key("again")]) == rows_of_pyroute2(net, ["again"]),
            "the same links as pyroute2",
        )


def test_a_namespace_without_a_name_is_found_when_a_peer_leads_there(net: OwnNet) -> None:
    with Watching() as watching, net.unnamed() as pid:
        net.ip("link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        key = os.readlink(f"/proc/{pid}/ns/net")[5:-1]
        inner = watching.link("eth0", key)
        watching.link("out", net.key(), lambda link: link.peer == inner.key)
        assert watching.links.namespaces[key].kind is NetnsKind.PROCESS


def test_the_nsid_of_a_namespace_that_ended_while_it_was_heard_of_is_used_again(net: OwnNet) -> None:
    """What is still to be read of the one that ended, and finds nothing, does not hide the one that comes next."""
    net.add_netns("a")
    with closing(Picture()) as picture:
        picture.refresh(Dirty(everything=True))
        nsid = picture.links().namespaces[net.key("a")].nsid
        assert nsid is not None
        net.ip("netns", "del", "a")
        settle(lambda: f"nsid {nsid} " not in net.ip("netns", "list-id"), "the end of the number")
        picture.refresh(Dirty({nsid: Marks(links={1})}, dead={nsid}))
        picture.refresh(Dirty({nsid: Marks(parts=Part.NEIGHBOURS)}))
        with net.unnamed() as pid:
            net.ip("link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
            (out,) = net.json("link", "show", "out")
            assert out["link_netnsid"] == nsid
            picture.refresh(Dirty({None: Marks(links={out["ifindex"]})}, fresh={nsid}))
            key = os.readlink(f"/proc/{pid}/ns/net")[5:-1]
            assert link_of(picture.links(), "out", net.key()).peer == link_of(picture.links(), "eth0", key).key


class _Losing(EventSocket):
    """Loses events whenever it is asked for them."""

    def drain(self, dirty: Dirty) -> None:
        dirty.everything = True


class _Slow(Picture):
    """Takes its time to read, and notes when it begins and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[float, float]] = []

    def refresh(self, dirty: Dirty) -> None:
        began, cpu = time.monotonic(), time.thread_time()
        super().refresh(dirty)
        while time.thread_time() < cpu + 0.03:
            pass
        self.read.append((began, time.monotonic()))


def test_events_that_are_lost_again_and_again_leave_it_its_rest(net: OwnNet) -> None:
    board = Board("qemu:///system", read_only=True, publish=lambda _snapshot: None)
    with closing(_Losing()) as events, closing(_Slow()) as picture:
        follower = LinkFollower(board, events, picture, 0.5)
        follower.begin(Focus())
        for _ in range(2):
            follower.turn(Focus(), files=False, nudged=False)
        (_, ended), (began, _) = picture.read[1:]
        assert began - ended > 0.1


def test_nothing_holds_a_namespace_alive(net: OwnNet) -> None:
    """Its links go as soon as its name goes: a socket or file of ours in it would keep them."""
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "a")
    with Watching() as watching:
        watching.look(True)
        watching.board.wait(lambda seen: bool(seen.link_usage), 10)
        net.ip("netns", "del", "a")
        settle(lambda: "v0" not in {link["ifname"] for link in net.json("link")}, "the end of the other end")
        watching.gone("v0", net.key())


def test_routes_addresses_rules_and_switches_are_followed(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
    key = net.key("a")
    with Watching() as watching:
        net.ip("link", "set", "v0", "up", netns="a")
        net.ip("link", "set", "v1", "up")
        net.ip("addr", "add", "10.1.0.1/24", "dev", "v0", netns="a")
        watching.until(lambda links: any(one.address == "10.1.0.1" for one in _addresses(links, key)), "the address")
        net.ip("route", "add", "10.9.0.0/16", "via", "10.1.0.2", netns="a")
        watching.until(
            lambda links: any(route.destination == "10.9.0.0/16" for route in links.routes.get(key, ())), "the route"
        )
        net.ip("rule", "add", "from", "10.7.0.0/16", "table", "77", netns="a")
        watching.until(lambda links: any(rule.table == 77 for rule in links.rules.get(key, ())), "the rule")
        run(["ip", "netns", "exec", "a", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
        watching.until(lambda links: links.namespaces[key].settings.ipv4_forwarding is True, "forwarding")
        assert watching.link("v0", key, lambda link: link.forwarding is True)
        net.ip("addr", "flush", "dev", "v0", netns="a")
        watching.until(
            lambda links: not any(one.address == "10.1.0.1" for one in _addresses(links, key)), "the end of the address"
        )


def test_a_route_by_a_link_that_lost_its_carrier(net: OwnNet) -> None:
    """The kernel marks the route and tells nobody."""
    net.add_netns("a")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "up", netns="a")
    net.ip("link", "set", "v1", "up")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0", netns="a")
    with Watching() as watching:

        def flags(links: Links) -> tuple[str, ...]:
            return next(hop.flags for route in links.routes[net.key("a")] if not route.ipv6 for hop in route.hops)

        watching.until(lambda links: flags(links) == (), "a route that works")
        net.ip("link", "set", "v1", "down")
        watching.until(lambda links: flags(links) == ("linkdown",), "a route that does not")


def test_neighbours_are_followed_while_somebody_looks(net: OwnNet) -> None:
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "up")
    with Watching(interval_s=0.2) as watching:
        key = watching.link("v0", net.key()).key
        net.ip("neigh", "add", "10.1.0.7", "lladdr", "02:00:00:00:00:07", "dev", "v0")
        time.sleep(0.5)
        assert not watching.links.neighbours.get(key)
        watching.look(True)
        watching.until(lambda links: _neighbours(links, key) == ["10.1.0.7"], "the neighbour")
        net.ip("neigh", "add", "10.1.0.8", "lladdr", "02:00:00:00:00:08", "dev", "v0")
        watching.until(lambda links: _neighbours(links, key) == ["10.1.0.7", "10.1.0.8"], "the other")


def _neighbours(links: Links, key: str) -> list[str]:
    return [one.address for one in links.neighbours.get(key, ())]


def test_counters_and_rates_while_somebody_looks(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "a")
    net.ip("link", "set", "v0", "up")
    net.ip("link", "set", "v1", "up", netns="a")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0")
    net.ip("addr", "add", "10.1.0.2/24", "dev", "v1", netns="a")
    with Watching(interval_s=0.3) as watching:
        assert not watching.board.snapshot.link_usage
        key = watching.link("v1", net.key("a")).key
        watching.look(True)
        assert watching.board.wait(lambda seen: key in seen.link_usage, 10)
        run(["ping", "-q", "-c", "20", "-i", "0.02", "-s", "1000", "10.1.0.2"])
        assert watching.board.wait(lambda seen: (seen.link_usage[key].rx_bytes_per_s or 0) > 1000, 10)
        (told,) = net.json("-s", "link", "show", "v1", netns="a")
        assert watching.board.wait(
            lambda seen: seen.link_usage[key].rx_bytes >= told["stats64"]["rx"]["bytes"] > 20_000, 10
        )
        watching.look(False)
        assert watching.board.wait(lambda seen: not seen.link_usage, 10)


def test_nothing_is_read_when_nothing_happens_and_nobody_looks() -> None:
    if os.geteuid():
        unavailable("not root")
    rest = json.loads(run_alone("tests.lab.links_at_rest"))
    assert rest["same"] == ["namespaces", "addresses", "routes", "rules", "neighbours", "fdb", "owners"]
    assert rest["published"] == 0
    # The thread sleeps: one look at the namespaces alone would cost more.
    assert rest["cpu_s"] < 0.002


@pytest.mark.parametrize("many", [40, 200])
def test_bursts_below_and_above_what_is_read_link_by_link(net: OwnNet, many: int) -> None:
    net.add_netns("a")
    with Watching() as watching:
        lines = [f"link add p{n} type veth peer name q{n} netns a" for n in range(many)]
        _batch(lines)
        settle(lambda: _agrees(net, watching, ("", "a")), "the same links as pyroute2")
        assert all(
            link.peer for link in watching.links.links.values() if link.raw_name[0] in "pq" and link.kind == "veth"
        )


def test_lost_events_are_made_good(net: OwnNet, caplog: pytest.LogCaptureFixture) -> None:
    net.add_netns("a")
    with Watching(event_buffer=4096) as watching:
        _batch([f"link add p{n} type veth peer name q{n} netns a" for n in range(150)])
        _batch([f"link del p{n}" for n in range(0, 150, 3)])
        settle(lambda: _agrees(net, watching, ("", "a")), "the same links as pyroute2")
        assert any("events were lost" in record.message for record in caplog.records)
        assert our_rows(watching.links, [net.key()]) == our_rows(read_once(), [net.key()])


def _batch(lines: list[str]) -> None:
    path = f"/tmp/virtdeck-batch-{os.getpid()}"
    with open(path, "w") as file:
        file.write("\n".join(lines))
    run(["ip", "-batch", path])
    os.unlink(path)


def _agrees(net: OwnNet, watching: Watching, names: tuple[str, ...]) -> bool:
    return our_rows(watching.links, map(net.key, names)) == rows_of_pyroute2(net, names)


def test_offloads_of_the_link_that_is_open(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
    with Watching() as watching:
        key = watching.link("v0", net.key("a")).key
        watching.look(True, link=key)
        assert watching.board.wait(lambda seen: seen.link_detail is not None and seen.link_detail.key == key, 10)
        detail = watching.board.snapshot.link_detail
        assert detail is not None
        assert not detail.problem
        found = {offload.name: offload for offload in detail.offloads}
        assert found["tx-tcp-segmentation"].on
        assert found["tx-tcp-segmentation"].changeable
