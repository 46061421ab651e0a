"""The interfaces pane of the real program, in the network of a real host: what is there, what moves, what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.screen_words import open_deck


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
def test_links_of_all_namespaces_live(lab: LabHost, name: str, tmp_path: Path, size: tuple[int, int]) -> None:
    """The names are this test's own: other labs of the machine are seen as well."""
    bridge, near, far, other = f"{name}b", f"{name}n", f"{name}f", f"{name}x"
    lab.define_network("nat1", bridge=bridge)
    lab.define_guest(name, network="nat1", wait=False)
    lab.run(["ip", "netns", "add", name])
    lab.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name])
    lab.run(["ip", "link", "set", near, "master", bridge, "up"])
    with open_deck(lab, tmp_path, size=size, inside=True) as deck:
        deck.press("5")
        deck.show_only(name)
        deck.expect(rf"{bridge} +● up")
        deck.expect(rf"{near} +◌ no carrier")
        deck.expect(rf"{far} +○ down")
        lab.run(["ip", "-n", name, "link", "set", far, "up"])
        deck.expect(rf"{near} +● forwarding")
        lab.run(["ip", "link", "set", near, "name", other])
        deck.expect(rf"{other} +● forwarding")
        lab.run(["ip", "netns", "delete", name])
        deck.terminal.wait_for(lambda term: other not in term.text())
        deck.show_only(f"user:{name}")
        deck.expect(r"vnet\d+ +● forwarding")
        deck.press("enter")
        deck.expect(f"Used by +{name}")
        deck.expect(f"Port of +{bridge}")
