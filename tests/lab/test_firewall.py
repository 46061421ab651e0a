"""Rules of real namespaces: libvirt's own, a router's, all families, and changes as they happen."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.lab.host import LabHost
from tests.lab.spaces import in_netns, lab_netns, links_of, made_netns, number
from tui.model.firewall import Firewall
from tui.model.firewall_facts import forward_drops, nat_of, port_forwards
from tui.model.link import Netns, NetnsKind
from tui.model.snapshot import HostSnapshot
from tui.runtime import fabric
from tui.runtime.board import Board
from tui.runtime.fabric import FabricReader
from tui.sources import firewall
from tui.sources.firewall import FirewallReader
from tui.sources.inside import inside, own_netns

PATIENCE_S = 20.0


def read(netns: Netns) -> Firewall:
    return FirewallReader().read([netns])[netns.key]


def nft(lab: LabHost, netns: Netns, *words: str) -> None:
    in_netns(lab, netns, ["nft", *words])


def forward_chain(lab: LabHost, netns: Netns, policy: str = "drop") -> None:
    nft(lab, netns, "add", "table", "inet", "lab")
    nft(lab, netns, f"add chain inet lab forw {{ type filter hook forward priority 0; policy {policy}; }}")


def test_the_rules_of_a_nat_network_of_libvirt(lab: LabHost) -> None:
    subnet = lab.define_network("lan", bridge="virbr7", forward="nat")
    found = read(lab_netns(lab))
    assert not found.problem
    source = f"10.77.{subnet}.0/24"
    assert {(nat.kind, nat.source, nat.destination) for nat in nat_of(found) if nat.family == "ip"} == {
        ("masquerade", source, f"!{source}")
    }
    forward = [rule for chain in found.chains for rule in chain.rules if rule.verdict == "accept" and rule.iif]
    assert any(rule.iif == "virbr7" and rule.source == source and rule.understood for rule in forward)


def test_a_router_that_hides_what_is_behind_it(lab: LabHost) -> None:
    with made_netns(lab, "r1") as router:
        assert read(router).chains == ()
        in_netns(lab, router, ["iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-o", "r1-ex", "-j", "MASQUERADE"])
        nft(lab, router, "add", "table", "ip", "own")
        nft(lab, router, "add chain ip own pre { type nat hook prerouting priority dstnat; }")
        nft(lab, router, "add", "rule", "ip", "own", "pre", "tcp", "dport", "2222", "dnat", "to", "10.0.0.9:22")
        forward_chain(lab, router)
        found = read(router)
        (nat,) = nat_of(found)
        assert (nat.kind, nat.oif, nat.exact) == ("masquerade", "r1-ex", True)
        (forward,) = port_forwards(found)
        assert (forward.protocol, forward.ports, forward.to) == ("tcp", "2222", "10.0.0.9:22")
        assert forward_drops(found)
        nft(lab, router, "flush", "ruleset")
        assert read(router).chains == ()


def test_packets_are_counted(lab: LabHost) -> None:
    with made_netns(lab, "counted") as netns:
        nft(lab, netns, "add", "table", "inet", "lab")
        nft(lab, netns, "add chain inet lab out { type filter hook output priority 0; }")
        nft(lab, netns, "add", "rule", "inet", "lab", "out", "oifname", "lo", "counter", "accept")
        reader = FirewallReader()
        (rule,) = reader.read([netns])[netns.key].chains[0].rules
        assert rule.packets == 0
        in_netns(lab, netns, ["ping", "-c", "1", "-W", "2", "127.0.0.1"])
        assert reader.read([netns])[netns.key].chains[0].rules == (rule,), "nothing tells of counters"
        (rule,) = reader.read([netns], anew=True)[netns.key].chains[0].rules
        assert (rule.packets, rule.understood, rule.oif) == (2, True, "lo")


def test_rules_of_iptables_legacy(lab: LabHost) -> None:
    with made_netns(lab, "old") as netns:
        try:
            in_netns(lab, netns, ["iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-o", "up", "-j", "MASQUERADE"])
        except RuntimeError as error:
            pytest.skip(f"kernel lacks iptables-legacy: {error}")
        found = read(netns)
        assert found.legacy == ("ip nat",)
        (nat,) = nat_of(found)
        assert (nat.kind, nat.oif) == ("masquerade", "up")


def test_without_its_program_iptables_legacy_is_a_problem(lab: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "_legacy_tables", lambda: ("ip nat",))
    real = firewall._program
    monkeypatch.setattr(firewall, "_program", lambda name: None if "legacy" in name else real(name))
    with made_netns(lab, "old") as netns:
        assert "iptables-legacy-save is not installed" in read(netns).problem


def test_without_nft_there_is_a_problem_where_there_are_rules(lab: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "_program", lambda _name: None)
    with made_netns(lab, "bare") as netns:
        assert not read(netns).problem
        forward_chain(lab, netns)
        assert read(netns).problem == "nft is not installed"
        assert forward_drops(read(netns)) is None


def test_a_namespace_that_has_gone(lab: LabHost) -> None:
    with made_netns(lab, "short") as netns:
        pass
    assert read(netns).problem == "the namespace is gone"
    other = Netns(netns.key, "other", "other", NetnsKind.NAMED, pid=lab.namespaces.pid)
    assert read(other).problem == "the namespace is gone", "the process is in another one"


def test_the_thread_comes_back_after_an_error(lab: LabHost) -> None:
    home, seen = own_netns(), []
    with made_netns(lab, "inner") as netns, suppress(ZeroDivisionError), inside(netns):
        seen.append(own_netns())
        raise ZeroDivisionError
    assert (seen, own_netns()) == ([netns.key], home)


def test_hostile_names_and_comments(lab: LabHost) -> None:
    with made_netns(lab, "hostile") as netns:
        nft(lab, netns, "add", "table", "inet", "lab")
        nft(lab, netns, "add chain inet lab c { type filter hook forward priority 0; }")
        nft(lab, netns, 'add rule inet lab c iifname "[red]\x1b[2J" drop comment "\x1b]0;owned\x07\u202ex"')
        (chain,) = read(netns).chains
        (rule,) = chain.rules
        assert rule.iif == "[red]\x1b[2J", "raw, to be compared"
        assert rule.text.isprintable()
        assert "owned" in rule.text


def test_not_root_reads_nothing_and_says_so(lab: LabHost) -> None:
    def as_nobody() -> str:
        os.setresuid(65534, 65534, 65534)
        return read(Netns(own_netns(), "host", "host", NetnsKind.HOME)).problem

    assert lab.uri
    assert in_child(as_nobody) == "not root"


def in_child(work: object) -> str:
    """What a function returns in a process of its own."""
    assert callable(work)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        text = "failed"
        try:
            text = work()
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.waitpid(pid, 0)
    text = os.read(reading, 4096).decode()
    os.close(reading)
    os.close(writing)
    return text


@contextmanager
def watching(*namespaces: Netns) -> Iterator[Board]:
    """The reading thread, looked at, with what nothing tells of read every hour."""
    board = Board("qemu:///system", read_only=True, publish=lambda _snapshot: None)
    board.update(links=links_of(*namespaces))
    reader = FabricReader(board, local=True, watched=lambda: True)
    reader.start()
    try:
        assert board.wait(lambda seen: "dnsmasqs" not in seen.unread, PATIENCE_S)
        yield board
    finally:
        reader.stop()


def rules_of(seen: HostSnapshot, netns: Netns) -> int:
    return sum(len(chain.rules) for chain in seen.firewalls[netns.key].chains)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read but on events."""
    monkeypatch.setattr(fabric, "WATCHED_S", 3600.0)
    monkeypatch.setattr(fabric, "_LOOK_S", 3600.0)


