"""Network and NIC XML: read, made, edited."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import libvirt
import pytest

from tui.model.network import NetworkAddress
from tui.model.network_edit import edited
from tui.model.network_new import NewAddress, NewGroup, NewNetwork
from tui.model.network_xml import parse_network_xml, subnet_of
from tui.model.nic_xml import (
    NewNic,
    Plug,
    bandwidth_of,
    find_nics,
    free_mac,
    is_mac,
    plain,
    plug_of,
    same_plug,
    with_plug,
)

RICH = """<network><name>n</name><uuid>u</uuid><forward mode='nat' dev='eth0'><nat><port start='1' end='2'/></nat>
<interface dev='eth0'/></forward><bridge name='vir\x9bbr' stp='off' delay='2'/><mac address='52:54:00:00:00:01'/>
<mtu size='1400'/><domain name='lab.example'/><dns><host ip='10.0.0.9'><hostname>a</hostname><hostname>b</hostname>
</host></dns><portgroup name='p' default='yes'><vlan trunk='yes'><tag id='10'/><tag id='20'/></vlan></portgroup>
<ip address='10.0.0.1' netmask='255.255.252.0'><tftp root='/t'/><dhcp><range start='10.0.0.10' end='10.0.0.20'/>
<host mac='52:54:00:00:00:02' name='web' ip='10.0.0.5'/></dhcp></ip>
<ip family='ipv6' address='fd00::1' prefix='80'><dhcp><host id='0:1' ip='fd00::5'/></dhcp></ip></network>"""


# Networks


def test_a_network_has_all_that_is_shown_and_clean_names() -> None:
    found = parse_network_xml(RICH)
    assert (found.mode, found.device, found.interfaces, found.raw_bridge) == ("nat", "eth0", ("eth0",), "vir\x9bbr")
    assert found.bridge.isprintable()
    assert (found.stp, found.delay_s, found.mtu, found.domain) == (False, 2, 1400, "lab.example")
    four, six = found.addresses
    assert (four.address, four.prefix, four.tftp_root, four.ipv6) == ("10.0.0.1", 22, "/t", False)
    assert [(r.first, r.last) for r in four.ranges] == [("10.0.0.10", "10.0.0.20")]
    assert [(h.address, h.mac, h.name) for h in four.hosts] == [("10.0.0.5", "52:54:00:00:00:02", "web")]
    assert (six.prefix, six.hosts[0].duid, six.ipv6) == (80, "0:1", True)
    assert [(h.address, h.names) for h in found.dns_hosts] == [("10.0.0.9", ("a", "b"))]
    assert [(g.name, g.default, g.vlans, g.trunk) for g in found.portgroups] == [("p", True, (10, 20), True)]
    assert found.serves_dhcp


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("<bridge name='b'/>", "isolated"),
        ("<forward/><bridge name='b'/>", "nat"),
        ("<forward mode='route'/><bridge name='b'/>", "route"),
        ("<forward mode='open'/><bridge name='b'/>", "open"),
        ("<forward mode='bridge'/><bridge name='b'/>", "bridge"),
        ("<forward mode='bridge'/><bridge name='b'/><virtualport type='openvswitch'/>", "ovs"),
        ("<forward mode='bridge'><interface dev='eth0'/></forward>", "macvtap"),
        ("<forward mode='private' dev='eth0'/>", "macvtap"),
        ("<forward mode='hostdev'/>", "hostdev"),
    ],
)
def test_kinds_are_told_apart(inner: str, words: str) -> None:
    assert parse_network_xml(f"<network><name>n</name>{inner}</network>").words == words


@pytest.mark.parametrize(
    ("attributes", "prefix"),
    [
        ("address='10.1.1.1'", 8),
        ("address='172.16.0.1'", 16),
        ("address='192.168.0.1'", 24),
        ("address='fd00::1' family='ipv6'", 64),
        ("address='10.1.1.1' prefix='30'", 30),
        ("address='nonsense'", None),
        ("address='10.1.1.1' netmask='255.0.255.0'", None),
    ],
)
def test_what_the_prefix_is_where_it_is_not_said(attributes: str, prefix: int | None) -> None:
    (found,) = parse_network_xml(f"<network><name>n</name><ip {attributes}/></network>").addresses
    assert found.prefix == prefix


def test_a_subnet_of_nonsense_is_not_known() -> None:
    assert str(subnet_of(NetworkAddress("10.0.0.1", 24))) == "10.0.0.0/24"
    assert subnet_of(NetworkAddress("x", 24)) is None
    assert subnet_of(NetworkAddress("10.0.0.1", None)) is None


@pytest.mark.parametrize(
    "made",
    [
        NewNetwork("a", "", "nat", "br0", "eth0", (NewAddress("10.0.0.1", 24, "10.0.0.2", "10.0.0.9"),), "x.y", 1400),
        NewNetwork("a", "", "isolated"),
        NewNetwork("a", "", "open", addresses=(NewAddress("fd00::1", 64),)),
        NewNetwork("a", "", "ovs", "ovs0", groups=(NewGroup("p", (1, 2)), NewGroup("q", ()))),
        NewNetwork("a", "", "macvtap", device="eth0", direct="vepa"),
        NewNetwork("a", "", "bridge", "br0"),
    ],
    ids=lambda made: made.kind,
)
def test_what_is_made_is_valid_and_is_read_as_it_was_meant(made: NewNetwork) -> None:
    connection = libvirt.open("test:///default")
    # Whoever has test:///default open shares this host.
    connection.networkDefineXMLFlags(made.xml(), libvirt.VIR_NETWORK_DEFINE_VALIDATE).undefine()
    found = parse_network_xml(made.xml())
    assert found.words == made.kind
    assert (found.bridge, found.mtu, found.domain) == (made.bridge, made.mtu, made.domain)
    assert [group.vlans for group in found.portgroups] == [group.vlans for group in made.groups]
    assert [(a.address, a.prefix) for a in found.addresses] == [(a.address, a.prefix) for a in made.addresses]
    connection.close()


def test_an_edit_changes_what_was_asked_and_nothing_else() -> None:
    namespaced = RICH.replace("<network>", "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>")
    namespaced = namespaced.replace(
        "</network>", "<dnsmasq:options><dnsmasq:option value='x'/></dnsmasq:options></network>"
    )
    done = edited(namespaced, {"mtu": "9000", "range": "10.0.0.30-10.0.0.40", "domain": ""})
    before, after = parse_network_xml(namespaced), parse_network_xml(done)
    assert (after.mtu, after.domain) == (9000, "")
    assert [(r.first, r.last) for r in after.addresses[0].ranges] == [("10.0.0.30", "10.0.0.40")]
    assert [h.address for h in after.addresses[0].hosts] == ["10.0.0.5"]
    assert "dnsmasq:option value" in done
    assert (after.dns_hosts[0].names, after.portgroups) == (before.dns_hosts[0].names, before.portgroups)


@pytest.mark.parametrize(
    ("settings", "holds", "lacks"),
    [
        ({"mode": "isolated"}, "<ip", "<forward"),
        ({"mode": "route"}, 'mode="route"', "<nat>"),
        ({"device": "eth1"}, 'dev="eth1"', "<interface"),
        ({"device": ""}, "<forward", "dev="),
        ({"bridge": "br9", "stp": "on", "delay": "0"}, '<bridge name="br9" stp="on" delay="0"', "virbr"),
        ({"range": ""}, "<host mac", "<range"),
        ({"range6": "fd00::10-fd00::20"}, 'start="fd00::10"', "nothing of the sort"),
    ],
)
def test_each_setting(settings: dict[str, str], holds: str, lacks: str) -> None:
    done = edited(RICH, settings)
    assert holds in done
    assert lacks not in done


def test_settings_that_have_no_place_are_refused() -> None:
    with pytest.raises(ValueError, match="it has no IPv6 address"):
        edited("<network><name>n</name><ip address='10.0.0.1'/></network>", {"range6": "fd00::1-fd00::2"})
    with pytest.raises(ValueError, match="it has no <forward>"):
        edited("<network><name>n</name></network>", {"device": "eth0"})
    with pytest.raises(ET.ParseError):
        edited("nonsense", {"mtu": "1"})


# NICs


LIVE = """<interface type='bridge'><mac address='52:54:00:AA:00:01'/>
<source network='ovsnet' portgroup='lan' portid='x' bridge='ovs0'/><vlan><tag id='10'/></vlan>
<virtualport type='openvswitch'><parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/></virtualport>
<target dev='vnet7'/><model type='virtio'/><link state='down'/><boot order='1'/><alias name='net0'/>
<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"""


def test_a_running_nic_of_a_network_is_plugged_into_that_and_no_bridge() -> None:
    assert plug_of(LIVE) == (
        '<interface type="network"><source network="ovsnet" portgroup="lan" /><vlan><tag id="10" /></vlan>'
        '<virtualport type="openvswitch" /></interface>'
    )
    assert same_plug(plug_of(LIVE), Plug("network", "ovsnet", "lan", (10,)).xml())
    assert not same_plug(plug_of(LIVE), Plug("network", "ovsnet", "wan", (10,)).xml())
    assert not same_plug(plug_of(LIVE), Plug("network", "ovsnet", "lan", (11,)).xml())


def test_a_running_nic_keeps_the_id_of_its_port_when_its_vlan_changes() -> None:
    """libvirt takes it for another port otherwise, and refuses."""
    done = with_plug(ET.fromstring(LIVE), Plug("network", "ovsnet", "wan", switched=True).xml())
    assert 'interfaceid="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"' in done
    assert "<vlan>" not in done
    assert "interfaceid" not in with_plug(ET.fromstring(LIVE), Plug("bridge", "br0").xml())


def test_where_it_is_plugged_in_changes_alone() -> None:
    done = ET.fromstring(with_plug(ET.fromstring(LIVE), Plug("bridge", "br9").xml()))
    assert done.get("type") == "bridge"
    assert [child.tag for child in done] == ["mac", "source", "target", "model", "link", "boot", "alias", "address"]
    assert done.find("source").attrib == {"bridge": "br9"}  # type: ignore[union-attr]


def test_what_comes_back_has_no_tap_alias_or_boot_order_of_its_past() -> None:
    done = ET.fromstring(plain(LIVE))
    assert [child.tag for child in done] == ["mac", "source", "vlan", "virtualport", "model", "link", "address"]


def test_the_id_of_an_open_vswitch_port_stays_and_makes_no_other_place() -> None:
    persistent = LIVE.replace(" network='ovsnet' portgroup='lan' portid='x'", "")
    plug = plug_of(persistent)
    assert "interfaceid" in plug
    assert same_plug(plug, Plug("ovs", "ovs0", vlans=(10,)).xml())
    assert not same_plug(plug, Plug("ovs", "ovs0", vlans=(11,)).xml())


@pytest.mark.parametrize(
    ("plug", "words"),
    [
        (Plug("network", "n", "g"), '<source network="n" portgroup="g" />'),
        (Plug("bridge", "b"), '<interface type="bridge"><source bridge="b" />'),
        (Plug("ovs", "o", vlans=(5,)), '<vlan><tag id="5" /></vlan><virtualport type="openvswitch" />'),
        (Plug("macvtap", "e", mode="vepa"), '<interface type="direct"><source dev="e" mode="vepa" />'),
        (Plug("user"), '<interface type="user" />'),
    ],
    ids=lambda value: value.to if isinstance(value, Plug) else "",
)
def test_each_plug(plug: Plug, words: str) -> None:
    assert words in plug.xml()
    assert '<mac address="52:54:00:00:00:01" />' in NewNic(plug, "virtio", "52:54:00:00:00:01").xml()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("52:54:00:12:34:56", True),
        ("02:00:00:00:00:00", True),
        ("53:54:00:12:34:56", False),
        ("00:00:00:00:00:00", False),
        ("52:54:00:12:34", False),
        ("52-54-00-12-34-56", False),
        ("gg:54:00:12:34:56", False),
    ],
)
def test_what_a_mac_is(text: str, good: bool) -> None:
    assert is_mac(text) is good


def test_a_free_mac_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([b"\0\0\1", b"\0\0\2"])
    monkeypatch.setattr("tui.model.nic_xml.secrets.token_bytes", lambda _count: next(made))
    assert free_mac({"52:54:00:00:00:01"}) == "52:54:00:00:00:02"


def test_nics_are_found_by_mac_whatever_its_case() -> None:
    root = ET.fromstring(f"<domain><devices>{LIVE}{LIVE}</devices></domain>")
    assert len(find_nics(root, "52:54:00:aa:00:01")) == 2
    assert find_nics(root, "52:54:00:aa:00:02") == []


def test_limits_have_no_zeros_and_no_nonsense() -> None:
    nic = (
        "<interface><bandwidth><inbound average='5' peak='0' burst='x'/><outbound average='7'/></bandwidth></interface>"
    )
    assert bandwidth_of(ET.fromstring(nic)) == (("inbound.average", 5), ("outbound.average", 7))
