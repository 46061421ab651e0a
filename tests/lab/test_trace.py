"""The path trace against real guests: what is broken on purpose is what it names, and a guest's ping is the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.console import Console
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.routed import FAR, RoutedNetwork
from tests.lab.trace_faults import FAULTS, GUEST, TAP, TWO_AT_ONCE, Fault, Stage

_PROGRAM = (sys.executable, "-m", "tui")


@dataclass(slots=True)
class Lab:
    """The routed network with two guests, and the program in it."""

    stage: Stage
    console: Console
    """That of the guest; held all the while, since libvirt is asked for it."""

    @property
    def net(self) -> RoutedNetwork:
        """The network."""
        return self.stage.net

    def trace(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the JSON of a trace by the program, run inside."""
        code, out, errors = self.net.virtdeck(_PROGRAM, "trace", *words, "--json")
        assert out, errors
        return code, json.loads(out)

    def triage(self) -> dict[str, dict[str, Any]]:
        """The findings of the program, run inside, by their checks without the parts."""
        _code, out, errors = self.net.virtdeck(_PROGRAM, "triage", "--json")
        assert out, errors
        return {found["check"].partition(":")[0]: found for found in json.loads(out)["findings"]}

    def pings(self, *, guest_lives: bool = True, to: str = FAR) -> bool:
        """Whether a ping of the guest is answered; of a guest that cannot run, whether it answers one."""
        if not guest_lives:
            words = ["ip", "netns", "exec", "r1", "ping", "-c", "1", "-W", "1", self.stage.address]
            return self.stage.lab.run(words, check=False).returncode == 0
        return self.console.run(f"ping -c 1 -W 1 {to}", timeout=60)[0] == 0

    def heal(self, fault: Fault) -> None:
        """Undo a fault and wait until the guest's ping is answered again."""
        fault.undo(self.stage)
        with suppress(RuntimeError):
            self.net.heal()
        self.net.heal()
        wait_until(self.pings, f"the network to be well again after: {fault.name}", timeout=60)