@pytest.mark.usefixtures("slow")
def test_a_change_anywhere_is_heard_of(lab: LabHost) -> None:
    with made_netns(lab, "one") as one, made_netns(lab, "two") as two:
        number(one)
        number(two)
        with watching(one, two) as board:
            before = board.snapshot.firewalls
            forward_chain(lab, two)
            nft(lab, two, "add", "rule", "inet", "lab", "forw", "iifname", "x", "drop")
            assert board.wait(lambda seen: rules_of(seen, two) == 1, PATIENCE_S)
            assert board.snapshot.firewalls[one.key] is before[one.key]
            assert forward_drops(board.snapshot.firewalls[two.key])
            nft(lab, two, "flush", "ruleset")
            assert board.wait(lambda seen: seen.firewalls[two.key].chains == (), PATIENCE_S)


@pytest.mark.usefixtures("slow")
def test_nothing_is_read_and_published_while_nothing_happens(lab: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
    with made_netns(lab, "quiet") as netns:
        number(netns)
        forward_chain(lab, netns)
        in_netns(lab, netns, ["iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"])
        with watching(netns) as board:
            sequence, ran, real = board.snapshot.sequence, threading.Event(), firewall._run

            def run(*words: str) -> str:
                ran.set()
                return real(*words)

            monkeypatch.setattr(firewall, "_run", run)
            assert not ran.wait(1.0), "our own reading is no event"
            assert board.snapshot.sequence == sequence


def test_a_new_namespace_is_read(lab: LabHost) -> None:
    with made_netns(lab, "one") as one, watching(one) as board, made_netns(lab, "late") as late:
        forward_chain(lab, late)
        board.update(links=links_of(one, late))
        assert board.wait(lambda seen: late.key in seen.firewalls, PATIENCE_S)
        assert forward_drops(board.snapshot.firewalls[late.key])
        board.update(links=links_of(one))
        assert board.wait(lambda seen: late.key not in seen.firewalls, PATIENCE_S)
