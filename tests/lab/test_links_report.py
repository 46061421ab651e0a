"""The links of a lab with real guests, as `virtdeck snapshot` tells them from outside its namespaces."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.lab.actions import virtdeck
from tests.lab.host import LabHost


def key_of(lab: LabHost) -> str:
    """The key of the lab's own namespace."""
    return os.readlink(f"/proc/{lab.namespaces.pid}/ns/net")[5:-1]


def links_of(lab: LabHost, tmp_path: Path) -> dict[str, Any]:
    """The part of the report that is read, with the counters of the lab's own namespace."""
    seen = json.loads(virtdeck(lab.uri, tmp_path, "snapshot", "--json").stdout)
    assert "links" not in seen["unread"]
    found: dict[str, Any] = seen["links"]
    own = {name for name, link in found["links"].items() if link["netns"] == key_of(lab)}
    assert own
    assert own <= seen["link_usage"].keys()
    return found


def test_the_tap_of_a_guest_at_the_bridge_of_its_network(lab: LabHost, tmp_path: Path, name: str) -> None:
    lab.define_network("net", bridge="virbr7")
    lab.define_guest(name, network="net", wait=False)
    links = links_of(lab, tmp_path)
    told = {link["ifname"]: link for link in json.loads(lab.run(["ip", "-j", "-d", "link"]).stdout)}
    netns = key_of(lab)
    ours = {link["name"]: link for link in links["links"].values() if link["netns"] == netns}
    assert ours.keys() == told.keys()
    (tap,) = (link for link in ours.values() if link["kind"] == "tun")
    assert tap["master"] == ours["virbr7"]["key"]
    assert tap["mac"] == told[tap["name"]]["address"]
    (owner,) = links["owners"][tap["key"]]
    assert owner["pid"] == lab.qemu_pid(name)
    assert any(route["destination"].startswith("10.77.") for route in links["routes"][netns])


def test_a_namespace_that_only_the_lab_has_a_name_for(lab: LabHost, tmp_path: Path) -> None:
    lab.run(["ip", "netns", "add", "only-here"])
    lab.run(["ip", "link", "add", "to-r", "type", "veth", "peer", "name", "to-host", "netns", "only-here"])
    links = links_of(lab, tmp_path)
    (outer,) = (link for link in links["links"].values() if link["name"] == "to-r" and link["netns"] == key_of(lab))
    inner = links["links"][outer["peer"]]
    assert (inner["name"], inner["peer"]) == ("to-host", outer["key"])
    assert links["namespaces"][inner["netns"]]["name"] == "only-here"
