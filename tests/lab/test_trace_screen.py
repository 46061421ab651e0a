"""The trace on the real screen, inside the lab's namespaces: a fault appears while one looks, and goes when mended."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.host import LabHost
from tests.lab.routed import RoutedNetwork
from tests.lab.screen_words import CHECKOUT, Deck, xdg
from tests.terminal import Terminal


def test_a_fault_is_seen_and_mended_while_one_watches(lab: LabHost, tmp_path: Path) -> None:
    net = RoutedNetwork(lab)
    net.build()
    net.add_guest("g1")
    argv = lab.inside([sys.executable, "-m", "tui", "-c", lab.uri])
    with Terminal(argv, 120, 40, env=xdg(tmp_path), cwd=CHECKOUT) as terminal:
        deck = Deck(terminal, tmp_path)
        deck.expect("● live")
        deck.focus("g1")
        deck.press("ctrl+t")
        deck.expect("g1/net0 to outside")
        deck.expect("● the way is good, there and back")
        deck.press("p")
        deck.expect("the way is good, there and back, proven on the wire")
        deck.press(*"Gkk")
        deck.expect("answers for 198.51.100.1 on r1-ex")
        deck.press("g", "j", "c")
        with lab.console("g1") as console:
            console.run("ping -c 3 203.0.113.9")
        deck.expect(r"← 10.0.0.\d+ > 203.0.113.9 ICMP echo request seq")
        deck.expect(r"→ 203.0.113.9 > 10.0.0.\d+ ICMP echo reply seq")
        net.ip("link set p-in down")
        deck.expect("✖ veth p-in: p-in is set down")
        net.ip("link set p-in up")
        deck.expect("● the way is good, there and back")
        net.inside("r1", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        deck.expect("✖ router r1: does not forward packets")
        net.heal()
        deck.expect("● the way is good, there and back")
        deck.press("t", *"g1", "enter")
        deck.expect("g1/net0 to 10.0.0.")
        deck.press("escape")
        deck.expect_row("g1", "running")
        # From a hop to its link, and from a link to its trace.
        deck.press("ctrl+t")
        deck.expect("● the way is good, there and back")
        deck.press("j", "j", "j", "enter")
        deck.expect("5 Interfaces")
        deck.expect(r"Name +p-in")
        deck.press("ctrl+t")
        deck.expect("r1-in@r1 to outside")


def test_the_path_is_lit_in_the_topology_and_turns_good_when_it_is_mended(lab: LabHost, tmp_path: Path) -> None:
    net = RoutedNetwork(lab)
    net.build()
    net.add_guest("g1")
    argv = lab.inside([sys.executable, "-m", "tui", "-c", lab.uri])
    with Terminal(argv, 120, 40, env=xdg(tmp_path), cwd=CHECKOUT) as terminal:
        deck = Deck(terminal, tmp_path)
        deck.expect("● live")
        deck.focus("g1")
        net.ip("link set p-in down")
        deck.press("ctrl+t")
        deck.expect("✖ veth p-in: p-in is set down")
        deck.press("o")
        deck.expect("6 Topology")
        deck.expect(r"g1/net0 to outside .*esc drop the path")
        deck.expect("✖ veth p-in: p-in is set down")
        deck.expect("✖ p-in ")
        deck.expect("On the path: veth p-in")
        net.ip("link set p-in up")
        deck.expect("● the way is good, there and back")
        terminal.wait_for(lambda term: "✖" not in term.text())
        net.inside("r1", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        deck.expect("✖ router r1: does not forward packets")
        deck.expect("✖ r1 no fwd")
        net.heal()
        deck.expect("● the way is good, there and back")
        terminal.wait_for(lambda term: "✖" not in term.text())
        deck.press("escape")
        terminal.wait_for(lambda term: "to outside" not in term.text())
