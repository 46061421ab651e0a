"""Memory: how far down, by how much, which plans, what the detail shows; no guest needed for that."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.model import balloon
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState, Host
from tui.model.journal import Asked, Entry, Status
from tui.model.plan import Confirm, Plan
from tui.model.snapshot import HostSnapshot
from tui.model.text import cells
from tui.model.unsettled import unsettled
from tui.model.usage import DomainUsage
from tui.ops import request_types
from tui.ops.memory import SetMemory
from tui.panes.domain_rows import DomainRow
from tui.panes.memory_detail import memory
from tui.panes.spec import View
from tui.runtime.job_parts import asked_by, left_open
from tui.runtime.journal import entry_as_json, entry_from_json
from tui.widgets.ascii import plain

MIB, GIB = 1024, 1024 * 1024
URI, KEY = "qemu:///system", "6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11"
NOW_S = 1_800_000_000
XML = """<domain type='kvm'><name>one</name>
<memory unit='MiB'>1024</memory><currentMemory unit='MiB'>768</currentMemory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os>
<devices><memballoon model='virtio'><stats period='5'/></memballoon></devices></domain>"""


def config(xml: str = XML, **changes: Any) -> DomainConfig:
    return replace(parse_domain_xml(xml), **changes)


def domain(live: DomainConfig | None = None, later: DomainConfig | None = None, **changes: Any) -> Domain:
    live = live or config()
    made = Domain(KEY, "one", "one", 1, DomainState.RUNNING, "", True, config=live, persistent_config=later or live)
    return replace(made, **changes)


def usage(*, had: int = 768, free: int = 500, age_s: int = 1, **changes: Any) -> DomainUsage:
    """A guest's figures in MiB, reported so long ago."""
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(DomainUsage)), None)
    known = {
        "read_ns": NOW_S * 10**9,
        "vcpus": (),
        "disks": (),
        "balloon_current_kib": had * MIB,
        "available_kib": (had - 40) * MIB,
        "usable_kib": free * MIB,
        "balloon_updated_s": NOW_S - age_s,
    }
    return DomainUsage(**{**nothing, **known, **changes})


def context(folder: Path = Path("/none"), used: DomainUsage | None = None) -> Context:
    host = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 2 * GIB, local=True)
    snapshot = HostSnapshot(0, 0, Connection(URI, ConnectionState.LIVE, 0, read_only=False), host)
    return Context(replace(snapshot, usage={KEY: used} if used else {}), folder)


def plan(action: str, one: Domain, used: DomainUsage | None = None, **values: str) -> Plan:
    return make_plan(BY_ID[f"domain.{action}"], context(used=used), [one], values)


