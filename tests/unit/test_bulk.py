"""Many targets at once: one that cannot take a value, or has it already, does not stand in the way of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, TargetError, make_plan
from tui.do import _parts
from tui.model.domain import Domain, DomainState
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState
from tui.model.snapshot import HostSnapshot

AGENT = "<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
XML = """<domain type='kvm'><name>a</name><memory>{maximum}</memory><currentMemory>524288</currentMemory>
<vcpu current='{vcpus}'>{vcpus_max}</vcpu><iothreads>{iothreads}</iothreads><cputune><shares>{shares}</shares></cputune>
<memtune><hard_limit>{hard}</hard_limit></memtune><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><memballoon model='virtio'/>{agent}</devices></domain>"""


def domain(name: str, *, active: bool = True, agent: str = "", **given: int) -> Domain:
    values = {"maximum": 1 << 20, "vcpus": 1, "vcpus_max": 4, "iothreads": 0, "shares": 100, "hard": 4 << 20} | given
    config = parse_domain_xml(XML.format(**values, agent=agent))
    state = DomainState.RUNNING if active else DomainState.SHUTOFF
    return Domain(
        f"uuid-{name}", name, name, 1 if active else None, state, "", True, config=config, persistent_config=config
    )


def context(*domains: Domain) -> Context:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 1, read_only=False)
    return Context(HostSnapshot(1, 1, connection, domains={one.key: one for one in domains}), Path("/kept"))


ABLE = domain("able", agent=AGENT, iothreads=2)


@pytest.mark.parametrize(
    ("action", "values", "other", "why"),
    [
        ("vcpus", {"count": "2", "where": "live"}, domain("b", active=False), "b is not running"),
        ("vcpus", {"count": "2", "where": "live"}, domain("b", vcpus_max=1), "the most b can have now is 1"),
        ("vcpus", {"count": "1", "via": "agent"}, domain("b"), "b has no agent channel"),
        ("vcpus", {"count": "2", "where": "persistent"}, domain("b", vcpus=2), "b has 2 already"),
        ("vcpu-set", {"vcpus": "3"}, domain("b", vcpus_max=2), "b has vCPUs 0-1"),
        ("memory", {"amount": "+256M"}, domain("b", maximum=524288), "the most b can have"),
        ("memory", {"amount": "256M", "where": "persistent"}, replace(domain("b"), persistent=False), "b is transient"),
        ("memory-max", {"maximum": "-600M"}, domain("b", maximum=524288), "must be from"),
        ("memory-stats", {"period": "5", "where": "live"}, domain("b", active=False), "b is not running"),
        ("iothread-del", {"number": "2"}, domain("b", iothreads=1), "b has no I/O thread 2"),
        ("pin", {"pins": "iothread 1=0"}, domain("b"), "b has no iothread 1"),
        ("memtune", {"hard": "2G"}, domain("b", hard=2 << 20), "b is limited so already"),
        ("scheduler", {"shares": "200"}, domain("b", shares=200), "b is scheduled so already"),
    ],
)
def test_one_that_cannot_is_left_out_of_many(action: str, values: dict[str, str], other: Domain, why: str) -> None:
    made, seen = BY_ID[f"domain.{action}"], context(ABLE, other)
    plan = make_plan(made, seen, [ABLE, other], values)
    assert {step.target for step in plan.steps} == {ABLE.key}
    assert [why in note for note in plan.notes if note.startswith("b: skipped, ")] == [True]
    with pytest.raises(TargetError, match=why):
        make_plan(made, seen, [other], values)


@pytest.mark.parametrize(
    ("action", "values", "field"),
    [
        ("vcpus", {"count": "none"}, "count"),
        ("vcpu-set", {"vcpus": "0", "state": "off"}, "vcpus"),
        ("memory", {"amount": "much"}, "amount"),
        ("memory-max", {"maximum": "1K"}, "maximum"),
        ("memtune", {"hard": "1K"}, "hard"),
    ],
)
def test_what_no_target_can_take_is_an_error_of_its_field(action: str, values: dict[str, str], field: str) -> None:
    other = domain("b")
    with pytest.raises(FieldError) as refused:
        make_plan(BY_ID[f"domain.{action}"], context(ABLE, other), [ABLE, other], values)
    assert (refused.value.field, type(refused.value)) == (field, FieldError)


@pytest.mark.parametrize(
    ("action", "parts"),
    [
        ("domain.memory-less", {"usage"}),
        ("domain.memory", {"usage"}),
        ("domain.memtune", {"usage", "detail"}),
        ("domain.scheduler", {"detail"}),
        ("domain.vcpus", {"processes", "detail", "agent"}),
        ("domain.vcpus-more", {"processes"}),
        ("domain.pin", {"cpus", "processes"}),
        ("process.affinity", {"cpus", "processes"}),
        ("domain.start", set()),
    ],
)
def test_the_command_line_reads_what_the_action_looks_at(action: str, parts: set[str]) -> None:
    assert set(_parts(BY_ID[action])) == {"domains", "configs"} | parts
