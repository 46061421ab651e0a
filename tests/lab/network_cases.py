"""The cases that tests/lab/test_network_twins.py carries out on twin networks: one for every action and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree import ElementTree as ET

from tests.lab.domain import Shape, blank_xml, element, nic_xml, text
from tests.lab.network_twins import NetworkCase, NetworkTwin, Own, SeenNetwork, in_order

# What is there before


def nothing(_twin: NetworkTwin) -> None:
    """No network at all."""


def off(twin: NetworkTwin) -> None:
    """A network that is inactive."""
    twin.define(twin.xml(), start=False)


def running(twin: NetworkTwin) -> None:
    """A network that is active."""
    twin.define(twin.xml())


def autostarted(twin: NetworkTwin) -> None:
    """An active network that starts with the host."""
    running(twin)
    twin.virsh("net-autostart")


def transient(twin: NetworkTwin) -> None:
    """An active network without persistent configuration."""
    with twin.lab.connect() as connection:
        connection.networkCreateXML(text(twin.xml()))


def in_use(twin: NetworkTwin) -> None:
    """An active network with a running domain in it."""
    running(twin)
    devices = (nic_xml(twin.name, mac=twin.mac),)
    shape = Shape(twin.guest, memory_mib=16, machine="pc", devices=devices)
    twin.lab.define(blank_xml(shape, twin.lab.emulator), start=True)


def orphaned(twin: NetworkTwin) -> None:
    """An active network that was stopped and started under a running domain."""
    in_use(twin)
    twin.virsh("net-destroy")
    twin.virsh("net-start")


def reserved(twin: NetworkTwin) -> None:
    """An active network with two static hosts and two names of an address."""
    hosts = [
        element("host", mac=f"52:54:00:00:00:0{number}", name=f"host{number}", ip=f"{twin.subnet}.{number}")
        for number in (5, 6)
    ]
    dns = element(
        "dns", element("host", element("hostname", text="one"), element("hostname", text="two"), ip="10.9.9.9")
    )
    twin.define(twin.xml(dns, dhcp=hosts))


def forwarded(twin: NetworkTwin) -> None:
    """An inactive network with NAT, a DNS domain, an MTU and IPv6."""
    root = twin.xml(element("mtu", size="1400"), element("domain", name="old.example"))
    root.insert(1, element("forward", mode="nat"))
    root.append(element("ip", family="ipv6", address=f"{twin.subnet6}:1", prefix="64"))
    twin.define(root, start=False)


def on_bridge(twin: NetworkTwin) -> None:
    """An inactive network on a bridge of the host."""
    parts = (element("forward", mode="bridge"), element("bridge", name="brx"))
    twin.define(element("network", element("name", text=twin.name), *parts), start=False)


# What is given


def own(**fields: str) -> Own:
    """Fields with what is the twin's own: NAME, BRIDGE, GUEST, MAC, and NET and NET6 for its subnets."""

    def given(twin: NetworkTwin) -> Mapping[str, str]:
        words = {"NAME": twin.name, "BRIDGE": twin.bridge, "GUEST": twin.guest, "MAC": twin.mac}
        words |= {"NET6": twin.subnet6, "NET": twin.subnet}
        found = {}
        for name, value in fields.items():
            for word, said in words.items():
                value = value.replace(word, said)
            found[name] = value
        return found

    return given


def new(**fields: str) -> Own:
    """The form with the twin's name and subnet, and fields."""
    return own(**{"name": "NAME", "address": "NET.1/24", **fields})


def there(**fields: str) -> Own:
    """The form of a network on something that is there."""
    return own(name="NAME", **fields)


def from_file(*, uuid: bool = True, more: Callable[[], ET.Element] | None = None) -> Own:
    """An XML file of the twin, under the UUID of what is there if it is there."""

    def given(twin: NetworkTwin) -> Mapping[str, str]:
        known = twin.lab.virsh("net-uuid", twin.name, check=False).stdout.strip()
        identity = known or (f"12345678-1234-4321-8765-00000000000{twin.letter}" if uuid else "")
        path = twin.folder / "given.xml"
        path.write_text(text(twin.xml(*([more()] if more else []), uuid=identity)))
        return {"xml": str(path)}

    return given


def mtu() -> ET.Element:
    """Something that differs."""
    return element("mtu", size="1300")


# What it comes to