def asked(made: Plan) -> list[tuple[bool, int]]:
    """(live, MiB) of each step."""
    return [(s.request.live, s.request.kib // MIB) for s in made.steps if isinstance(s.request, SetMemory)]


# Model


@pytest.mark.parametrize(
    ("maximum", "step"), [(64, 16), (96, 16), (256, 32), (500, 48), (512, 64), (1000, 64), (1024, 128), (65536, 8192)]
)
def test_a_step_is_about_an_eighth(maximum: int, step: int) -> None:
    assert balloon.step_kib(maximum * MIB) == step * MIB


def test_the_floor_is_what_the_guest_needs_and_a_margin() -> None:
    assert balloon.floor_kib(config(), None) == balloon.LEAST_KIB
    assert balloon.floor_kib(config(), usage(had=768, free=500)) == (268 + 64) * MIB
    assert balloon.floor_kib(config(), usage(had=768, free=760)) == (8 + 64) * MIB
    assert balloon.floor_kib(config(memory_max_kib=96 * MIB), usage(had=96, free=90)) == balloon.LEAST_KIB
    assert balloon.floor_kib(config(memory_max_kib=64 * GIB), usage(had=65536, free=60000)) == (5536 + 256) * MIB
    # Figures of old may be of a guest that had all of its maximum.
    assert balloon.floor_kib(config(), usage(had=768, free=500, age_s=60)) == (524 + 64) * MIB
    assert balloon.floor_kib(config(), usage(usable_kib=None, unused_kib=400 * MIB)) == (368 + 64) * MIB


def test_figures_are_fresh_for_three_periods_and_15_seconds_at_least() -> None:
    assert balloon.is_fresh(usage(age_s=15), 5)
    assert not balloon.is_fresh(usage(age_s=16), 5)
    assert balloon.is_fresh(usage(age_s=90), 30)
    assert not balloon.is_fresh(usage(age_s=1), 0)
    assert not balloon.is_fresh(usage(balloon_updated_s=None), 5)


def test_a_small_step_of_a_large_guest_is_not_done_before_it_begins() -> None:
    assert balloon.tolerance_kib(100 * GIB, 50 * GIB) == GIB
    assert balloon.tolerance_kib(100 * GIB, 64 * MIB) == 8 * MIB
    assert balloon.tolerance_kib(96 * MIB, 32 * MIB) == 1 * MIB
    assert balloon.tolerance_kib(96 * MIB, 0) == 4


def entry(at_ns: int, status: Status, kib: int, *, key: str = KEY, settled: bool = False) -> Entry:
    one = Asked(key, -1, 0, settled, kib)
    return Entry(f"{at_ns}", at_ns, URI, "domain.memory", "Set memory one", (), status, asked=(one,))


def open_target(
    *entries: Entry, now: int = 300, started_ns: int | None = 5, now_ns: int = 100, uri: str = URI
) -> balloon.Target | None:
    return balloon.open_target(entries, uri, KEY, config(memory_kib=now * MIB), started_ns, now_ns)


def test_what_was_asked_last_is_open_until_it_is_there() -> None:
    first, last = entry(10, Status.EXPIRED, 100 * MIB), entry(20, Status.RUNNING, 200 * MIB)
    assert open_target(last, first) == balloon.Target(200 * MIB, 20, watched=True)
    assert open_target(first) == balloon.Target(100 * MIB, 10, watched=False)
    assert open_target() is None
    assert open_target(entry(10, Status.EXPIRED, 100 * MIB, key="other")) is None
    assert open_target(first, entry(20, Status.DONE, 200 * MIB, settled=True)) is None
    assert open_target(first, now=100) is None
    assert open_target(first, started_ns=15) is None
    assert open_target(first, started_ns=None) is None
    assert open_target(replace(first, asked=(Asked(KEY, 7, 1, False),))) is None
    assert open_target(last, first, uri="qemu:///other") is None


def test_of_several_that_were_asked_together_each_has_its_own() -> None:
    both = replace(
        entry(10, Status.EXPIRED, 0),
        asked=(Asked("other", -1, 0, settled=False, kib=100 * MIB), Asked(KEY, -1, 0, settled=True, kib=100 * MIB)),
    )
    assert open_target(both) is None
    assert balloon.open_target((both,), URI, "other", config(), 5, 100) == balloon.Target(100 * MIB, 10, watched=False)


def test_what_was_asked_long_ago_ends_when_nobody_waits_for_it() -> None:
    hour = 3600 * 10**9
    expired = entry(10, Status.EXPIRED, 100 * MIB)
    assert open_target(expired, now_ns=hour) is not None
    assert open_target(expired, now_ns=hour + 10) is None
    assert open_target(replace(expired, status=Status.PENDING), now_ns=hour + 10) is not None


def test_a_plan_says_what_each_guest_is_asked_for_and_its_end_what_is_open() -> None:
    made = plan("memory", domain(), usage(), amount="512M")
    wanted = Asked(KEY, -1, 0, settled=False, kib=512 * MIB)
    assert asked_by(made) == (wanted,)
    kept, live = made.steps
    assert left_open([(kept, Status.DONE), (live, Status.EXPIRED)]) == (wanted,)
    assert left_open([(kept, Status.DONE), (live, Status.DONE)]) == (replace(wanted, settled=True),)
    assert left_open([(kept, Status.DONE), (live, Status.FAILED)]) == ()
    (by_monitor,) = plan("monitor", domain(), usage(), command="balloon 512").steps
    assert left_open([(by_monitor, Status.EXPIRED)]) == (wanted,)
    open_one = replace(entry(10, Status.EXPIRED, 0), asked=(wanted,))
    assert unsettled([open_one], replace(context().snapshot, domains={KEY: domain()})) == {}
    line = json.loads(json.dumps(entry_as_json(open_one)))
    assert entry_from_json(line, request_types()) == open_one
    for item in line["asked"]:
        del item["kib"]
    assert entry_from_json(line, request_types()).asked == (replace(wanted, kib=0),)


# Plans


def test_each_side_counts_from_what_it_has() -> None:
    one = domain(later=config(memory_kib=512 * MIB, memory_max_kib=2048 * MIB))
    assert asked(plan("memory", one, usage(), amount="+128M")) == [(False, 640), (True, 896)]
    assert asked(plan("memory", one, usage(), amount="50%")) == [(False, 1024), (True, 512)]
    assert asked(plan("memory", one, usage(), amount="768M")) == [(False, 768)]
    undo = plan("memory", one, usage(), amount="+128M").undo_steps()
    assert [step.request for step in undo] == [SetMemory(KEY, 768 * MIB, True), SetMemory(KEY, 512 * MIB, False)]


def test_what_it_has_is_asked_again_only_of_what_runs_alone() -> None:
    with pytest.raises(FieldError, match="amount: one has 768M already"):
        plan("memory", domain(), usage(), amount="768M")
    assert asked(plan("memory", domain(), usage(), amount="768M", where="live")) == [(True, 768)]


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("2G", "the most one can have at the next boot is 1G, and 2G is more; B raises it for the next boot"),
        ("-768M", "one would have nothing left from the next boot on"),
        ("much", "'much' is no amount of memory such as 1.5G"),
    ],
)
def test_amounts_that_cannot_be(amount: str, said: str) -> None:
    with pytest.raises(FieldError) as refused:
        plan("memory", domain(), usage(), amount=amount)
    assert said in str(refused.value)