@pytest.fixture
def routed(lab: LabHost) -> Iterator[Lab]:
    """A healthy network with two guests."""
    net = RoutedNetwork(lab)
    net.build()
    for name in (GUEST, "g2"):
        net.add_guest(name)
    address = lab.console_log(GUEST).rpartition("LEASE eth0 ")[2].split()[0]
    with lab.console(GUEST) as console:
        made = Lab(Stage(lab, net, address), console)
        wait_until(made.pings, "the guest's ping to be answered")
        yield made
    lab.run(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"], check=False)
    lab.run(["nft", "flush", "ruleset"], check=False)


def _bad_facts(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(hop, cause, verdict) of all that is broken or warned of."""
    return [
        (hop["name"], fact["cause"], fact["verdict"])
        for hop in found["hops"]
        for fact in hop["facts"]
        if fact["verdict"] in ("broken", "warning")
    ]


def _named(found: dict[str, Any]) -> tuple[str, str] | None:
    """The hop and the cause that the trace names; where nothing is broken, those of its only warning."""
    if found["cause"] is not None:
        return found["cause"]["name"], found["cause"]["cause"]
    warned = _bad_facts(found)
    return warned[0][:2] if len(warned) == 1 else None


def test_faults_are_named_at_the_right_hop(routed: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    table, wrong, unknown = [], [], []
    for fault in FAULTS:
        fault.inject(routed.stage)
        passes = routed.pings(guest_lives=fault.guest_lives)
        code, found = routed.trace(GUEST, "--to", FAR)
        expected = (routed.stage.tap if fault.hop == TAP else fault.hop, fault.cause)
        named = _named(found)
        right = named == expected and passes is fault.passes and code == (0 if fault.passes else 1)
        verdict = "ok" if right else "unknown" if named is None and code == 4 else "WRONG"
        ping = "answered" if passes else "lost"
        table.append(
            f"{fault.name:36} {ping:9} {_words(expected):44} {_words(named):44} {found['verdict']:9} {verdict}"
        )
        if verdict == "WRONG":
            wrong.append((fault.name, passes, named, _bad_facts(found)))
        if verdict == "unknown":
            unknown.append((fault.name, json.dumps(found["hops"], indent=1)))
        routed.heal(fault)
    with capsys.disabled():
        print("", *table, f"{len(table) - len(wrong) - len(unknown)} of {len(table)} named", sep="\n")
    assert not wrong, wrong
    assert len(unknown) <= 0.05 * len(FAULTS), unknown


def test_a_strict_filter_is_told_of_before_anyone_traces(routed: Lab) -> None:
    """The host-wide check, on the same fault."""
    fault = next(fault for fault in FAULTS if fault.name == "rp_filter")
    assert "nic.rp-filter" not in routed.triage()
    fault.inject(routed.stage)
    assert routed.pings() is False
    found = routed.triage()["nic.rp-filter"]
    assert (found["severity"], found["subject"]["name"]) == ("error", GUEST)
    assert f"r1 drops what net0 sends from {routed.stage.address}" in found["message"]
    assert "r1-in2, not r1-in (rp_filter)" in found["message"]
    routed.net.inside("", *found["remedies"][0]["command"])
    wait_until(routed.pings, "the remedy to mend it")
    assert "nic.rp-filter" not in routed.triage()


def _words(named: tuple[str, str] | None) -> str:
    return "nothing" if named is None else ": ".join(named)


def test_of_two_faults_both_are_found_and_the_nearer_is_named(routed: Lab) -> None:
    for fault, (hop, cause) in TWO_AT_ONCE:
        fault.inject(routed.stage)
        assert not routed.pings()
        code, found = routed.trace(GUEST, "--to", FAR)
        expected = (routed.stage.tap if fault.hop == TAP else fault.hop, fault.cause)
        assert (code, _named(found)) == (1, expected), (fault.name, _bad_facts(found))
        assert (hop, cause, "broken") in _bad_facts(found), (fault.name, _bad_facts(found))
        routed.heal(fault)


def test_a_healthy_way_is_good(routed: Lab) -> None:
    for words in ((GUEST,), (GUEST, "--to", FAR), (GUEST, "--to", "g2"), ("g2", "--to", routed.stage.address)):
        code, found = routed.trace(*words)
        assert not _bad_facts(found), words
        assert (code, found["verdict"]) == (0, "good"), (words, found)
    names = [hop["name"] for hop in found["hops"]]
    assert names == ["g2/net0", routed.net.taps["g2"], "br-in", routed.stage.tap, "g1/net0"]


def _counts(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The packets in and out of each link that the probe counted."""
    words = {h["name"]: fact["words"] for h in found["hops"] for fact in h["facts"] if fact["source"] == "IFLA_STATS64"}
    numbers = {name: re.findall(r"\d+", text) for name, text in words.items()}
    return {name: (int(both[0]), int(both[1])) for name, both in numbers.items()}


def test_on_request_it_is_proven_on_the_wire(routed: Lab) -> None:
    code, found = routed.trace(GUEST, "--to", FAR, "--probe")
    assert (code, found["verdict"]) == (0, "good"), found
    proofs = [fact["words"] for hop in found["hops"] for fact in hop["facts"] if "probe" in fact["source"]]
    assert [words.rpartition(" in ")[0].partition(" ")[2] for words in proofs] == [
        f"answers for {routed.stage.address} on r1-in",
        "answers for 198.51.100.1 on r1-ex",
    ]
    assert "answers a ping" in found["hops"][-1]["facts"][-1]["words"]

    passed = _counts(found)
    assert passed["r1-ex"][1] > 0, "asked"
    assert passed["r1-ex"][0] > 0, "and answered"
    assert min(passed["wan0"]) > 0, passed
    assert "br-ex" not in passed, "a bridge does not count what crosses it"

    # Where it stops is seen from the counters.
    routed.net.inside("", "bridge", "link", "set", "dev", "p-ex", "state", "0")
    _code, found = routed.trace(GUEST, "--to", FAR, "--probe")
    passed = _counts(found)
    assert passed["p-ex"][0] > 1, passed
    assert sum(passed["up0"]) < passed["p-ex"][0], passed
    assert _counts(routed.trace(GUEST, "--to", FAR)[1]) == {}, "on request only"
    routed.net.heal()

    # What only the guest knows: nothing on the host is broken.
    assert routed.console.run("ip link set eth0 down")[0] == 0
    assert routed.trace(GUEST, "--to", FAR)[0] != 1
    code, found = routed.trace(GUEST, "--to", FAR, "--probe")
    assert (code, _named(found)) == (1, ("r1", "guest-silent"))
    assert routed.console.run("ip link set eth0 up; ip route replace default via 10.0.0.1 dev eth0")[0] == 0

    # Two with one address: the table knows one of them, the wire both.
    routed.net.ip(
        "netns add thief\nlink add p-thief type veth peer name eth0 netns thief\nlink set p-thief up master br-in\n"
        f"-n thief link set eth0 up\n-n thief address add {routed.stage.address}/24 dev eth0"
    )
    code, found = routed.trace(GUEST, "--to", FAR, "--probe")
    assert ("r1", "duplicate-ip", "broken") in _bad_facts(found)


def test_on_request_it_shows_what_passes_a_link(routed: Lab) -> None:
    tap = routed.stage.tap
    words = [*_PROGRAM, "-c", routed.stage.lab.uri, "trace", GUEST, "--capture", tap, "--json"]
    with subprocess.Popen(routed.stage.lab.inside(words), stdout=subprocess.PIPE, text=True) as program:
        routed.stage.lab.run(["ip", "netns", "exec", "r1", "ping", "-c", "8", routed.stage.address], check=False)
        heard = json.loads(program.communicate(timeout=60)[0])["capture"]
    assert any(f"10.0.0.1 > {routed.stage.address} ICMP echo request" in line for line in heard), heard
