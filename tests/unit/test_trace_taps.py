"""Which tap is a guest's own, where several namespaces have one of that name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.network_scene import Net, routed
from tui.model.finding import Verdict
from tui.model.link import TapFacts
from tui.model.process import QemuNic


def _byhand(net: Net, name: str) -> Net:
    net.process(700, "byhand", QemuNic("n0", "tap", name, "52:54:00:00:07:00", None, None))
    return net


def test_the_tap_that_another_process_holds_is_not_this_ones() -> None:
    """A QEMU in a namespace that is not seen, with a tap of the same name as one at home."""
    found = _byhand(routed(), "vnet1").trace("700:1", "10.0.0.52")
    assert found.verdict is Verdict.UNKNOWN
    assert [hop.kind for hop in found.hops] == ["guest", "tap"]
    assert not found.hops[-1].key


@pytest.mark.parametrize("many", [1, 2])
def test_elsewhere_it_has_to_be_the_only_one_of_its_name(many: int) -> None:
    net = _byhand(routed(), "tap9")
    for netns in ("r1", "outside")[:many]:
        net.link(f"tap9@{netns}", "tun", tap=TapFacts("tap", persistent=True))
    tap = net.trace("700:1", "10.0.0.52").hops[1]
    assert (tap.name, bool(tap.key)) == ("tap9", many == 1)


def test_without_the_process_the_tap_at_home_is_taken() -> None:
    net = routed()
    net.link("vnet1@r1", "tun", tap=TapFacts("tap", persistent=False))
    net.processes = {key: replace(one, uuid="other") for key, one in net.processes.items()}
    assert net.trace("vm1", "10.0.0.52").hops[1].key == net.key("vnet1")
