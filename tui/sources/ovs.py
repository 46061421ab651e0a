"""Open vSwitch from its database: bridges, ports, tunnels and patch ports. Source: ovs-vswitchd.conf.db(5)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tui.model.ovs import Ovs, OvsBridge, OvsInterface, OvsPort
from tui.model.text import clean
from tui.sources.ovs_daemon import SwitchDaemon
from tui.sources.ovsdb import Ovsdb, Row, atoms, pairs

# Statistics are not among them: they would come every five seconds for each port.
_COLUMNS = {
    "Open_vSwitch": ("bridges", "ovs_version"),
    "Bridge": (
        "name", "ports", "datapath_type", "fail_mode", "stp_enable", "rstp_enable", "controller", "external_ids",
    ),
    "Port": ("name", "interfaces", "tag", "trunks", "vlan_mode", "bond_mode"),
    "Interface": (
        "name", "type", "ofport", "link_state", "admin_state", "mac_in_use", "options", "external_ids", "error",
    ),
    "Controller": ("target",),
}  # fmt: skip
_UP = {"up": True, "down": False}


class OvsSource:
    """Follows one ovsdb-server; raises OvsdbError (of tui.sources.ovsdb) when it is not there, or no more."""

    def __init__(self, path: str) -> None:
        """Connect and read all."""
        self._ovsdb = Ovsdb(path, "Open_vSwitch", _COLUMNS)
        self._daemon = SwitchDaemon(os.path.dirname(path))
        self._last: Ovs | None = None

    def descriptors(self) -> list[int]:
        """Return the descriptors that can be read when there is news, of the server and of the switch's daemon."""
        return [self._ovsdb.fileno(), *self._daemon.descriptors()]

    def close(self) -> None:
        """Leave the server."""
        self._ovsdb.close()
        self._daemon.close()

    def take(self) -> bool:
        """Take in the news that has come; return whether something has changed."""
        moved = self._daemon.look()
        return self._ovsdb.take() or moved

    def ask_alive(self) -> None:
        """Have the server send something, so that silence means that it hangs."""
        self._ovsdb.ask_alive()

    def read(self) -> Ovs:
        """Return what is known now; bridges that did not change, and all of it when nothing did, as the same
        objects."""
        tables = self._ovsdb.tables
        roots = list(tables["Open_vSwitch"].values())
        keys = [key for root in roots for key in atoms(root.get("bridges"))]
        old = {bridge.key: bridge for bridge in self._last.bridges} if self._last is not None else {}
        bridges = (_bridge(key, tables) for key in keys if key in tables["Bridge"])
        kept = (old[bridge.key] if bridge == old.get(bridge.key) else bridge for bridge in bridges)
        found = Ovs(
            bridges=tuple(sorted(kept, key=lambda bridge: bridge.raw_name)),
            read_ns=time.time_ns(),
            version=clean(_first(roots[0].get("ovs_version"))) if roots else "",
            netns=self._daemon.netns,
            problem=self._daemon.problem,
        )
        if self._last is None or found != replace(self._last, read_ns=found.read_ns):
            self._last = found
        return self._last


def _bridge(key: str, tables: Mapping[str, Mapping[str, Row]]) -> OvsBridge:
    row = tables["Bridge"][key]
    ports = (_port(port, tables) for port in atoms(row.get("ports")) if port in tables["Port"])
    controllers = (tables["Controller"].get(controller, {}) for controller in atoms(row.get("controller")))
    return OvsBridge(
        key=key,
        name=clean(_first(row.get("name"))),
        raw_name=_first(row.get("name")),
        ports=tuple(sorted(ports, key=lambda port: port.raw_name)),
        datapath=clean(_first(row.get("datapath_type"))),
        fail_mode=clean(_first(row.get("fail_mode"))),
        stp=any(True in atoms(row.get(column)) for column in ("stp_enable", "rstp_enable")),
        controllers=tuple(sorted(clean(_first(controller.get("target"))) for controller in controllers)),
        external_ids=_cleaned(row.get("external_ids")),
    )


def _port(key: str, tables: Mapping[str, Mapping[str, Row]]) -> OvsPort:
    row = tables["Port"][key]
    interfaces = (tables["Interface"].get(interface) for interface in atoms(row.get("interfaces")))
    return OvsPort(
        key=key,
        name=clean(_first(row.get("name"))),
        raw_name=_first(row.get("name")),
        interfaces=tuple(
            sorted((_interface(found) for found in interfaces if found is not None), key=lambda item: item.raw_name)
        ),
        tag=_number(row.get("tag")),
        trunks=tuple(sorted(int(trunk) for trunk in atoms(row.get("trunks")))),
        vlan_mode=clean(_first(row.get("vlan_mode"))),
        bond_mode=clean(_first(row.get("bond_mode"))),
    )


def _interface(row: Row) -> OvsInterface:
    return OvsInterface(
        name=clean(_first(row.get("name"))),
        raw_name=_first(row.get("name")),
        kind=clean(_first(row.get("type"))),
        ofport=_number(row.get("ofport")),
        up=_UP.get(_first(row.get("link_state"))),
        admin_up=_UP.get(_first(row.get("admin_state"))),
        mac=clean(_first(row.get("mac_in_use"))),
        options=_cleaned(row.get("options")),
        external_ids=_cleaned(row.get("external_ids")),
        error=clean(_first(row.get("error"))),
    )


def _first(value: Any) -> str:
    """Return the text of a column that holds one or none."""
    found = atoms(value)
    return str(found[0]) if found else ""


def _number(value: Any) -> int | None:
    found = [atom for atom in atoms(value) if isinstance(atom, int)]
    return found[0] if found else None


def _cleaned(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((clean(key), clean(text)) for key, text in pairs(value))
