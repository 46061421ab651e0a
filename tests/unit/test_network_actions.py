"""Actions on networks: where they apply, what they plan, what they refuse; and plans carried out on the test driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.conftest import watched
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, Target, make_plan
from tui.demo import prepare
from tui.do import UsageError, _target
from tui.model.dnsmasq import Lease
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.link import Link, LinkAddress, Links, Netns, NetnsKind, NextHop, Route
from tui.model.network import DnsHost, Network, Networks
from tui.model.plan import Confirm, Plan, Step
from tui.ops import execute
from tui.ops.base import OpError
from tui.ops.networks import DestroyNetwork, EditNetwork, UpdateNetwork
from tui.runtime.collector import Collector

MAC = "52:54:00:00:00:01"


@pytest.fixture(scope="module")
def seen(demo_uri: str) -> Iterator[Collector]:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as collector:
        yield collector


@pytest.fixture
def context(seen: Collector, tmp_path: Path) -> Context:
    return Context(seen.board.snapshot, tmp_path)


def networks(context: Context) -> Networks:
    assert context.snapshot.networks is not None
    return context.snapshot.networks


def named(context: Context, name: str) -> Network:
    found = networks(context).named(name)
    assert found is not None
    return found


def with_network(context: Context, network: Network) -> Context:
    """The same host with one network as it is given."""
    changed = replace(networks(context), networks={**networks(context).networks, network.key: network})
    return replace(context, snapshot=replace(context.snapshot, networks=changed))


def plan(context: Context, ident: str, *targets: Target, **values: str) -> Plan:
    return make_plan(BY_ID[ident], context, targets or [None], values)


def words(steps: tuple[Step, ...]) -> list[str]:
    """The commands behind `virsh -c URI`."""
    return [" ".join(step.command[3:]) for step in steps]


def refused(context: Context, ident: str, *targets: Target, **values: str) -> str:
    with pytest.raises(FieldError) as caught:
        plan(context, ident, *targets, **values)
    return str(caught.value)


# Where they apply


@pytest.mark.parametrize(
    ("ident", "active", "inactive"),
    [
        ("network.start", "it is active already", None),
        ("network.destroy", None, "it is inactive"),
        ("network.replug", "whether the taps of its guests have a bridge is not known here",
         "it is inactive; start it first"),
        ("network.autostart", None, None),
        ("network.undefine", None, None),
        ("network.edit", None, None),
        ("network.host-add", None, None),
        ("network.host-remove", None, "it has no static hosts"),
        ("network.dns-add", None, None),
        ("network.dns-remove", "it has no names of its own", "it has no names of its own"),
    ],
)  # fmt: skip
def test_states_in_which_they_apply(context: Context, ident: str, active: str | None, inactive: str | None) -> None:
    action = BY_ID[ident]
    assert action.reason(context, named(context, "default")) == active
    assert action.reason(context, named(context, "old-office")) == inactive


def test_networks_that_have_nothing_of_the_sort_say_so(context: Context) -> None:
    shared, bridged = named(context, "direct-10g"), named(context, "lan")
    assert BY_ID["network.edit"].reason(context, shared) == (
        "of a network of kind macvtap only an XML file changes anything; n redefines it"
    )
    for ident in ("network.host-add", "network.dns-add", "network.host-remove", "network.dns-remove"):
        reason = BY_ID[ident].reason(context, bridged)
        assert reason == "libvirt serves no DHCP and DNS in it: it is of kind bridge"
    assert "it has no address" in str(BY_ID["network.dns-add"].reason(context, nowhere(context)))
    transient = replace(named(context, "default"), persistent=False, persistent_config=None)
    for ident in ("network.autostart", "network.undefine", "network.edit"):
        assert str(BY_ID[ident].reason(context, transient)).startswith("it is transient")


def nowhere(context: Context) -> Network:
    """An isolated network without an address."""
    network = named(context, "storage")
    return replace(network, config=replace(network.config, addresses=()))


def test_while_it_is_not_known_who_is_plugged_in_it_is_not_stopped(context: Context) -> None:
    blind = replace(context, snapshot=replace(context.snapshot, unread=frozenset({"configs"})))
    for ident in ("network.destroy", "network.undefine"):
        reason = BY_ID[ident].reason(blind, named(context, "default"))
        assert reason == "the domains are not read yet, so who is plugged in is not known"


# Start and stop


def test_a_used_network_is_typed_and_an_unused_one_is_not(context: Context) -> None:
    used = plan(context, "network.destroy", named(context, "storage"))
    assert (used.confirm, used.phrase) == (Confirm.TYPE, "storage")
    assert used.losses()[0].startswith("the network of running guests: ")
    free = plan(context, "network.destroy", named(context, "dmz"))
    assert (free.confirm, free.losses()) == (Confirm.NONE, [])
    assert words(free.undo_steps()) == ["net-start dmz"]
    assert [step.request for step in free.steps] == [DestroyNetwork(named(context, "dmz").key, unused=True)]
    assert [step.request for step in used.steps] == [DestroyNetwork(named(context, "storage").key, unused=False)]


def test_names_that_virsh_would_misread_go_by_uuid(context: Context) -> None:
    network = replace(named(context, "dmz"), raw_name="-rf")
    assert words(plan(context, "network.destroy", network).steps) == [f"net-destroy {network.key}"]


def test_a_transient_network_is_lost_when_it_stops(context: Context) -> None:
    made = plan(context, "network.destroy", replace(named(context, "dmz"), persistent=False))
    assert made.losses() == ["the network itself: it is transient"]
    assert (made.confirm, made.undo_steps()) == (Confirm.ASK, ())


def test_an_undefined_network_says_who_needs_it_and_comes_back_with_autostart(context: Context) -> None:
    made = plan(context, "network.undefine", named(context, "default"))
    assert any("goes on running, as a transient network" in note for note in made.notes)
    assert any("which do not start without it" in note for note in made.notes)
    define, autostart = words(made.undo_steps())
    assert define.startswith("net-define ")
    assert autostart == "net-autostart default"


# The form


def test_the_form_makes_the_rest_up(context: Context) -> None:
    made = plan(context, "network.define", name="new")
    assert words(made.steps)[1:] == ["net-start new"]
    request = made.steps[0].request
    assert '<ip address="192.168.123.1" prefix="24"><dhcp><range start="192.168.123.2" end="192.168.123.254" />' in (
        str(request)
    )
    assert made.notes == ("192.168.123.1/24: DHCP gives out 192.168.123.2 to 192.168.123.254",)
    assert [word.split()[0] for word in words(made.undo_steps())] == ["net-destroy", "net-undefine"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": ""}, "name: give the network a name"),
        ({"name": "-x"}, "name: must be printable, hold no / and not begin with -"),
        ({"name": "a/b"}, "name: must be printable"),
        ({"name": "default"}, "name: default exists already"),
        ({"address": "10.0.0.1"}, "address: '10.0.0.1' is no address with its prefix, as 192.168.5.1/24"),
        ({"address": "10.0.0.256/24"}, "address: '10.0.0.256/24' is no address"),
        ({"address": "fd00::1/64"}, "address: must be an IPv4 address"),
        ({"address": "10.5.0.0/24"}, "address: 10.5.0.0 is the address of the subnet 10.5.0.0/24 itself"),
        ({"address": "10.5.0.255/24"}, "address: 10.5.0.255 is the address of the subnet"),
        ({"address": "10.5.0.1/31"}, "address: leaves no address for a guest"),
        ({"address": "127.5.0.1/24"}, "address: 127.5.0.1 is no address of a network card"),
        (
            {"address": "192.168.122.129/25"},
            "address: 192.168.122.128/25 overlaps with 192.168.122.0/24 of",
        ),
        ({"address": "192.168.77.5/24"}, "overlaps with 192.168.77.0/24 of the network old-office"),
        ({"address": "none"}, "address: a network of kind nat needs an address"),
        ({"address": "none", "kind": "isolated", "range": "10.0.0.2-10.0.0.3"}, "range: there is no IPv4 address"),
        ({"range": "10.5.0.9"}, "range: write it as 10.5.0.2-10.5.0.254, or none"),
        ({"range": "10.5.0.9-10.6.0.9"}, "range: 10.6.0.9 is not in 10.5.0.0/24"),
        ({"range": "10.5.0.9-10.5.0.8"}, "range: 10.5.0.9 comes after 10.5.0.8"),
        ({"range": "10.5.0.0-10.5.0.8"}, "range: 10.5.0.0 is no address for a guest"),
        ({"range": "10.5.0.1-10.5.0.8"}, "range: holds 10.5.0.1, which is the network's own address"),
        ({"range": "a-b"}, "range: 'a' is no IP address"),
        ({"address6": "fd00::/64"}, "address6: fd00:: is the address of the subnet"),
        ({"address6": "fd00::1/64", "range6": "fd01::1-fd01::2"}, "range6: fd01::1 is not in fd00::/64"),
        ({"range6": "fd01::1-fd01::2"}, "range6: there is no IPv6 address"),
        ({"bridge": "virbr0"}, "bridge: default has a bridge virbr0 already"),
        ({"bridge": "a bridge"}, "bridge: the name of a link has 1 to 15 characters"),
        ({"bridge": "x" * 16}, "bridge: the name of a link has 1 to 15 characters"),
        ({"kind": "bridge"}, "bridge: give the bridge on the host"),
        ({"kind": "bridge", "bridge": "br0", "address": "10.5.0.1/24"}, "address: who is on the bridge or link gives"),
        ({"kind": "macvtap"}, "device: give the link of the host that guests share"),
        ({"kind": "macvtap", "device": "eth0", "bridge": "br0"}, "bridge: a macvtap has no bridge"),
        ({"kind": "open", "device": "eth0"}, "device: a network of kind open is not bound to a link"),
        ({"direct": "vepa"}, "direct: only a macvtap has a mode"),
        ({"mtu": "67"}, "mtu: must be from 68 to 65535 bytes"),
        ({"kind": "bridge", "bridge": "br0", "mtu": "1400"}, "mtu: the MTU of a network of kind bridge is that of its"),
        ({"domain": "a b"}, "domain: 'a b' is no DNS name"),
        ({"kind": "ovs", "bridge": "br0", "domain": "x"}, "domain: libvirt answers no DNS in a network of kind ovs"),
        ({"portgroups": "lan=5000"}, "portgroups: a VLAN is a number from 1 to 4094, not '5000'"),
        ({"portgroups": "lan=1; lan=2"}, "portgroups: 'lan=2': each has a name of its own"),
    ],
)
def test_what_the_form_refuses(context: Context, values: dict[str, str], said: str) -> None:
    given = {"name": "new", "address": "10.5.0.1/24", **values}
    if given.get("kind") in ("bridge", "ovs", "macvtap") and "address" not in values:
        given["address"] = ""
    assert said in refused(context, "network.define", **given)
    assert said in refused(context, "network.create", **given)


def links(*, address: str = "", route: str = "") -> Links:
    """A host whose eth0 has an address, or a route over it."""
    home = Netns("1", "host", "", NetnsKind.HOME)
    link = Link("1:2", "1", 2, "eth0", "eth0", "ethernet", MAC, 1500, True, True, "up")
    text, _, prefix = address.partition("/")
    found = {"1:2": (LinkAddress(text, int(prefix or 0), scope="global"),)}
    routes = {"1": (Route("1", route, (NextHop("1:2", "10.0.0.254"),), 254),)} if route else {}
    return Links({"1": home}, {"1:2": link}, 0, addresses=found if address else {}, routes=routes)


def test_the_hosts_own_subnets_are_refused_and_its_routes_warned_of(context: Context) -> None:
    host = replace(context, snapshot=replace(context.snapshot, links=links(address="10.5.0.7/16")))
    assert "10.5.0.0/24 overlaps with 10.5.0.0/16 of link eth0" in refused(
        host, "network.define", name="new", address="10.5.0.1/24"
    )
    routed = replace(context, snapshot=replace(context.snapshot, links=links(route="10.0.0.0/8")))
    made = plan(routed, "network.define", name="new", address="10.5.0.1/24")
    assert any("the host's route to 10.0.0.0/8 over eth0 overlaps with 10.5.0.0/24" in note for note in made.notes)
    taken = replace(context, snapshot=replace(context.snapshot, links=links(route="192.168.120.0/21")))
    assert 'address="192.168.128.1"' in str(plan(taken, "network.define", name="new").steps[0].request)


def test_a_file_of_a_network_that_is_there_redefines_it(context: Context, tmp_path: Path) -> None:
    network = named(context, "default")
    path = tmp_path / "n.xml"
    path.write_text(network.persistent_xml)
    made = plan(context, "network.define", xml=str(path), start="no")
    assert made.steps[0].title == "redefine default"
    assert any("default exists: its configuration is replaced; it changes when" in note for note in made.notes)
    assert refused(context, "network.define", xml=str(path)) == "start: default is active; say no"
    path.write_text(network.persistent_xml.replace(network.key, "12345678-1234-1234-1234-123456789abc"))
    assert refused(context, "network.define", xml=str(path)) == "xml: default exists already, with another UUID"
    path.write_text("<pool/>")
    assert refused(context, "network.define", xml=str(path)) == "xml: not a network but a <pool>"
    path.write_text("<network><name>n</name><ip address='192.168.122.1' prefix='24'/></network>")
    made = plan(context, "network.define", xml=str(path))
    assert any("overlaps with 192.168.122.0/24 of the network default" in note for note in made.notes)


# Settings


def test_only_what_was_changed_is_set(context: Context) -> None:
    made = plan(context, "network.edit", named(context, "default"), mtu="1400", range="192.168.122.50-192.168.122.60")
    (step,) = made.steps
    assert isinstance(step.request, EditNetwork)
    assert step.request.settings == (("mtu", "1400"), ("range", "192.168.122.50-192.168.122.60"))
    assert any("goes on as it is until it is stopped and started" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("default", {}, "mode: default has these settings already"),
        ("default", {"mode": "bridge"}, "mode: default has a bridge of its own: isolated, nat, route or open"),
        ("default", {"mode": "isolated", "device": "eth0"}, "device: isolated is not bound to a link"),
        ("default", {"bridge": ""}, "bridge: give it a name"),
        ("default", {"bridge": "virbr10"}, "bridge: lab has a bridge virbr10 already"),
        ("default", {"delay": "99"}, "delay: must be from 0 to 30 seconds"),
        ("default", {"range": "10.0.0.1-10.0.0.2"}, "range: 10.0.0.1 is not in 192.168.122.0/24"),
        ("default", {"range": "192.168.122.1-192.168.122.9"}, "range: holds 192.168.122.1"),
        ("default", {"range6": "fd00::1-fd00::2"}, "range6: it has no IPv6 address"),
        ("lan", {"mtu": "1400"}, "mtu: a network of kind bridge does not have it"),
        ("lan", {"mode": "nat"}, "mode: a network of kind bridge does not have it"),
    ],
)
def test_what_an_edit_refuses(context: Context, name: str, values: dict[str, str], said: str) -> None:
    assert said in refused(context, "network.edit", named(context, name), **values)


# Static hosts and names


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"address": "10.9.9.9"}, "address: now 10.9.9.9 is in no subnet of default: 192.168.122.0/24"),
        ({"address": "fd00::1"}, "client: a DHCPv6 client is known by its DUID"),
        ({"address": "192.168.122.1"}, "address: 192.168.122.1 is the network's own address"),
        ({"address": "192.168.122.0"}, "address: 192.168.122.0 is no address for a guest"),
        ({"address": "192.168.122.10"}, "address: "),
        ({"address": "x"}, "address: 'x' is no IP address"),
        ({"client": "53:54:00:00:00:01"}, "client: must be the MAC of a NIC, or the name of a guest"),
        ({"client": "nobody"}, "client: must be the MAC of a NIC, or the name of a guest"),
        ({"name": "a b"}, "name: 'a b' is no DNS name"),
        ({"client": "", "address": "fd00::5"}, "name: give a DUID, or the name"),
        ({"client": "01:zz:03", "address": "fd00::5"}, "client: a DUID is written as"),
    ],
)
def test_static_hosts_that_would_never_work_are_refused(context: Context, values: dict[str, str], said: str) -> None:
    given = {"client": MAC, "address": "192.168.122.77", **values}
    assert said in refused(context, "network.host-add", named(context, "default"), **given)


def test_a_host_that_has_an_address_already_is_refused(context: Context) -> None:
    network = named(context, "default")
    host = network.config.addresses[0].hosts[0]
    said = refused(context, "network.host-add", network, client=host.mac, address="192.168.122.77")
    assert f"has {host.address} now already; take that away first" in said
    said = refused(context, "network.host-add", network, client=MAC, address="192.168.122.77", name=host.name)
    assert f"is called {host.name} in default already" in said


def test_a_guest_is_named_by_its_name_and_what_changes_for_others_is_said(context: Context) -> None:
    network = replace(
        named(context, "guests"),
        leases=(Lease("10.99.0.150", MAC, "", None), Lease("10.99.0.120", "52:54:00:00:00:09", "", None)),
    )
    guest = _guest_in(context, "guests")
    mac = next(nic.mac for nic in guest.config.nics if nic.source == "guests") if guest.config else ""
    made = plan(context, "network.host-add", network, client=guest.raw_name, address="10.99.0.9", where="live")
    request = made.steps[0].request
    assert isinstance(request, UpdateNetwork)
    assert f'mac="{mac}"' in request.xml
    made = plan(context, "network.host-add", network, client=MAC, address="10.99.0.120")
    assert [note.partition(" by now")[0] for note in made.notes[:2]] == [
        f"{MAC} has 10.99.0.150",
        "52:54:00:00:00:09 has 10.99.0.120",
    ]
    assert "lies in the range of DHCP" in made.notes[2]


def _guest_in(context: Context, network: str) -> Domain:
    return next(
        domain
        for domain in context.snapshot.domains.values()
        if domain.config is not None and any(nic.raw_source == network for nic in domain.config.nics)
    )


def test_names_go_one_by_one_and_join_an_address_that_has_some(context: Context) -> None:
    network = named(context, "default")
    assert "names: give a name" in refused(context, "network.dns-add", network, address="10.9.9.9", names=" , ")
    assert "no DNS name" in refused(context, "network.dns-add", network, address="10.9.9.9", names="a_b")
    made = plan(context, "network.dns-add", network, address="10.9.9.9", names="a, b", where="live")
    assert words(made.steps) == [
        'net-update default add-last dns-host <host ip="10.9.9.9"><hostname>a</hostname><hostname>b</hostname></host> '
        "--live"
    ]
    assert network.persistent_config is not None
    lp = '<host ip="10.9.9.9"><hostname>lp</hostname></host>'
    there = replace(network.persistent_config, dns_hosts=(DnsHost("10.9.9.9", ("lp",), lp),))
    network = replace(network, persistent_config=there)
    where = with_network(context, network)
    made = plan(where, "network.dns-add", network, address="10.9.9.9", names="a", where="persistent")
    assert [step.command[5] for step in made.steps] == ["delete", "add-last"]
    assert [step.finishes for step in made.steps] == [False, True], "a cancel in between takes no name away"


# Carried out


def test_on_the_test_driver_it_is_done_and_undone(tmp_path: Path, demo: Collector) -> None:
    context = Context(demo.board.snapshot, tmp_path)
    made = plan(context, "network.define", name="fresh", address="10.5.0.1/24", autostart="yes")
    for step in made.steps:
        execute(step.request, demo)
    found = demo.control().networkLookupByName("fresh")
    assert (found.isActive(), found.autostart()) == (1, 1)
    for step in made.undo_steps():
        execute(step.request, demo)
    assert "fresh" not in [network.name() for network in demo.control().listAllNetworks(0)]
    for ident, values in (
        ("network.edit", {"mtu": "1400"}),
        ("network.host-add", {"client": MAC, "address": "192.168.122.77"}),
        ("network.dns-add", {"address": "10.9.9.9", "names": "x"}),
        ("network.autostart", {}),
    ):
        before = demo.control().networkLookupByName("default").XMLDesc(0)
        change = plan(context, ident, named(context, "default"), **values)
        for step in change.steps:
            execute(step.request, demo)
        for step in change.undo_steps():
            execute(step.request, demo)
        assert demo.control().networkLookupByName("default").XMLDesc(0).split("<ip")[0] == before.split("<ip")[0], ident


def test_what_is_gone_is_said_to_be_gone(demo: Collector) -> None:
    with pytest.raises(OpError) as caught:
        execute(DestroyNetwork("12345678-1234-1234-1234-123456789abc"), demo)
    assert caught.value.advice == "It is gone: somebody else removed it."


def test_somebody_elses_edit_is_not_overwritten(demo: Collector, tmp_path: Path) -> None:
    request = EditNetwork(named(Context(demo.board.snapshot, tmp_path), "lan").key, (("device", "x"),), "f", "b")
    with pytest.raises(OpError, match="Nothing was changed"):
        execute(replace(request, settings=(("range", "10.0.0.1-10.0.0.2"),)), demo)


def test_on_the_command_line_a_network_is_found_by_name_and_uuid(context: Context) -> None:
    network = named(context, "default")
    assert _target(Kind.NETWORK, context.snapshot, "default") is network
    assert _target(Kind.NETWORK, context.snapshot, network.key) is network
    with pytest.raises(UsageError, match="no network nosuch"):
        _target(Kind.NETWORK, context.snapshot, "nosuch")
