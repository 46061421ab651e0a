"""How often a guest's agent is asked for its vCPUs."""

from __future__ import annotations

import pytest

from tui.model.domain import Domain, DomainState
from tui.model.domain_detail import GuestVcpus
from tui.model.domain_xml import parse_domain_xml
from tui.runtime import agents
from tui.runtime.agents import AgentReader
from tui.runtime.monitors import Targets

XML = """<domain><name>a</name><memory>1</memory><vcpu>1</vcpu><devices>
<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></devices></domain>"""
ONE = Domain("one", "a", "a", 1, DomainState.RUNNING, "", True, config=parse_domain_xml(XML))
SAID = GuestVcpus((0,), (0,), ())


class Clock:
    """The time as a test sets it, in seconds."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


class Agents:
    """A link to agents that say this; None: they refuse."""

    said: GuestVcpus | None = SAID
    asked = 0

    def agent_vcpus(self, _key: str) -> GuestVcpus | None:
        self.asked += 1
        return self.said


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(agents, "time", made)
    return made


def asks(reader: AgentReader, link: Agents, clock: Clock, seconds: int) -> int:
    """How often it is asked in that time, looked at every second."""
    before = link.asked
    for _ in range(seconds):
        clock.now_s += 1
        if (key := reader._vcpus_due()) is not None:
            reader._ask_vcpus(link, key)  # type: ignore[arg-type]
    return link.asked - before


def test_asked_seldom_and_at_once_after_a_change_of_ours(clock: Clock) -> None:
    focused = ["one"]
    domains = {"one": ONE, "two": ONE}
    reader = AgentReader(lambda: None, lambda: Targets((), domains), lambda: focused[0])
    link = Agents()
    assert asks(reader, link, clock, 290) == 10
    focused[0] = "two"
    assert asks(reader, link, clock, 5) == 1
    focused[0] = "one"
    assert asks(reader, link, clock, 5) == 0, "to come back is no reason to ask again"
    assert reader.vcpus("one") == SAID
    reader.nudge()
    assert asks(reader, link, clock, 5) == 1


def test_one_that_refuses_is_asked_less_and_less(clock: Clock) -> None:
    reader = AgentReader(lambda: None, lambda: Targets((), {"one": ONE}), lambda: "one")
    link = Agents()
    link.said = None
    assert asks(reader, link, clock, 1000) == 5
    assert reader.vcpus("one") is None
    reader.nudge()
    link.said = SAID
    assert asks(reader, link, clock, 1) == 1
    assert reader.vcpus("one") == SAID
    assert asks(reader, link, clock, 300) == 10, "as often as before, once it answered"
