"""The demo host: a node of libvirt's test driver, which keeps all of it in the memory of one connection."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tui.demo.company import COMPANY, RESERVED
from tui.demo.guest import Guest, domain_element
from tui.demo.hostile import ESCAPES, HOSTILE
from tui.demo.networks import NETWORKS, interface_elements, network_elements
from tui.demo.nodes import child, mac_of, own, uuid_of, write_node
from tui.demo.storage import POOLS, pool_elements

GUESTS: tuple[Guest, ...] = COMPANY + HOSTILE

_SHUT_DOWN = ("web-04", "db-staging")
_FORCED_OFF = ("old-ftp",)
_SUSPENDED = ("shop-api-02", "pentest-kali")
_TITLE = 1
"""VIR_DOMAIN_METADATA_TITLE"""


def write_demo_host(directory: Path) -> str:
    """Write the demo host to a file in `directory` and return the URI that opens it, `test:///...`; raises OSError.
    Each connection opened from it is a host of its own; `prepare` adds what XML cannot say."""
    node = _node(memory_gib=256)
    node.extend(domain_element(guest) for guest in GUESTS)
    node.extend(network_elements(RESERVED))
    node.extend(interface_elements())
    node.extend(pool_elements(disk for guest in GUESTS for disk in guest.disks))
    return write_node(node, directory, "demo-host.xml")


def prepare(connection: Any) -> None:
    """Bring the demo host of `connection`, a libvirt.virConnect, to what its XML cannot say: autostart, reasons of
    states, inactive networks and pools, a name and a title with C0 controls. Once for each connection; raises
    libvirt.libvirtError."""
    for guest in GUESTS:
        if guest.autostart:
            connection.lookupByName(guest.name).setAutostart(True)
    _give_reasons(connection)
    for network in NETWORKS:
        connection.networkLookupByName(network.name).setAutostart(network.autostart)
        if not network.active:
            connection.networkLookupByName(network.name).destroy()
    for name, pool in POOLS.items():
        connection.storagePoolLookupByName(name).setAutostart(pool.autostart)
        if not pool.active:
            connection.storagePoolLookupByName(name).destroy()
    for name, (new_name, title) in ESCAPES.items():
        domain = connection.lookupByName(name)
        domain.setMetadata(_TITLE, title, None, None, 0)
        domain.rename(new_name, 0)


def scaled_host(directory: Path, domains: int) -> str:
    """Write a host with so many plain domains, two of three running, and return its URI; raises OSError."""
    node = _node(memory_gib=4096)
    node.extend(_plain_domain(index) for index in range(domains))
    node.extend(network_elements(()))
    return write_node(node, directory, f"host-{domains}.xml")


def _node(memory_gib: int) -> ET.Element:
    """Return a <node>: 2 NUMA nodes of one socket, 8 cores, 2 threads each."""
    node = ET.Element("node")
    cpu = child(node, "cpu")
    for tag, value in (("mhz", 2600), ("model", "x86_64"), ("nodes", 2), ("sockets", 1), ("cores", 8), ("threads", 2)):
        child(cpu, tag, value)
    child(node, "memory", memory_gib << 20)
    return node


def _give_reasons(connection: Any) -> None:
    """Take domains through the calls that leave a reason: shut down, destroyed, paused by the user."""
    for name in (*_SHUT_DOWN, *_FORCED_OFF):
        connection.lookupByName(name).create()
    for name in _SHUT_DOWN:
        connection.lookupByName(name).shutdown()
    for name in _FORCED_OFF:
        connection.lookupByName(name).destroy()
    for name in _SUSPENDED:
        connection.lookupByName(name).resume()
        connection.lookupByName(name).suspend()


def _plain_domain(index: int) -> ET.Element:
    name = f"vm-{index:05}"
    domain = ET.Element("domain", type="kvm")
    child(domain, "name", name)
    child(domain, "uuid", uuid_of("domain", name))
    child(domain, "memory", 1 + index % 8, unit="GiB")
    child(domain, "vcpu", 1 + index % 4)
    child(child(domain, "os"), "type", "hvm", arch="x86_64")
    devices = child(domain, "devices")
    for letter in _letters(1 + index % 3):
        disk = child(devices, "disk", type="file", device="disk")
        child(disk, "driver", name="qemu", type="qcow2")
        child(disk, "source", file=f"/var/lib/libvirt/images/{name}-{letter}.qcow2")
        child(disk, "target", dev=f"vd{letter}", bus="virtio")
    for number in range(1 + index % 2):
        interface = child(devices, "interface", type="network")
        child(interface, "mac", address=mac_of(name, number))
        child(interface, "source", network="default")
        child(interface, "model", type="virtio")
    child(devices, "memballoon", model="virtio")
    child(domain, own("runstate"), 5 if index % 3 == 2 else 1)
    return domain


def _letters(count: int) -> Iterable[str]:
    return "abcdefgh"[:count]
