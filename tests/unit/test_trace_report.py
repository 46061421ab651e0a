"""`virtdeck trace` without a guest: words, exit codes, JSON, and what it does not import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.unit.network_scene import routed
from tests.unit.test_filtering import chain, rule
from tui.model.finding import Trace, Verdict
from tui.model.process import QemuNic
from tui.trace_report import trace_json, trace_lines
from tui.tracing import QueryError, query_of

FAR = "203.0.113.9"


def virtdeck(*words: str, uri: str = "test:///default") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LIBVIRT_DEFAULT_URI": uri}
    argv = [sys.executable, "-X", "importtime", "-m", "tui", "trace", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)


def broken() -> Trace:
    net = routed()
    net.change("p-in", up=False, carrier=False)
    return net.trace("vm1", FAR)


def test_the_text_says_the_cause_first_and_what_mends_it_last() -> None:
    lines = trace_lines(broken())
    assert lines[:2] == [f"vm1/net0 to {FAR} (a ping): broken", "cause: veth p-in@host: p-in is set down"]
    assert lines[-2:] == ["what mends it:", "  set p-in up: ip link set p-in up"]
    assert "● tap vnet1@host: is up; has a carrier; port of br-in, forwarding" in lines
    assert "✖ veth p-in@host: p-in is set down" in lines


def test_the_json_has_hops_with_facts_and_the_cause_by_number() -> None:
    found = json.loads(json.dumps(trace_json(broken())))
    assert found["verdict"] == "broken"
    cause = found["cause"]
    hop = found["hops"][cause["hop"]]
    assert (hop["name"], hop["verdict"], hop["reason"]) == ("p-in", "broken", "p-in is set down")
    assert hop["facts"][cause["fact"]]["cause"] == cause["cause"] == "link-down"
    assert cause["layer"] == "admin state"
    assert cause["remedies"][0]["command"] == ["ip", "link", "set", "p-in", "up"]
    assert set(hop) == {"kind", "name", "netns", "key", "verdict", "reason", "facts"}


def test_a_guest_is_named_by_name_nic_mac_pid_or_link() -> None:
    snapshot = routed().snapshot()
    for words in ("vm1", "vm1/0", "vm1/net0", "vm1/vnet1", "vm1/52:54:00:00:00:01", "52:54:00:00:00:01"):
        query = query_of(snapshot, words, "", "")
        assert (query.guest, query.nic, query.to) == ("vm1", 0, ""), words
    assert query_of(snapshot, "vm1", "", "vm2").to == "10.0.0.52"
    assert query_of(snapshot, "", "r1-in@r1", FAR).link == routed().key("r1-in@r1")
    assert query_of(snapshot, "", "up0", FAR).link == routed().key("up0")


@pytest.mark.parametrize(
    ("source", "link", "to", "said"),
    [
        ("vm9", "", "", "no guest or NIC vm9"),
        ("vm1/7", "", "", "no guest or NIC vm1/7"),
        ("", "nothing", "", "no link nothing"),
        ("", "r1-in@outside", "", "no link r1-in@outside"),
        ("vm1", "", "vm9", "vm9 is neither an address nor a guest"),
        ("\x1b[31m", "", "", "no guest or NIC ␛[31m"),
    ],
)
def test_what_cannot_be_found_is_told(source: str, link: str, to: str, said: str) -> None:
    with pytest.raises(QueryError, match=re.escape(said)):
        query_of(routed().snapshot(), source, link, to)


def test_a_domain_comes_before_another_qemu_of_its_name() -> None:
    net = routed()
    net.process(7, "vm1", QemuNic("n0", "tap", None, None, "52:54:00:00:00:77", None))
    assert query_of(net.snapshot(), "vm1", "", "").guest == "vm1"
    assert query_of(net.snapshot(), "7", "", "").guest == "7:1"
    net.process(8, "twin", QemuNic("n0", "tap", None, None, None, None))
    net.process(9, "twin", QemuNic("n0", "tap", None, None, None, None))
    with pytest.raises(QueryError, match="twin is several guests"):
        query_of(net.snapshot(), "twin", "", "")


def test_a_link_of_two_namespaces_has_to_be_named_with_its_own() -> None:
    net = routed()
    net.netns("r2")
    net.link("r1-in@r2", "veth")
    with pytest.raises(QueryError, match="several links are called r1-in: r1-in@r1, r1-in@r2"):
        query_of(net.snapshot(), "", "r1-in", "")


def test_it_never_loads_the_screen_and_needs_no_libvirt_for_a_link() -> None:
    done = virtdeck("--link", "lo", "--to", "127.0.0.1", "--json", uri="qemu+unix:///system?socket=/nowhere")
    assert done.returncode in (0, 1, 4), done.stderr[-500:]
    assert json.loads(done.stdout)["source"].startswith("lo@")
    loaded = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))
    assert "tui.topology.trace" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {"textual", "rich"}


@pytest.mark.parametrize("words", [(), ("vm1", "--link", "lo"), ("no-such-domain",), ("--link", "no-such-link")])
def test_wrong_use_is_2(words: tuple[str, ...]) -> None:
    assert virtdeck(*words).returncode == 2


def test_no_connection_is_3() -> None:
    done = virtdeck("no-such-guest", uri="qemu+unix:///system?socket=/nowhere")
    assert done.returncode == 3
    assert "cannot connect" in done.stderr
    assert virtdeck("no-such-guest", "--no-libvirt").returncode == 2, "nothing was to be connected to"


def test_what_only_warns_is_good() -> None:
    net = routed()
    net.filter("r1", chain("postrouting", rule("masquerade", oif="r1-ex"), kind="nat"))
    net.change("r1-in@r1", mtu=1400)
    found = net.trace("vm1", FAR)
    assert (found.verdict, found.cause) == (Verdict.GOOD, None)
    lines = trace_lines(found, ["other namespaces: not root"])
    assert lines[1] == "limited: other namespaces: not root"
    assert lines[2].startswith("warning: veth r1-in@r1: MTU 1400 here, 1500 at")
