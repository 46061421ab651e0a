"""The demo host as libvirt's test driver opens it, in this process."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.unit.conftest import wait
from tui.demo import GUESTS, prepare, scaled_host, write_demo_host
from tui.demo.guest import State
from tui.demo.hostile import ESCAPES, HOSTILE
from tui.demo.networks import NETWORKS
from tui.demo.storage import POOLS
from tui.model.pin_table import drifting
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus

BY_NAME = {guest.name: guest for guest in GUESTS}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a demo host below a folder whose name has to be quoted."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    directory = tmp_path_factory.mktemp("demo") / "with blank & ünïcode"
    directory.mkdir()
    return write_demo_host(directory)


@pytest.fixture
def connection(uri: str) -> Iterator[libvirt.virConnect]:
    opened = libvirt.open(uri)
    yield opened
    opened.close()


@pytest.fixture
def prepared(connection: libvirt.virConnect) -> libvirt.virConnect:
    prepare(connection)
    return connection


def test_names_titles_and_descriptions_come_back_exactly(connection: libvirt.virConnect) -> None:
    domains = connection.listAllDomains()
    assert sorted(domain.name() for domain in domains) == sorted(guest.name for guest in GUESTS)
    for domain in domains:
        guest = BY_NAME[domain.name()]
        for kind, text in (
            (libvirt.VIR_DOMAIN_METADATA_TITLE, guest.title),
            (libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, guest.description),
        ):
            if text:
                assert domain.metadata(kind, None) == text
        if guest.description:
            assert ET.fromstring(domain.XMLDesc()).findtext("description") == guest.description


def test_it_is_about_forty_guests_in_every_state(connection: libvirt.virConnect) -> None:
    assert 40 <= len(GUESTS) <= 50
    states = {domain.name(): domain.state()[0] for domain in connection.listAllDomains()}
    assert states == {guest.name: int(guest.state) for guest in GUESTS}
    assert set(states.values()) == {int(state) for state in State}


def test_what_the_test_driver_reads_besides(connection: libvirt.virConnect) -> None:
    for guest in GUESTS:
        domain = connection.lookupByName(guest.name)
        assert bool(domain.isPersistent()) is not guest.transient
        assert domain.snapshotNum() == len(guest.snapshots)
        if guest.snapshots:
            assert domain.snapshotCurrent().getName() == guest.snapshots[-1]
        if not domain.isActive():
            assert bool(domain.hasManagedSaveImage()) is guest.managed_save
    saved = connection.lookupByName("erp-test")
    assert saved.snapshotLookupByName("erp-11.3").getParent().getName() == "erp-11.2"
    paused = connection.lookupByName("pentest-kali")
    assert paused.revertToSnapshot(paused.snapshotLookupByName("fresh")) == 0


def test_configuration_survives_the_parser(connection: libvirt.virConnect) -> None:
    xml = ET.fromstring(connection.lookupByName("db-primary").XMLDesc())
    vcpu = xml.find("vcpu")
    assert vcpu is not None
    assert (vcpu.text, vcpu.get("current")) == ("16", "8")
    assert len(xml.findall("cputune/vcpupin")) == 8
    assert len(xml.findall("cpu/numa/cell")) == 2
    assert xml.findtext("iothreads") == "2"
    assert [disk.get("type") for disk in xml.findall("devices/disk")] == ["file", "block", "block"]
    ovs = ET.fromstring(connection.lookupByName("lb-01").XMLDesc()).find("devices/interface")
    assert ovs is not None
    assert ovs.find("virtualport[@type='openvswitch']") is not None
    assert ovs.find("vlan/tag[@id='110']") is not None
    assert len(_all(connection.lookupByName("web-01"), "devices/memballoon/stats")) == 1


def test_identities_are_unique_and_stay(uri: str, connection: libvirt.virConnect) -> None:
    uuids = {domain.name(): domain.UUIDString() for domain in connection.listAllDomains()}
    assert len(set(uuids.values())) == len(GUESTS)
    macs = [mac.get("address") for d in connection.listAllDomains() for mac in _all(d, "devices/interface/mac")]
    assert len(macs) == len(set(macs)) == sum(len(guest.nics) for guest in GUESTS)
    again = libvirt.open(uri)
    assert {domain.name(): domain.UUIDString() for domain in again.listAllDomains()} == uuids
    again.close()


def _all(domain: libvirt.virDomain, path: str) -> list[ET.Element]:
    return ET.fromstring(domain.XMLDesc()).findall(path)


def test_networks_and_where_guests_are_plugged_in(prepared: libvirt.virConnect) -> None:
    networks = {network.name(): network for network in prepared.listAllNetworks()}
    assert set(networks) == {network.name for network in NETWORKS}
    for network in NETWORKS:
        assert bool(networks[network.name].isActive()) is network.active
        assert bool(networks[network.name].autostart()) is network.autostart
    modes = {ET.fromstring(item.XMLDesc()).find("forward") is None for item in networks.values()}
    assert modes == {True, False}
    used = {nic.source for guest in GUESTS for nic in guest.nics if nic.kind == "network"}
    assert used <= {network.name for network in NETWORKS if network.address}, "would crash the test driver"
    for domain in prepared.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        addresses = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
        assert len(addresses) == len(_all(domain, "devices/interface"))
    assert len(_reserved(networks["default"])) == 2


def _reserved(network: libvirt.virNetwork) -> list[ET.Element]:
    return ET.fromstring(network.XMLDesc()).findall("ip/dhcp/host")


def test_pools_hold_every_volume_that_is_used_and_do_not_overflow(connection: libvirt.virConnect) -> None:
    pools = {pool.name(): pool for pool in connection.listAllStoragePools()}
    assert set(pools) == set(POOLS)
    for pool in pools.values():
        _, capacity, allocation, available = pool.info()
        assert 0 < allocation < capacity
        assert allocation + available == capacity
    for guest in GUESTS:
        for disk in guest.disks:
            volume = pools[disk.pool].storageVolLookupByName(disk.volume)
            assert volume.path() == disk.path
            if disk.backing:
                backing = ET.fromstring(volume.XMLDesc()).findtext("backingStore/path") or ""
                assert connection.storageVolLookupByPath(backing).name() == disk.backing


def test_the_host_has_two_numa_nodes(connection: libvirt.virConnect) -> None:
    _, memory_mib, cpus, _, nodes, sockets, cores, threads = connection.getInfo()
    assert (cpus, nodes, sockets, cores, threads) == (32, 2, 1, 8, 2)
    running = [guest.memory for guest in GUESTS if guest.state is not State.SHUTOFF]
    assert sum(running) * 1024 < 1.5 * memory_mib


def test_preparing_gives_what_xml_cannot(prepared: libvirt.virConnect) -> None:
    for guest in GUESTS:
        if guest.name not in ESCAPES and not guest.transient:
            assert bool(prepared.lookupByName(guest.name).autostart()) is guest.autostart
    reasons = {name: tuple(prepared.lookupByName(name).state()) for name in ("web-04", "old-ftp", "shop-api-02")}
    assert reasons == {
        "web-04": (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN),
        "old-ftp": (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED),
        "shop-api-02": (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER),
    }
    for name, title in ESCAPES.values():
        assert "\x1b" in name
        domain = prepared.lookupByName(name)
        assert domain.name() == name
        assert domain.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == title


def test_hostile_names_hold_what_they_promise() -> None:
    names = "".join(guest.name for guest in HOSTILE)
    texts = "".join(guest.title + guest.description for guest in HOSTILE)
    assert all(sign in names for sign in "\u009b\u202e\u2028\u0085\u200b\ufeff\n\t日🐧`$\"'")
    assert {"[red]x[bold", "[@click=app.quit]boom", "-rf", "20260101", "x" * 200} <= {guest.name for guest in HOSTILE}
    assert any(unicodedata.combining(guest.name[0]) for guest in HOSTILE)
    assert "[red]x[/red]" in texts
    assert "a[/]b" in texts


@pytest.mark.parametrize("domains", [0, 1, 300])
def test_a_scaled_host_has_the_domains_that_were_asked_for(tmp_path: Path, domains: int) -> None:
    connection = libvirt.open(scaled_host(tmp_path, domains))
    assert len(connection.listAllDomains()) == domains
    assert connection.numOfDomains() == domains - domains // 3
    for domain in connection.listAllDomains()[:3]:
        assert _all(domain, "devices/disk")
        assert _all(domain, "devices/interface")
    connection.close()


def test_no_thread_of_the_demo_host_is_said_to_drift(demo: Collector) -> None:
    """The test driver knows 8 CPUs, the host that it plays has 32: what it says of them binds no thread."""
    domain = next(d for d in demo.board.snapshot.domains.values() if d.active and d.config and d.config.vcpu_pins)
    demo.focus(Focus((domain.key,), domain.key, host=True))
    seen = wait(demo, lambda seen: seen.detail is not None and seen.detail.key == domain.key)
    assert seen.detail is not None
    assert seen.detail.placements
    assert {place.affinity for place in seen.detail.placements} == {None}
    assert drifting(seen, domain) == frozenset()
