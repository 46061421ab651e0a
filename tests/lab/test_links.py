"""Links, addresses, routes and neighbours of real namespaces, read once and compared with what iproute2 says."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.lab.link_words import link_of, netns_named, our_rows, read_once, rows_of_pyroute2
from tests.lab.namespaces import run, wait_until
from tests.lab.own_net import OwnNet, knows_kind
from tui.model.link import NetnsKind, PortState


def need(kind: str) -> None:
    """Skip where the kernel has no such links."""
    if not knows_kind(kind):
        pytest.skip(f"kernel lacks {kind}")


def test_a_bridge_and_its_port(net: OwnNet) -> None:
    net.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "priority", "4096")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "master", "br0", "up")
    for name in ("v1", "br0"):
        net.ip("link", "set", name, "up")
    run(["bridge", "link", "set", "dev", "v0", "isolated", "on", "hairpin", "on", "cost", "17", "priority", "5"])
    links = read_once()
    bridge, port = link_of(links, "br0", net.key()), link_of(links, "v0", net.key())
    (told,) = net.json("link", "show", "br0")
    assert bridge.kind == "bridge"
    assert bridge.bridge is not None
    assert (bridge.bridge.stp, bridge.bridge.forward_delay_s, bridge.bridge.priority) == (False, 0.0, 4096)
    assert bridge.bridge.ageing_s == told["linkinfo"]["info_data"]["ageing_time"] / 100
    assert bridge.bridge.bridge_id == f"1000.{bridge.mac}"
    assert (port.master, port.master_kind) == (bridge.key, "bridge")
    assert port.port is not None
    assert port.port.state is PortState.FORWARDING
    assert (port.port.isolated, port.port.hairpin, port.port.cost, port.port.priority) == (True, True, 17, 5)
    assert link_of(links, "v1", net.key()).master is None


def test_both_ends_of_a_veth_name_each_other_across_namespaces(net: OwnNet) -> None:
    net.add_netns("a", "b")
    net.ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", "a")
    net.ip("link", "add", "one", "netns", "a", "type", "veth", "peer", "name", "two", "netns", "b")
    net.ip("link", "add", "left", "type", "veth", "peer", "name", "right")
    links = read_once()
    home, a, b = net.key(), net.key("a"), net.key("b")
    for (name, where), (other, there) in (
        (("here", home), ("there", a)),
        (("one", a), ("two", b)),
        (("left", home), ("right", home)),
    ):
        first, second = link_of(links, name, where), link_of(links, other, there)
        assert (first.peer, second.peer) == (second.key, first.key)
        assert first.kind == "veth"
        assert first.parent is None


def test_a_peer_in_a_namespace_without_a_name(net: OwnNet) -> None:
    with net.unnamed() as pid:
        net.ip("link", "add", "host-end", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        links = read_once()
        netns = links.namespaces[os.readlink(f"/proc/{pid}/ns/net")[5:-1]]
        assert (netns.kind, netns.pid, netns.name) == (NetnsKind.PROCESS, pid, f"sleep({pid})")
        assert link_of(links, "host-end", net.key()).peer == link_of(links, "eth0", netns.key).key


def test_a_name_that_only_another_mount_namespace_has(net: OwnNet) -> None:
    script = "mount -t tmpfs tmpfs /run/netns && ip netns add hidden && exec sleep 600"
    with net.unnamed(("unshare", "-m", "sh", "-c", script)) as pid:
        path = f"/proc/{pid}/root/run/netns/hidden"
        for _ in range(500):
            if os.path.exists(path) and os.stat(path).st_dev != os.stat("/run").st_dev:
                break
            run(["sleep", "0.01"])
        netns = netns_named(read_once(), "hidden")
        assert netns.key == str(os.stat(path).st_ino)
        assert netns.paths == ("/run/netns/hidden",)
        assert not netns.problem


def test_a_namespace_whose_file_lies_under_another_mount_is_entered_by_its_process(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "up", netns="a")
    net.ip("link", "set", "v1", "up")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0", netns="a")
    key = net.key("a")
    process = subprocess.Popen(["nsenter", "--net=/run/netns/a", "--", "sleep", "600"])
    try:
        wait_until(lambda: os.readlink(f"/proc/{process.pid}/ns/net") == f"net:[{key}]", "the process")
        run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"])
        links = read_once()
        assert links.namespaces[key].name == "a"
        assert not links.namespaces[key].problem
        assert any(route.destination == "10.1.0.0/24" for route in links.routes[key])
    finally:
        process.kill()
        process.wait()


def test_macvlan_and_macvtap_lie_on_their_parent(net: OwnNet) -> None:
    need("macvlan")
    net.add_netns("a")
    net.ip("link", "add", "low", "type", "veth", "peer", "name", "low-peer")
    net.ip("link", "add", "mv0", "link", "low", "type", "macvlan", "mode", "bridge")
    net.ip("link", "add", "mt0", "link", "low", "type", "macvtap", "mode", "private")
    net.ip("link", "set", "mv0", "netns", "a")
    links = read_once()
    low = link_of(links, "low", net.key())
    away, near = link_of(links, "mv0", net.key("a")), link_of(links, "mt0", net.key())
    assert (away.parent, away.mode, away.peer) == (low.key, "bridge", None)
    assert (near.parent, near.mode, near.kind) == (low.key, "private", "macvtap")


def test_a_vxlan_and_its_far_end(net: OwnNet) -> None:
    need("vxlan")
    net.ip("link", "add", "low", "type", "veth", "peer", "name", "low-peer")
    net.ip("link", "add", "x4", "type", "vxlan", "id", "77", "remote", "192.0.2.7", "dstport", "4789", "dev", "low")
    net.ip("link", "add", "x6", "type", "vxlan", "id", "78", "local", "2001:db8::1", "remote", "2001:db8::2",
           "dstport", "4790")  # fmt: skip
    net.ip("link", "add", "x0", "type", "vxlan", "external", "dstport", "4791")
    run(["bridge", "fdb", "add", "02:00:00:00:00:99", "dev", "x4", "dst", "192.0.2.9"])
    links = read_once()
    first, second, third = (link_of(links, name, net.key()) for name in ("x4", "x6", "x0"))
    assert first.tunnel is not None
    assert (first.tunnel.id, first.tunnel.remote, first.tunnel.port) == (77, "192.0.2.7", 4789)
    assert first.parent == link_of(links, "low", net.key()).key
    assert second.tunnel is not None
    assert (second.tunnel.local, second.tunnel.remote) == ("2001:db8::1", "2001:db8::2")
    assert second.parent is None
    assert third.tunnel is not None
    assert third.tunnel.collect_metadata
    assert ("02:00:00:00:00:99", "192.0.2.9") in {(entry.mac, entry.remote) for entry in links.fdb[first.key]}


def test_taps(net: OwnNet) -> None:
    net.ip("tuntap", "add", "t0", "mode", "tap", "multi_queue")
    net.ip("tuntap", "add", "t1", "mode", "tun", "user", "1000")
    links = read_once()
    tap, tun = link_of(links, "t0", net.key()).tap, link_of(links, "t1", net.key()).tap
    assert tap is not None
    assert tun is not None
    assert (tap.mode, tap.persistent, tap.multi_queue, tap.uid) == ("tap", True, True, None)
    assert (tun.mode, tun.uid) == ("tun", 1000)


def test_addresses_are_those_that_ip_tells(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "a")
    net.ip("link", "set", "v0", "up")
    net.ip("link", "set", "v1", "up", netns="a")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0")
    net.ip("addr", "add", "10.1.0.2/24", "dev", "v0")
    net.ip("addr", "add", "10.2.0.1", "peer", "10.2.0.2/32", "dev", "v1", netns="a")
    net.ip("addr", "add", "2001:db8::1/64", "nodad", "dev", "v1", netns="a")
    links = read_once()
    for netns in ("", "a"):
        told = {
            (link["ifname"], one["local"], one["prefixlen"], one.get("address", ""), one["scope"])
            for link in net.json("addr", netns=netns)
            for one in link["addr_info"]
        }
        ours = {
            (links.links[key].raw_name, one.address, one.prefix, one.peer, one.scope)
            for key, items in links.addresses.items()
            if links.links[key].netns == net.key(netns)
            for one in items
        }
        assert ours == told
    v0 = links.addresses[link_of(links, "v0", net.key()).key]
    assert [one.flags for one in v0 if not one.ipv6] == [("permanent",), ("permanent", "secondary")]


def test_routes_and_rules(net: OwnNet) -> None:
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "up")
    net.ip("link", "set", "v1", "up")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0")
    for words in (
        "default via 10.1.0.9 metric 50 proto static", "10.8.0.0/16 via 10.1.0.5 src 10.1.0.1",
        "blackhole 10.66.0.0/16", "default via 10.1.0.8 table 100", "10.55.0.7 dev v0 scope link",
        "10.9.0.0/16 nexthop via 10.1.0.5 weight 3 nexthop via 10.1.0.6 onlink dev v0",
    ):  # fmt: skip
        net.ip("route", "add", *words.split())
    net.ip("-6", "route", "add", "2001:db8:1::/48", "dev", "v0")
    net.ip("nexthop", "add", "id", "5", "via", "10.1.0.4", "dev", "v0")
    net.ip("route", "add", "10.56.0.0/16", "nhid", "5")
    for words in (
        "from 10.0.0.0/8 fwmark 5/0xff table 100",
        "to 10.3.0.0/16 iif v0 prohibit",
        "not from 10.4.0.1 table main",
    ):
        net.ip("rule", "add", *words.split())
    links = read_once()
    key, out = net.key(), link_of(links, "v0", net.key()).key
    routes = {(route.destination, route.table): route for route in links.routes[key]}
    assert all(route.table != 255 for route in links.routes[key])
    default = routes["default", 254]
    assert (default.metric, default.protocol) == (50, "static")
    assert [(hop.link, hop.gateway) for hop in default.hops] == [(out, "10.1.0.9")]
    assert routes["10.8.0.0/16", 254].source == "10.1.0.1"
    assert (routes["10.66.0.0/16", 254].kind, routes["10.66.0.0/16", 254].hops) == ("blackhole", ())
    assert routes["default", 100].hops[0].gateway == "10.1.0.8"
    assert (routes["10.55.0.7/32", 254].scope, routes["10.55.0.7/32", 254].hops[0].link) == ("link", out)
    many = routes["10.9.0.0/16", 254].hops
    assert [(hop.gateway, hop.weight, hop.flags) for hop in many] == [("10.1.0.5", 3, ()), ("10.1.0.6", 1, ("onlink",))]
    assert routes["2001:db8:1::/48", 254].ipv6
    assert routes["10.56.0.0/16", 254].hops[0].gateway == "10.1.0.4"
    told = {(rule.priority, rule.text) for rule in links.rules[key] if not rule.ipv6}
    assert {text for _priority, text in told} == {
        "from 10.0.0.0/8 fwmark 0x5/0xff lookup 100", "from all to 10.3.0.0/16 iif v0 prohibit",
        "not from 10.4.0.1/32 lookup main",
    }  # fmt: skip
    assert {priority for priority, _text in told} == {
        rule["priority"] for rule in net.json("rule") if 0 < rule["priority"] < 32766
    }


def test_nexthop_objects_where_routes_tell_only_their_id(net: OwnNet) -> None:
    run(["sysctl", "-q", "-w", "net.ipv4.nexthop_compat_mode=0"])
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    net.ip("link", "set", "v0", "up")
    net.ip("link", "set", "v1", "up")
    net.ip("addr", "add", "10.1.0.1/24", "dev", "v0")
    net.ip("nexthop", "add", "id", "5", "via", "10.1.0.4", "dev", "v0")
    net.ip("nexthop", "add", "id", "6", "via", "10.1.0.5", "dev", "v0")
    net.ip("nexthop", "add", "id", "9", "group", "5,4/6")
    net.ip("route", "add", "10.56.0.0/16", "nhid", "9")
    links = read_once()
    (route,) = (one for one in links.routes[net.key()] if one.destination == "10.56.0.0/16")
    assert [(hop.gateway, hop.weight) for hop in route.hops] == [("10.1.0.4", 4), ("10.1.0.5", 1)]


def test_neighbours_and_forwarding_tables_are_those_that_ip_and_bridge_tell(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", netns="a")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1")
    # Without an address it sends nothing that the bridge would learn from just now.
    net.ip("link", "set", "v1", "addrgenmode", "none")
    net.ip("link", "set", "v0", "master", "br0", "up", netns="a")
    net.ip("link", "set", "br0", "up", netns="a")
    net.ip("link", "set", "v1", "up")
    net.ip("neigh", "add", "10.1.0.77", "lladdr", "02:00:00:00:00:77", "dev", "br0", netns="a")
    run(["bridge", "-n", "a", "fdb", "add", "02:00:00:00:00:88", "dev", "v0", "master", "static"])
    links = read_once()
    bridge, port = link_of(links, "br0", net.key("a")), link_of(links, "v0", net.key("a"))
    (neighbour,) = (one for one in links.neighbours[bridge.key] if one.address == "10.1.0.77")
    assert (neighbour.mac, neighbour.state) == ("02:00:00:00:00:77", "permanent")
    ours = {(entry.mac, "master" in entry.flags) for entry in links.fdb[port.key]}
    told = {
        (entry["mac"], "master" in entry)
        for entry in net.bridge("fdb", "show", "dev", "v0", netns="a")
        if not entry["mac"].startswith(("33:33", "01:00"))
    }
    assert ours == told
    assert ("02:00:00:00:00:88", True) in ours


def test_switches_of_a_namespace_and_of_its_links(net: OwnNet) -> None:
    net.add_netns("a", "b")
    net.ip("link", "add", "v0", "netns", "a", "type", "veth", "peer", "name", "v1", "netns", "a")
    inside = ["ip", "netns", "exec", "a", "sysctl", "-q", "-w"]
    run([*inside, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=2", "net.ipv6.conf.all.forwarding=1"])
    run([*inside, "net.ipv4.conf.v0.rp_filter=1", "net.ipv4.conf.v1.forwarding=0"])
    links = read_once()
    a, b = links.namespaces[net.key("a")].settings, links.namespaces[net.key("b")].settings
    assert (a.ipv4_forwarding, a.ipv6_forwarding, a.rp_filter) == (True, True, 2)
    assert (b.ipv4_forwarding, b.ipv6_forwarding) == (False, False)
    v0, v1 = link_of(links, "v0", net.key("a")), link_of(links, "v1", net.key("a"))
    assert (v0.rp_filter, v0.forwarding) == (1, True)
    assert (v1.rp_filter, v1.forwarding) == (0, False)


def test_whether_bridged_packets_pass_the_firewall_is_read_in_each_namespace(net: OwnNet) -> None:
    if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        pytest.skip("kernel lacks br_netfilter")
    net.add_netns("a", "b")
    run(["ip", "netns", "exec", "a", "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0"])
    links = read_once()
    assert links.namespaces[net.key("a")].settings.bridge_nf_iptables is False
    assert links.namespaces[net.key("b")].settings.bridge_nf_iptables is True


def test_links_equal_those_of_pyroute2(net: OwnNet) -> None:
    net.add_netns("a", "b")
    net.ip("link", "add", "br0", "type", "bridge", netns="a")
    for number in range(20):
        net.ip("link", "add", f"p{number}", "netns", "a", "type", "veth", "peer", "name", f"q{number}", "netns", "b")
        net.ip("link", "set", f"p{number}", "master", "br0", "mtu", str(1400 + number), netns="a")
    net.ip("link", "set", "q3", "up", "address", "02:00:00:00:00:03", netns="b")
    names = ("", "a", "b")
    assert our_rows(read_once(), map(net.key, names)) == rows_of_pyroute2(net, names)


def test_without_root_only_home_is_read_and_it_is_said(net: OwnNet) -> None:
    net.add_netns("a")
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "a")
    net.ip("link", "add", "w0", "type", "veth", "peer", "name", "w1")
    seen = json.loads(_as_nobody())
    assert seen["links"] == ["lo", "v0", "w0", "w1"]
    assert seen["unseen"] == ["v0"]
    assert seen["pairs"] == ["w0", "w1"]
    assert seen["problems"] == {"a": "not root", "host": ""}
    assert "other namespaces: not root" in seen["limits"]


def _as_nobody() -> str:
    """What a process without rights reads, as JSON."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            links = read_once()
            found = {
                "links": sorted(link.name for link in links.links.values()),
                "unseen": sorted(link.name for link in links.links.values() if link.parent_netns_unseen),
                "pairs": sorted(link.name for link in links.links.values() if link.peer),
                "problems": {one.name: one.problem for one in links.namespaces.values() if one.name in ("a", "host")},
                "limits": links.limits,
            }
            os.write(there, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(there)
    with open(here) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def test_hostile_names_are_cleaned_and_kept_raw_beside(net: OwnNet) -> None:
    raw = os.fsencode("a\x1b[31m\u202e") + b"\xff"
    net.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    run_bytes(b"ip", b"link", b"set", b"v1", b"name", raw)
    run_bytes(b"ip", b"link", b"set", raw, b"alias", b"x\x1b]0;owned\x07")
    run_bytes(b"ip", b"link", b"property", b"add", b"dev", raw, b"altname", b"alt\x9b2J[red]")
    run_bytes(b"ip", b"netns", b"add", b"n s\x1b[2J\n\xe2\x80\xae")
    links = read_once()
    (link,) = (one for one in links.links.values() if one.netns == net.key() and one.raw_name not in ("lo", "v0"))
    assert os.fsencode(link.raw_name) == raw
    assert link.name == "a␛[31m��"
    assert link.alias == "x␛]0;owned␇"
    assert link.altnames == ("alt�2J[red]",)
    (netns,) = (one for one in links.namespaces.values() if one.raw_name.startswith("n s"))
    assert os.fsencode(netns.raw_name) == b"n s\x1b[2J\n\xe2\x80\xae"
    assert netns.name == "n s␛[2J␊�"
    assert not netns.problem
    assert any(one.netns == netns.key for one in links.links.values())


def run_bytes(*argv: bytes) -> None:
    """Run a program whose arguments are no text."""
    run([os.fsdecode(word) for word in argv])
