"""The path trace through a router that gives packets another destination: a floating address is no end of the way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.network_scene import Net, routed
from tests.unit.test_filtering import chain, rule
from tui.model.finding import Verdict

FLOATING = "198.51.100.77"


def floating(**asked: Any) -> Net:
    """A router that has a second address outside, with a rule that leads it on."""
    net = routed()
    net.address("r1-ex@r1", "198.51.100.2/24", f"{FLOATING}/32")
    net.filter("r1", chain("prerouting", rule("dnat", to="10.0.0.52", **asked), kind="nat"))
    return net


@pytest.mark.parametrize("asked", [{}, {"destination": FLOATING}, {"iif": "r1-in"}, {"protocol": "icmp"}])
def test_an_address_that_is_led_on_is_not_said_to_be_reached(asked: dict[str, Any]) -> None:
    found = floating(**asked).trace("vm1", FLOATING)
    assert (found.verdict, found.cause) == (Verdict.UNKNOWN, None)
    router = next(hop for hop in found.hops if hop.kind == "router")
    assert any(f.verdict is Verdict.NOT_SIMULATED and "lead it on to 10.0.0.52" in f.words for f in router.facts)


@pytest.mark.parametrize(
    "asked",
    [
        {"destination": "198.51.100.78"},
        {"destination": FLOATING, "negated": frozenset({"destination"})},
        {"iif": "r1-ex"},
        {"source": "10.9.0.0/16"},
        {"protocol": "tcp", "ports": "80"},
        {"protocol": "tcp"},
    ],
)
def test_a_rule_for_others_is_no_matter(asked: dict[str, Any]) -> None:
    assert floating(**asked).trace("vm1", FLOATING).verdict is Verdict.GOOD
