"""vCPUs: what libvirt makes of a change and how it is taken back, plans, what stays open, and the tab."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, TargetError, make_plan
from tui.actions.vcpu_maximum import propose
from tui.model.domain import Domain, DomainState
from tui.model.domain_detail import DomainDetail, GuestVcpus, VcpuPlacement
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState
from tui.model.journal import Status
from tui.model.plan import Plan
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.model.snapshot import HostSnapshot
from tui.model.text import cells
from tui.model.tuning import Topology, VcpuSlot
from tui.model.vcpu_slots import (
    Slots,
    Turn,
    plugged,
    removable,
    slots_of,
    turns_of,
    way_back,
    with_count,
    with_set,
)
from tui.ops.vcpus import asked_of
from tui.panes.domain_rows import DomainRows
from tui.panes.spec import View
from tui.panes.vcpu_detail import vcpus
from tui.runtime.job_parts import asked_by, left_open

KEY = "4dea22b3-1d52-4b5a-8d0f-7b1a0a3d3f11"


def letters(slots: Slots) -> str:
    return "".join("n" if not slot.enabled else "h" if slot.hotpluggable else "y" for slot in slots)


def slots(text: str) -> Slots:
    """y: plugged and stays, h: plugged and can go, n: not plugged."""
    return tuple(VcpuSlot(number, letter != "n", letter != "y") for number, letter in enumerate(text))


def xml(text: str, *, listed: bool = True, more: str = "") -> str:
    found = slots(text)
    items = "".join(
        f"<vcpu id='{slot.number}' enabled='{'yes' if slot.enabled else 'no'}' "
        f"hotpluggable='{'yes' if slot.hotpluggable else 'no'}'/>"
        for slot in found
    )
    vcpus_of = f"<vcpus>{items}</vcpus>" if listed else ""
    count = sum(slot.enabled for slot in found)
    return (
        f"<domain type='kvm'><name>a</name><vcpu current='{count}'>{len(text)}</vcpu>{vcpus_of}"
        f"<memory>1024</memory>{more}</domain>"
    )


def domain(live: str, kept: str = "", *, listed: bool = True, more: str = "", kept_more: str = "") -> Domain:
    """A running domain with those vCPUs; `kept` are those of the next boot, the same when it is empty."""
    return Domain(
        KEY, "a", "a", 7, DomainState.RUNNING, "", True,
        config=parse_domain_xml(xml(live, listed=listed, more=more)),
        persistent_config=parse_domain_xml(xml(kept or live, listed=bool(kept) and listed, more=kept_more)),
        config_read_ns=100,
    )  # fmt: skip


AGENT = "<devices><channel><target type='virtio' name='org.qemu.guest_agent.0' state='{}'/></channel></devices>"


def context(one: Domain, **more: Any) -> Context:
    connection = Connection("qemu:///system", ConnectionState.LIVE, 1, read_only=False)
    snapshot = HostSnapshot(1, 1, connection, domains={one.key: one}, **more)
    return Context(snapshot, Path("/kept"))


def plan(ident: str, one: Domain, given: Context | None = None, **values: str) -> Plan:
    return make_plan(BY_ID[ident], given or context(one), [one], values)


def words(made: Plan) -> list[str]:
    return [" ".join(step.command[3:]) for step in made.steps]


def qemu(vcpu_threads: int, read_ns: int) -> QemuProcess:
    threads = tuple(QemuThread(n, "CPU", ThreadRole.VCPU, n, 0, None, None) for n in range(vcpu_threads))
    return QemuProcess(
        "1:1", 1, "a", KEY, "qemu", "x86_64", None, "tcg", "root", "a", 1, 2, 4, 1, 1, 0, "sleeping", threads, (), (),
        (), (), read_ns,
    )  # fmt: skip


# What libvirt makes of it


@pytest.mark.parametrize(
    ("before", "count", "live", "after"),
    [
        ("yynn", 3, True, "yyhn"),
        ("yynn", 3, False, "yyyn"),
        ("ynhn", 3, False, "yyhn"),
        ("ynhn", 1, False, "ynnn"),
        ("yhhn", 2, True, "yhnn"),
        ("yhyn", 2, True, "ynyn"),
        ("yynn", 1, True, "yynn"),
        ("yyyy", 2, False, "yynn"),
    ],
)
def test_a_count(before: str, count: int, live: bool, after: str) -> None:
    assert letters(with_count(slots(before), count, live=live)) == after


def test_without_a_list_the_first_ones_stay() -> None:
    assert letters(slots_of(parse_domain_xml(xml("yynn", listed=False)))) == "yynn"
    assert removable(slots_of(parse_domain_xml(xml("yhhn")))) == (1, 2)


def carried_out(start: Slots, turns: Iterable[Turn], *, live: bool) -> Slots:
    for turn in turns:
        start = with_set(start, turn.numbers, on=turn.on) if turn.numbers else with_count(start, turn.count, live=live)
        assert len(plugged(start)) == turn.count
    return start


@pytest.mark.parametrize("live", [True, False])
def test_the_way_back_leads_back(live: bool) -> None:
    """From whatever a count or a set made of every arrangement of five."""
    tried = 0
    for text in map("".join, itertools.product("yhn", repeat=4)):
        before = slots("y" + text)
        for count in range(1, 6):
            after = with_count(before, count, live=live)
            if len(plugged(after)) == count:
                back = carried_out(after, way_back(before, after, live=live), live=live)
                assert plugged(back) == plugged(before), (text, count)
                tried += 1
        for number in range(1, 5):
            on = not before[number].enabled
            if live and not on and number not in removable(before):
                continue
            after = carried_out(before, turns_of(before, (number,), on=on, live=live), live=live)
            back = carried_out(after, way_back(before, after, live=live), live=live)
            assert plugged(back) == plugged(before), (text, number)
    assert tried > 200


def test_what_could_go_can_go_again() -> None:
    before = slots("yyhn")
    turns = way_back(before, with_count(before, 1, live=False), live=False)
    assert turns == [Turn(2), Turn(3, (2,), True)]
    assert letters(carried_out(slots("ynnn"), turns, live=False)) == "yyhn"
    assert way_back(slots("yynn"), slots("yyyn"), live=False) == [Turn(2)]
    assert way_back(before, before, live=True) == []


# Plans


def test_one_more_on_each_side_from_what_that_side_has() -> None:
    made = plan("domain.vcpus-more", domain("yyhn", "ynnn", listed=False))
    assert words(made) == ["setvcpus a 4 --live", "setvcpus a 2 --config"]
    assert [" ".join(step.command[3:]) for step in made.undo_steps()] == [
        "setvcpus a 1 --config",
        "setvcpus a 3 --live",
    ]


def test_one_fewer_asks_the_guest_last() -> None:
    made = plan("domain.vcpus-fewer", domain("yhhn"))
    assert words(made) == ["setvcpus a 2 --config", "setvcpus a 2 --live"]
    assert "until it has, none can be plugged" in " ".join(made.notes)


def test_a_side_that_cannot_is_named_and_the_other_changed() -> None:
    made = plan("domain.vcpus-fewer", domain("yyn", listed=False))
    assert words(made) == ["setvcpus a 1 --config"]
    assert made.notes == ("a: now it has none that can go: those it booted with stay while it runs",)
    made = plan("domain.vcpus-more", domain("yh", "yn"))
    assert (words(made), made.notes) == (["setvcpus a 2 --config"], ("a: now it has all 2 of its maximum",))


def test_live_vcpus_go_one_a_call_and_come_back_so() -> None:
    made = plan("domain.vcpu-set", domain("ynnnh"), vcpus="2-3", where="live")
    assert words(made) == ["setvcpu a 2 --enable --live", "setvcpu a 3 --enable --live"]
    assert [" ".join(step.command[3:]) for step in made.undo_steps()] == [
        "setvcpu a 3 --disable --live",
        "setvcpu a 2 --disable --live",
    ]
    assert [asked.vcpus for step in made.undo_steps() if (asked := asked_of(step.request))] == [3, 2]


def test_the_agent_is_offered_where_it_is_connected() -> None:
    without, with_one = domain("yyn"), domain("yyn", more=AGENT.format("connected"))
    action = BY_ID["domain.vcpus"]
    for one, offered in ((without, False), (with_one, True), (domain("yyn", more=AGENT.format("disconnected")), False)):
        assert ("via" in [field.name for field in action.asked(context(one), [one])]) is offered
    made = plan("domain.vcpus", with_one, count="1", via="agent")
    assert words(made) == ["setvcpus a 1 --guest"]
    for count, where, why in (
        ("1", "persistent", "where: the agent changes the running guest alone"),
        ("3", "both", "count: the guest of a has 2"),
    ):
        with pytest.raises(FieldError, match=why):
            plan("domain.vcpus", with_one, count=count, where=where, via="agent")


def test_undo_of_the_agent_knows_how_many_were_online() -> None:
    one = domain("yyhn", more=AGENT.format("connected"))
    detail = DomainDetail(KEY, None, None, None, None, "", 1, guest=GuestVcpus((0, 1, 2), (0, 2), (1, 2)))
    known = context(one, detail=detail)
    made = plan("domain.vcpus", one, known, count="1", via="agent")
    assert [" ".join(step.command[3:]) for step in made.undo_steps()] == ["setvcpus a 2 --guest"]
    assert "a: undo sets 2 online again" in made.notes
    with pytest.raises(TargetError, match="count: the guest of a has 2 online already"):
        plan("domain.vcpus", one, known, count="2", via="agent")


def test_how_many_are_online_is_not_guessed() -> None:
    one = domain("yyhn", more=AGENT.format("connected"))
    made = plan("domain.vcpus", one, count="3", via="agent")
    assert words(made) == ["setvcpus a 3 --guest"]
    assert made.undo_steps() == ()
    assert any("has not said how many are online now, so there is no undo" in note for note in made.notes)


def test_of_a_running_guest_each_vcpu_is_asked_for_by_itself() -> None:
    made = plan("domain.vcpus", domain("yhhh"), count="1", where="live")
    assert words(made) == ["setvcpus a 3 --live", "setvcpus a 2 --live", "setvcpus a 1 --live"]
    assert asked_by(made)[-1].vcpus == 1
    done, half = made.steps[:2]
    left = left_open([(done, Status.DONE), (half, Status.EXPIRED)])
    assert [(asked.vcpus, asked.settled) for asked in left] == [(3, True), (2, False)]
    assert [" ".join(step.command[3:]) for step in made.undo_steps()] == [
        "setvcpus a 2 --live",
        "setvcpus a 3 --live",
        "setvcpus a 4 --live",
    ]
    assert words(plan("domain.vcpus", domain("yhhh"), count="1", where="persistent")) == ["setvcpus a 1 --config"]
    assert words(plan("domain.vcpus", domain("ynnn"), count="3", where="live")) == ["setvcpus a 3 --live"]


@pytest.mark.parametrize(
    ("maximum", "old", "new"),
    [
        (8, Topology(2, 1, 2, 1), Topology(4, 1, 2, 1)),
        (6, Topology(1, 1, 4, 1), Topology(1, 1, 6, 1)),
        (6, Topology(1, 1, 4, 2), Topology(1, 1, 3, 2)),
        (7, Topology(2, 1, 2, 2), Topology(7, 1, 1, 1)),
        (10, Topology(2, 1, 4, 2, 2), Topology(5, 1, 1, 2)),
    ],
)
def test_a_proposed_topology_makes_the_maximum(maximum: int, old: Topology, new: Topology) -> None:
    assert propose(maximum, old) == new
    assert new.product == maximum


def test_what_must_shrink_with_the_maximum_is_said() -> None:
    more = (
        "<cputune><vcpupin vcpu='3' cpuset='1'/></cputune><cpu><topology sockets='4' cores='1' threads='1'/>"
        "<numa><cell id='0' cpus='0-1' memory='512'/><cell id='1' cpus='2-3' memory='512'/></numa></cpu>"
    )
    made = plan("domain.vcpus-max", domain("yyyy", listed=False, kept_more=more), maximum="3")
    assert made.notes == (
        "a: topology 3 sockets, which makes 3",
        "a: 3 of its 4 vCPUs are left",
        "a: NUMA cell 1 keeps vCPUs 2 of 2-3",
        "a: the pins of vcpu 3 go",
        "a runs: it changes at its next boot",
    )


# The tab


def lines(one: Domain, pending: str = "", **more: Any) -> list[str]:
    view = View(context(one, **more).snapshot, lambda _key, _n: (), pending={KEY: pending} if pending else {})
    [row] = DomainRows()(view)
    return ["".join(span.text for span in line) for line in vcpus(view, row)]


def test_the_tab_fits_beside_the_list() -> None:
    one = domain(
        "yhhn", "ynnn", more=AGENT.format("connected") + "<cpu><topology sockets='2' cores='2' threads='1'/></cpu>"
    )
    places = tuple(VcpuPlacement(n, "running", 10, n, (0, 1, 2, 3)) for n in range(3))
    detail = DomainDetail(KEY, None, None, (), places, "", 1, guest=GuestVcpus((0, 1, 2), (0, 2), (1, 2)))
    shown = lines(one, "asked to go down to 2, not confirmed; wait, or shut it down and start it", detail=detail)
    text = "\n".join(shown)
    for words_ in (
        "vCPUs        3 of 4",
        "Topology     2 sockets x 2 cores",
        "Next boot    1 of 4",
        "In the guest 2 online of 3: 0,2",
        "Pending",
        "not confirmed",
        "0   running",
        "3   off",
    ):
        assert words_ in text, text
    assert all(cells(line) <= 37 for line in shown), text


def test_the_tab_says_what_qemu_has_given_up_and_why_nothing_is_read() -> None:
    detail = DomainDetail(KEY, None, None, (), None, "cannot get CPU affinity of process 1", 1)
    text = "\n".join(lines(domain("yhn"), detail=detail, processes={"1:1": qemu(1, 200)}))
    assert "In QEMU      1 alone" in text
    assert "In the guest no agent channel" in text
    assert "cannot get CPU affinity" in text


def test_the_tab_of_a_domain_that_is_off() -> None:
    one = replace(domain("yyn", listed=False), id=None, state=DomainState.SHUTOFF)
    text = "\n".join(lines(one))
    assert "1  on" in text
    assert "2  off" in text
    assert "In the guest" not in text