def test_below_the_floor_the_name_is_typed_and_undo_says_what_it_loses() -> None:
    made = plan("memory", domain(), usage(), amount="300M", where="live")
    assert (made.confirm, made.phrase) == (Confirm.TYPE, "one")
    assert made.losses() == [
        "what runs in one: with 300M its kernel kills processes for want of memory, or panics; it needs about 268M"
    ]
    assert plan("memory", domain(), usage(), amount="332M", where="live").confirm is Confirm.NONE
    squeezed = domain(config(memory_kib=200 * MIB))
    up = plan("memory", squeezed, usage(had=200, free=20), amount="240M", where="live")
    assert (up.confirm, up.losses()) == (Confirm.NONE, [])
    assert up.undo_steps()[0].loses is not None


def test_an_undo_that_goes_below_the_floor_says_so() -> None:
    one = domain(config(memory_kib=40 * MIB))
    made = plan("memory", one, None, amount="512M", where="live")
    assert made.confirm is Confirm.NONE
    (back,) = made.undo_steps()
    assert back.loses is not None
    assert "with 40M its kernel kills" in back.loses


@pytest.mark.parametrize(("command", "protocol"), [("balloon {}", "hmp"), ('balloon {{"value": {}}}', "qmp")])
def test_the_monitor_asks_for_the_name_where_memory_does(command: str, protocol: str) -> None:
    def ballooned(mib: int) -> Plan:
        size = mib if protocol == "hmp" else mib * MIB * MIB
        return plan("monitor", domain(), usage(), command=command.format(size), protocol=protocol)

    safe, below = ballooned(332), ballooned(331)
    assert (safe.confirm, safe.losses()) == (Confirm.ASK, [])
    assert (below.confirm, below.phrase) == (Confirm.TYPE, "one")
    assert below.losses() == plan("memory", domain(), usage(), amount="331M", where="live").losses()
    assert [step.typed for step in below.undo_steps()] == [False], "to come back harms nobody"


