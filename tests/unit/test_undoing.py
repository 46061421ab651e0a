"""Undo at another time than the change: what is left out, what is asked for anew, what comes last."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.unit import test_memory as sample
from tests.unit.test_memory import KEY, MIB
from tests.unit.test_memory_devices import dimm
from tui.actions import BY_ID
from tui.actions.base import Context, make_plan
from tui.actions.sides import Side, persistent_first, sides
from tui.actions.undoing import undo_plan, undo_reason
from tui.model.domain import Domain, DomainState
from tui.model.domain_xml import parse_domain_xml
from tui.model.journal import Entry, Status
from tui.model.plan import Confirm, Plan, Step
from tui.model.usage import DomainUsage
from tui.ops import request_types
from tui.ops.lifecycle import Resume
from tui.ops.memory import SetMemory
from tui.ops.memory_devices import AttachMemory
from tui.ops.monitor import MonitorCommand
from tui.runtime.journal import entry_as_json, entry_from_json

ENDED = "one: it is off; what was changed while it ran ended with that"


def context(one: Domain | None, used: DomainUsage | None = None) -> Context:
    given = sample.context(used=used)
    return replace(given, snapshot=replace(given.snapshot, domains={one.key: one} if one else {}))


def entry(*undo: Step) -> Entry:
    """As a later session reads it."""
    made = Entry("id", 1, sample.URI, "domain.memory", "Set memory one", (), Status.DONE, undo=undo)
    return entry_from_json(json.loads(json.dumps(entry_as_json(made))), request_types())


def changed(one: Domain, **values: str) -> Entry:
    """What the journal has of a change of memory."""
    return entry(*make_plan(BY_ID["domain.memory"], context(one), [one], values).undo_steps())


def live_steps(plan: Plan) -> list[bool]:
    return [step.request.live for step in plan.steps if isinstance(step.request, SetMemory)]


def test_what_wanted_the_name_wants_it_in_a_later_session_too() -> None:
    one = sample.domain(later=sample.config(memory_kib=40 * MIB))
    kept = changed(one, amount="512M", where="persistent")
    assert kept.undo[0].typed
    plan = undo_plan(kept, context(one))
    assert (plan.confirm, plan.phrase, bool(plan.losses())) == (Confirm.TYPE, "one", True)


def test_lines_of_earlier_versions_have_no_typed() -> None:
    data = entry_as_json(entry(Step("resume", ("virsh",), Resume(KEY), KEY, loses="sleep", typed=True)))
    del data["undo"][0]["typed"]
    assert entry_from_json(json.loads(json.dumps(data)), request_types()).undo[0].typed is False
    data["undo"][0]["typed"] = 1
    with pytest.raises(TypeError):
        entry_from_json(json.loads(json.dumps(data)), request_types())


def monitored(one: Domain) -> Entry:
    """What the journal has of a balloon blown up through the monitor."""
    request = MonitorCommand(one.key, "balloon 300", "hmp", 300 * MIB)
    return entry(Step("balloon 300", ("virsh",), request, one.key))


def test_the_floor_is_that_of_now() -> None:
    """The guest needs more, or less, than when the change was planned."""
    small = sample.domain(sample.config(memory_kib=300 * MIB))
    large = sample.domain(sample.config(memory_kib=768 * MIB))
    idle = sample.usage(had=768, free=700)
    kept = entry(
        *make_plan(
            BY_ID["domain.memory"], context(small, idle), [small], {"amount": "768M", "where": "live"}
        ).undo_steps()
    )
    assert (kept.undo[0].loses, kept.undo[0].typed) == (None, False)
    busy = sample.usage(had=768, free=100)
    for change in (kept, monitored(small)):
        asks = undo_plan(change, context(large, busy))
        assert (asks.confirm, asks.phrase) == (Confirm.TYPE, "one")
        assert "with 300M its kernel kills" in asks.losses()[0]
        assert undo_plan(change, context(large, idle)).confirm is Confirm.NONE
        assert undo_plan(change, context(small, busy)).confirm is Confirm.NONE, "it has no more than that"
    typed = entry(replace(kept.undo[0], loses="it", typed=True))
    assert undo_plan(typed, context(large, idle)).confirm is Confirm.NONE


def test_many_that_can_lose_something_are_counted() -> None:
    steps = [Step("resume", ("virsh",), Resume(str(n)), str(n), loses="sleep") for n in range(20)]
    assert undo_plan(entry(*steps[:19]), context(None)).confirm is Confirm.ASK
    many = undo_plan(entry(*steps), context(None))
    assert (many.confirm, many.phrase) == (Confirm.TYPE, "20")


def test_of_a_domain_that_is_off_its_next_boot_alone_is_put_back() -> None:
    one = sample.domain()
    off = replace(one, id=None, state=DomainState.SHUTOFF)
    kept = changed(one, amount="512M")
    assert [step.command[-1] for step in kept.undo] == ["--live", "--config"]
    plan = undo_plan(kept, context(off))
    assert (live_steps(plan), plan.notes, plan.confirm) == ([False], (ENDED,), Confirm.ASK)
    alone = changed(one, amount="512M", where="live")
    assert undo_reason(alone.undo, context(off)) == ENDED
    assert undo_reason(kept.undo, context(off)) is None
    assert undo_reason(alone.undo, context(one)) is None


def test_what_a_guest_may_never_do_is_undone_last() -> None:
    one = sample.domain()
    plan = undo_plan(changed(one, amount="512M"), context(one))
    assert (live_steps(plan), plan.notes, plan.confirm) == ([False, True], (), Confirm.NONE)


def test_a_device_that_was_never_given_up_is_not_plugged_again() -> None:
    back = Step("plug", ("virsh",), AttachMemory(KEY, True, dimm("dimm0", 0), "/f"), KEY)
    kept = Step("plug", ("virsh",), AttachMemory(KEY, False, dimm("", 0), "/g"), KEY)
    xml = sample.XML.replace("<devices>", f"<devices>{dimm('dimm0', 0)}")
    there, gone = sample.domain(parse_domain_xml(xml)), sample.domain()
    change = entry(back, kept)
    plan = undo_plan(change, context(there))
    assert (plan.steps, plan.notes) == ((kept,), ("one: it still has dimm0",))
    assert undo_plan(change, context(gone)).steps == (kept, back)
    assert undo_reason((back,), context(there)) == "one: it still has dimm0"


def test_what_is_gone_is_tried_and_known_by_its_key() -> None:
    step = Step("give it 40M", ("virsh",), SetMemory(KEY, 40 * MIB, True), KEY, loses="it", typed=True)
    plan = undo_plan(entry(step), context(None))
    assert (plan.steps, plan.confirm, plan.phrase) == ((step,), Confirm.TYPE, KEY)


def test_one_order_for_what_may_never_be_confirmed() -> None:
    one = sample.domain()

    def live(side: Side) -> bool:
        return side.live

    assert [side.live for side in persistent_first(sides(one, {"where": "both"}), live)] == [False, True]
    assert persistent_first(["b", "a", "c"], lambda _word: False) == ["b", "a", "c"]