def is_active(seen: SeenNetwork) -> bool:
    """Whether it runs."""
    return seen.active


def is_off(seen: SeenNetwork) -> bool:
    """Whether it is defined and inactive."""
    return seen.there and not seen.active and seen.persistent


def gone(seen: SeenNetwork) -> bool:
    """Whether libvirt does not know it."""
    return not seen.there


def off_with(*words: str) -> Callable[[SeenNetwork], bool]:
    """Whether it is defined with words in its XML."""
    return lambda seen: is_off(seen) and all(word in seen.config for word in words)


def sided(words: str, live: int, persistent: int) -> Callable[[SeenNetwork], bool]:
    """Whether words are so often in the XML of both sides."""
    return lambda seen: (seen.live.count(words), seen.config.count(words)) == (live, persistent)


def plugged(seen: SeenNetwork) -> bool:
    """Whether the guest's tap is in the bridge, and nothing else was left."""
    return seen.plugged == "BRIDGE" and not seen.others


_NO = {"start": "no"}
_BOTH = ("define", "create")


def _forms() -> list[NetworkCase]:
    """The form, for both actions that have it: what libvirt makes by itself is made, the rest is defined alone."""
    found = []
    for kind, words in (
        ("nat", "<forward mode='nat'"),
        ("route", "<forward mode='route'/>"),
        ("isolated", "<ip address='NET.1' prefix='24'>"),
        ("open", "<forward mode='open'/>"),
    ):
        found.append(_form("define", kind, {**_NO, "kind": kind}, new(), off_with(words, "delay='0'")))
        found.append(_form("create", kind, {"kind": kind}, new(), lambda s, w=words: s.active and w in s.live))  # type: ignore[misc]
    for mode in ("bridge", "vepa", "private", "passthrough"):
        values = {"kind": "macvtap", "direct": mode}
        found.append(
            _form("define", f"macvtap-{mode}", {**_NO, **values}, there(device="eth9"), off_with(f"mode='{mode}'"))
        )
        found.append(_form("create", f"macvtap-{mode}", values, there(device="lo"), is_active))
    for kind, words in (("bridge", "<forward mode='bridge'/>"), ("ovs", "<tag id='30'/>")):
        groups = {"portgroups": "lan=10; trunk=20,30"} if kind == "ovs" else {}
        values = {"kind": kind, **groups}
        found.append(_form("define", kind, {**_NO, **values}, there(bridge="brx"), off_with(words)))
        found.append(_form("create", kind, values, there(bridge="brx"), is_active))
    return found


def _form(
    action: str, what: str, values: Mapping[str, str], given: Own, reached: Callable[[SeenNetwork], bool]
) -> NetworkCase:
    return NetworkCase(f"network.{action}", what, nothing, reached, values, given, undo=True)


def _edit(
    what: str, make: Callable[[NetworkTwin], None], words: str, values: Mapping[str, str], given: Own | None = None
) -> NetworkCase:
    return NetworkCase("network.edit", what, make, lambda seen: words in seen.config, values, given or own(), undo=True)


