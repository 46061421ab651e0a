"""The path trace across a bridge: who filters there, what was not read, and the bridge as a port of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.network_scene import HOME, VLAN_1, VLAN_10, all_bad, named, routed
from tests.unit.test_filtering import chain
from tests.unit.test_trace import FAR, vlan_filtering
from tui.model.domain import Address
from tui.model.finding import Trace, Verdict
from tui.model.firewall import Firewall
from tui.model.link import NetnsKind


def remedy(found: Trace) -> tuple[str, ...]:
    """The command of the first remedy of the cause."""
    assert found.cause is not None
    hop, fact = found.cause
    return found.hops[hop].facts[fact].remedies[0].command


def test_an_unread_firewall_makes_the_way_across_a_bridge_unknown_too() -> None:
    net = routed()
    net.firewalls[HOME] = Firewall(HOME, (), 1, problem="not root")
    found = net.trace("vm1", "10.0.0.52")
    assert (found.verdict, found.cause) == (Verdict.UNKNOWN, None)
    net = routed()
    net.netns(HOME, kind=NetnsKind.HOME, bridge_nf_iptables=True)
    del net.firewalls[HOME]
    assert net.trace("vm1", "10.0.0.52").verdict is Verdict.UNKNOWN
    net.netns(HOME, kind=NetnsKind.HOME, bridge_nf_iptables=True)
    assert net.trace("vm1", "10.0.0.52").verdict is Verdict.GOOD


@pytest.mark.parametrize("hook", ["prerouting", "forward", "postrouting"])
def test_br_netfilter_has_frames_of_both_families_filtered_at_every_hook(hook: str) -> None:
    net = routed()
    net.netns(HOME, kind=NetnsKind.HOME, bridge_nf_iptables=True)
    net.filter(HOME, chain(hook, policy="drop"))
    assert named(net.trace("vm1", "10.0.0.52")) == ("br-in: bridge-nf-call-iptables", "bridge-nf-drop")
    net.leases["vm1"] = (Address("fd00::51", 64, "52:54:00:00:00:01", "lease"),)
    net.leases["vm2"] = (Address("fd00::52", 64, "52:54:00:00:00:02", "lease"),)
    net.filter(HOME, replace(chain(hook, policy="drop"), family="ip6"))
    assert net.trace("vm1", "fd00::52").verdict is Verdict.GOOD
    net.netns(HOME, kind=NetnsKind.HOME, bridge_nf_ip6tables=True)
    net.filter(HOME, replace(chain(hook, policy="drop"), family="ip6"))
    found = net.trace("vm1", "fd00::52")
    assert named(found) == ("br-in: bridge-nf-call-ip6tables", "bridge-nf-drop")
    assert "net.bridge.bridge-nf-call-ip6tables=0" in remedy(found)


def test_a_bridge_that_filters_by_vlan_is_a_port_of_itself() -> None:
    """The host's own address on it is reached by those VLANs alone that it is in."""
    net = routed()
    net.address("br-in", "10.0.0.9/24")
    vlan_filtering(net, VLAN_10, VLAN_10)
    net.change("br-in", vlans=VLAN_1)
    found = net.trace("vm1", "10.0.0.9")
    assert named(found) == ("br-in", "vlan-mismatch")
    assert remedy(found) == ("bridge", "vlan", "add", "dev", "br-in", "vid", "10", "self")
    net.change("br-in", vlans=VLAN_10)
    assert net.trace("vm1", "10.0.0.9").verdict is Verdict.GOOD
    assert ("br-in", "vlan-mismatch") not in all_bad(net.trace("vm1", FAR)), "its own stack is not meant"


def test_what_the_stack_of_a_bridge_sends_is_in_its_own_vlan() -> None:
    net = routed()
    net.address("br-in", "10.0.0.9/24")
    vlan_filtering(net, VLAN_10, VLAN_10)
    for vlans, bad in ((VLAN_1, ("vnet1", "vlan-mismatch")), ((), ("br-in", "vlan-no-pvid")), (VLAN_10, None)):
        net.change("br-in", vlans=vlans)
        assert named(net.trace("", "10.0.0.51", link="br-in")) == bad