def test_several_are_typed_by_their_number_and_odd_names_by_their_key() -> None:
    action, other = BY_ID["domain.memory"], domain(key="other", name="two", raw_name="two")
    values = {"amount": "16M"}
    many = make_plan(action, context(), [domain(), other], values)
    assert (many.confirm, many.phrase) == (Confirm.TYPE, "2")
    odd = make_plan(action, context(), [domain(name="日本", raw_name="日本")], values)
    assert odd.phrase == KEY


def test_steps_stop_at_the_maximum_and_at_the_floor() -> None:
    full = domain(config(memory_kib=1000 * MIB))
    assert asked(plan("memory-more", full, usage())) == [(False, 1024), (True, 1024)]
    assert asked(plan("memory-less", domain(), usage(had=768, free=450))) == [(False, 640), (True, 640)]
    low = domain(config(memory_kib=400 * MIB))
    assert asked(plan("memory-less", low, usage(had=400, free=120))) == [(False, 272), (True, 344)]
    one_side = plan("memory-less", low, usage(had=400, free=20))
    assert asked(one_side) == [(False, 272)]
    assert one_side.notes == ("one: now it has 400M, and 444M is the least it should have",)
    with pytest.raises(FieldError, match=r"all 1G of its maximum.*B raises it"):
        plan("memory-more", domain(config(memory_kib=GIB)), usage())


def test_what_stands_in_the_way_of_the_guest_is_said_first() -> None:
    def notes(one: Domain, used: DomainUsage | None) -> str:
        return "\n".join(plan("memory", one, used, amount="600M").notes)

    silent = config(XML.replace("<stats period='5'/>", ""))
    assert notes(domain(), usage()) == ""
    assert "statistics are off, so what it needs is not sure; S switches" in notes(domain(silent), usage())
    assert "its guest has never reported" in notes(domain(), usage(balloon_updated_s=None))
    assert "its guest reports no more" in notes(domain(), usage(age_s=100))
    assert "64M is taken as the least" in notes(domain(), None)
    assert "it is paused; its guest follows once it runs" in notes(domain(state=DomainState.PAUSED), usage())


def test_a_balloon_on_one_side_alone() -> None:
    one = domain(config(balloon="none"), config())
    made = plan("memory", one, amount="600M")
    assert asked(made) == [(False, 600)]
    assert made.notes == ("one: now it has no balloon device",)
    with pytest.raises(FieldError, match="where: one has no balloon device now"):
        plan("memory", one, amount="600M", where="live")


def test_the_maximum_and_its_reasons() -> None:
    action = BY_ID["domain.memory-max"]
    made = plan("memory-max", domain(), maximum="4G")
    assert "one: it still boots with 768M; b gives it more" in made.notes
    assert "one: the host has 2.0G" in made.notes
    for wrong in ("0", "5P", "-4G", "1G"):
        with pytest.raises(FieldError, match="maximum"):
            plan("memory-max", domain(), maximum=wrong)
    transient = domain(persistent=False, persistent_config=None)
    assert action.reason(context(), transient) == "it is transient, and the maximum changes at a boot alone"
    assert action.reason(context(), domain(persistent_config=None)) == "its configuration is not read yet"


@pytest.mark.parametrize("period", ["", "-1", "x", "99999", "1.5", "٣", "5"])
def test_periods_that_cannot_be_or_are_there(period: str) -> None:
    with pytest.raises(FieldError, match="period"):
        plan("memory-stats", domain(), period=period)


# Detail


def shown(one: Domain, used: DomainUsage | None, *entries: Entry, width: int = 37) -> list[str]:
    """The lines of the tab, each no wider than the detail beside the list."""
    row = DomainRow(KEY, one, None, used, None, None, None, "", None, ())
    view = View(context(used=used).snapshot, lambda _key, _width: (), entries)
    lines = ["".join(span.text for span in line) for line in memory(view, row)]
    assert [line for line in lines if cells(line) > width] == []
    return lines


