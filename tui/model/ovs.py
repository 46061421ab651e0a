"""Open vSwitch as its database tells: bridges, ports and the interfaces behind them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OvsInterface:
    """A row of the table Interface."""

    name: str
    raw_name: str
    kind: str
    """"" or system for a link of the host, internal, patch, gre, vxlan, geneve, dpdk ..."""
    ofport: int | None = None
    up: bool | None = None
    """link_state; None: not told."""
    admin_up: bool | None = None
    mac: str = ""
    options: tuple[tuple[str, str], ...] = ()
    """remote_ip, key, peer ... of tunnels and patch ports; cleaned."""
    external_ids: tuple[tuple[str, str], ...] = ()
    """attached-mac, iface-id, vm-id ... as libvirt and Neutron set them; cleaned."""
    error: str = ""

    def option(self, name: str) -> str:
        """Return an option by its name, "" where it is not set."""
        return dict(self.options).get(name, "")


@dataclass(frozen=True, slots=True)
class OvsPort:
    """A row of the table Port: one interface, or a bond of several."""

    key: str
    """The UUID of the row."""
    name: str
    raw_name: str
    interfaces: tuple[OvsInterface, ...]
    tag: int | None = None
    trunks: tuple[int, ...] = ()
    vlan_mode: str = ""
    """access, trunk, native-tagged, native-untagged ...; "" by tag and trunks."""
    bond_mode: str = ""


@dataclass(frozen=True, slots=True)
class OvsBridge:
    """A row of the table Bridge."""

    key: str
    """The UUID of the row."""
    name: str
    raw_name: str
    ports: tuple[OvsPort, ...]
    datapath: str = ""
    """"" or system for the kernel's, netdev for userspace."""
    fail_mode: str = ""
    stp: bool = False
    controllers: tuple[str, ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ovs:
    """All of one ovsdb-server."""

    bridges: tuple[OvsBridge, ...]
    read_ns: int
    version: str = ""
    netns: str = ""
    """The key of the network namespace that ovs-vswitchd runs in; "" where it cannot be told."""
    problem: str = ""
    """Why the database cannot be read, or why what it says is not in force; "" while all is well."""