CASES: tuple[NetworkCase, ...] = (
    NetworkCase("network.start", "off", off, is_active, undo=True),
    NetworkCase("network.destroy", "running", running, is_off, undo=True),
    NetworkCase("network.destroy", "transient", transient, gone),
    NetworkCase("network.destroy", "used", in_use, lambda seen: is_off(seen) and seen.plugged == "", undo=True),
    NetworkCase("network.replug", "restarted", orphaned, plugged),
    NetworkCase("network.autostart", "on", running, lambda seen: seen.autostart, {"on": "on"}, undo=True),
    NetworkCase("network.autostart", "off", autostarted, lambda seen: not seen.autostart, {"on": "off"}, undo=True),
    NetworkCase("network.autostart", "toggle", off, lambda seen: seen.autostart, undo=True),
    NetworkCase("network.undefine", "off", off, gone, undo=True),
    NetworkCase("network.undefine", "running", running, lambda seen: not seen.persistent, undo=True),
    NetworkCase("network.undefine", "autostarted", autostarted, lambda seen: not seen.persistent, undo=True),
    *_forms(),
    NetworkCase(
        "network.define", "started", nothing, lambda seen: seen.active and seen.autostart, {"autostart": "yes"},
        new(bridge="BRIDGE", range="NET.100-NET.110", address6="NET6:1/64", range6="NET6:100-NET6:1ff"), undo=True,
    ),
    NetworkCase(
        "network.define", "all", nothing,
        off_with("<mtu size='1400'/>", "<domain name='lab.example' localOnly='yes'/>", "dev='lo'"),
        {**_NO, "mtu": "1400", "domain": "lab.example", "device": "lo", "range": "none"}, new(), undo=True,
    ),
    NetworkCase("network.define", "file", nothing, is_off, _NO, from_file(), undo=True),
    NetworkCase("network.define", "file-over", running, sided("1300", 0, 1), _NO, from_file(more=mtu), undo=True),
    NetworkCase("network.define", "file-unnamed", nothing, is_off, _NO, from_file(uuid=False)),
    NetworkCase("network.create", "file", nothing, is_active, {}, from_file(), undo=True),
    NetworkCase("network.create", "file-unnamed", nothing, is_active, {}, from_file(uuid=False), undo=True),
    _edit("isolated", forwarded, "<ip address='NET.1'", {"mode": "isolated", "stp": "on", "delay": "2"}),
    _edit("route", forwarded, "<forward dev='lo' mode='route'>", {"mode": "route", "stp": "off", "device": "lo"}),
    _edit("open", forwarded, "<forward mode='open'/>", {"mode": "open", "mtu": "", "domain": ""}),
    _edit("nat", running, "<forward mode='nat'", {"mode": "nat", "domain": "new.example", "mtu": "1300"}),
    _edit("bridge", on_bridge, "<bridge name='bry'/>", {"mode": "bridge", "stp": "default", "bridge": "bry"}),
    _edit("ranges", forwarded, "start='NET.20' end='NET.30'", {},
          own(range="NET.20-NET.30", range6="NET6:20-NET6:30")),
    _edit("no-range", running, "<ip address='NET.1' prefix='24'>", {"range": "none"}, own(bridge="BRIDGEx")),
    NetworkCase(
        "network.host-add", "both", running, sided("ip='NET.50'", 1, 1), {"name": "fifty"},
        own(client="MAC", address="NET.50"), undo=True,
    ),
    NetworkCase(
        "network.host-add", "live", running, sided("ip='NET.50'", 1, 0), {"where": "live"},
        own(client="MAC", address="NET.50"), undo=True,
    ),
    NetworkCase(
        "network.host-add", "ipv6", forwarded, sided("ip='NET6:50'", 0, 1),
        {"where": "persistent", "client": "00:03:00:01:52:54:00:00:00:01"}, own(address="NET6:50"), undo=True,
    ),
    NetworkCase(
        "network.host-remove", "both", reserved, sided("host5", 0, 0), {"host": "host5"}, undo=True, forgiven=in_order,
    ),
    NetworkCase(
        "network.host-remove", "live", reserved, sided("host6", 0, 1), {"where": "live"}, own(host="NET.6"), undo=True,
    ),
    NetworkCase(
        "network.host-remove", "persistent", reserved, sided("host6", 1, 0),
        {"where": "persistent", "host": "52:54:00:00:00:06"}, undo=True,
    ),
    NetworkCase(
        "network.dns-add", "both", running, sided("<hostname>b</hostname>", 1, 1),
        {"address": "10.9.9.9", "names": "a, b"}, undo=True, forgiven=in_order,
    ),
    NetworkCase(
        "network.dns-add", "more-live", reserved, sided("<hostname>three</hostname>", 1, 0),
        {"address": "10.9.9.9", "names": "three", "where": "live"}, undo=True,
    ),
    NetworkCase(
        "network.dns-add", "persistent", running, sided("<hostname>a</hostname>", 0, 1),
        {"address": "fd00::9", "names": "a", "where": "persistent"}, undo=True, forgiven=in_order,
    ),
    NetworkCase(
        "network.dns-remove", "both", reserved, sided("<hostname>one</hostname>", 0, 0), {"name": "one"}, undo=True,
    ),
    NetworkCase(
        "network.dns-remove", "live", reserved, sided("10.9.9.9", 0, 1), {"name": "10.9.9.9", "where": "live"},
        undo=True, forgiven=in_order,
    ),
    NetworkCase(
        "network.dns-remove", "persistent", reserved, sided("<hostname>two</hostname>", 1, 0),
        {"name": "two", "where": "persistent"}, undo=True,
    ),
)  # fmt: skip