def test_the_bar_is_the_maximum_in_four_parts() -> None:
    lines = shown(domain(), usage(), entry(NOW_S * 10**9, Status.RUNNING, 512 * MIB))
    assert [lines[0].count(glyph) for glyph in "█▅▃▁"] == [9, 9, 9, 9]
    assert lines[1].split() == ["█", "in", "use", "268M", "▅", "free", "244M"]
    assert lines[2].split() == ["▃", "to", "give", "256M", "▁", "not", "given", "256M"]
    assert any(line.startswith("Target       512M, asked ") for line in lines)
    assert len({plain(glyph) for glyph in "█▅▃▁"}) == 4


def test_the_bar_shows_what_is_still_to_come_up() -> None:
    lines = shown(domain(), usage(), entry(NOW_S * 10**9, Status.PENDING, 1024 * MIB))
    assert [lines[0].count(glyph) for glyph in "█▅▃▁"] == [9, 18, 9, 0]
    assert lines[2].split() == ["▃", "to", "take", "256M"]


def test_all_that_is_set_is_shown_and_fits() -> None:
    xml = XML.replace(
        "<vcpu>",
        "<maxMemory slots='16' unit='GiB'>4</maxMemory><memoryBacking><hugepages><page size='2' unit='MiB'/>"
        "</hugepages><locked/></memoryBacking><numatune><memory mode='strict' nodeset='0-1'/>"
        "<memnode cellid='0' mode='preferred' nodeset='1'/></numatune><vcpu>",
    ).replace(
        "</devices>",
        "<memory model='virtio-mem'><target><size unit='MiB'>256</size><node>0</node><block unit='MiB'>2</block>"
        "<requested unit='MiB'>128</requested><current unit='MiB'>64</current></target></memory>"
        "<memory model='dimm'><target><size unit='MiB'>512</size><node>1</node></target></memory></devices>",
    )
    later = config(memory_kib=512 * MIB, memory_max_kib=2 * GIB, balloon="none")
    text = "\n".join(shown(domain(config(xml), later), usage(swap_in_kib=5 * MIB, major_faults=7, rss_kib=GIB)))
    for words in (
        "Maximum      1.0G", "Actual       768M", "On the host  1.0G", "Statistics   every 5 s", "Kernel's own 40.0M",
        "Swapped in   5.0M", "Major faults 7", "Reported     just now", "NUMA         strict 0-1",
        "Guest node 0 preferred 1", "Huge pages   2.0M", "Locked       yes", "Slots        2 of 16, to 4.0G",
        "virtio-mem   64.0M→128M/256M node 0", "dimm         512M node 1", "At the next boot",
        "Maximum      2.0G", "Memory       512M", "Balloon      none",
    ):  # fmt: skip
        assert words in text


def test_what_is_not_known_or_old_is_said() -> None:
    silent = domain(config(XML.replace("<stats period='5'/>", "")))
    text = " ".join(" ".join(shown(silent, usage(age_s=200))).split())
    assert "Statistics off no fresh figures; S switches them on" in text
    assert "Reported 3m00s ago" in text
    old = " ".join(shown(domain(), usage(age_s=47)))
    assert "Reported     40s ago" in old
    assert "reports no more" in old
    never = " ".join(" ".join(shown(domain(), usage(balloon_updated_s=None, usable_kib=None))).split())
    assert "its balloon driver has not reported" in never
    assert "in use ?" in never
    expired = " ".join(shown(silent, usage(), entry(NOW_S * 10**9, Status.PENDING, 512 * MIB)))
    assert "Target" in expired
    off = shown(replace(silent, id=None, state=DomainState.SHUTOFF), None)
    assert "At its boot  768M" in off
    assert not any("S switches" in line for line in off)


def test_nothing_moves_while_all_is_well() -> None:
    before = shown(domain(), usage(age_s=1))
    later = shown(domain(), usage(age_s=0, read_ns=(NOW_S + 30) * 10**9, balloon_updated_s=NOW_S + 26))
    assert before == later
