"""Actions: where they apply, what plans they make, what they refuse; no screen and no change needed for that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tests.unit.conftest import watched
from tui.actions import ACTIONS, BY_ID
from tui.actions.base import Action, Context, FieldError, FieldKind, Target, make_plan
from tui.actions.define import kept_path
from tui.actions.keys import describe, markdown
from tui.checks.triage import Triage
from tui.demo import prepare
from tui.model.domain import Domain, DomainState
from tui.model.host import ConnectionState
from tui.model.kind import Kind
from tui.model.plan import Confirm, Plan, Request
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.model.virsh import domain_word
from tui.ops import execute, request_types
from tui.ops.base import ReadOnlyError
from tui.runtime.collector import Collector

XML = "<domain type='test'><name>fresh</name><memory>1024</memory><os><type>hvm</type></os></domain>"


@pytest.fixture(scope="module")
def seen(demo_uri: str) -> Iterator[Collector]:
    with watched(demo_uri, prepare=prepare, interval_s=30.0) as collector:
        yield collector


@pytest.fixture
def context(seen: Collector, tmp_path: Path) -> Context:
    return Context(seen.board.snapshot, tmp_path)


@pytest.fixture
def process() -> QemuProcess:
    threads = (
        QemuThread(100, "qemu", ThreadRole.EMULATOR, None, 0, (0, 1), 0),
        QemuThread(101, "CPU 0/KVM", ThreadRole.VCPU, 0, 0, (0, 1), 0),
        QemuThread(102, "CPU 1/KVM", ThreadRole.VCPU, 1, 0, None, None),
    )
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(QemuProcess)), None)
    known = {"key": "100:55", "pid": 100, "name": "by hand", "threads": threads, "state": "sleeping"}
    return QemuProcess(**{**nothing, **known})


def named(context: Context, name: str) -> Domain:
    return next(domain for domain in context.snapshot.domains.values() if domain.raw_name == name)


def plan(context: Context, ident: str, *targets: Target, **values: str) -> Plan:
    return make_plan(BY_ID[ident], context, targets or [None], values)


def given(action: Action, folder: Path) -> Mapping[str, str]:
    """Values for the fields that have no usable default."""
    (folder / "x.xml").write_text(XML)
    wants_file = action.kind is Kind.HOST and any(field.name == "path" for field in action.fields)
    values = {"path": str(folder / "x.xml")} if wants_file else {}
    return {**values, **(_TEXTS.get(action.id, {}))}


_TEXTS = {"domain.rename": {"name": "another"}, "domain.describe": {"title": "another"}}


# All of them


def test_ids_and_families_are_in_order() -> None:
    assert len(BY_ID) == len(ACTIONS) > 15
    for action in ACTIONS:
        assert re.fullmatch(r"(domain|process|pool|volume|network|finding)\.[a-z-]+", action.id)
        assert action.title
        assert action.help.endswith(".")
        assert len(action.hint.split()) <= 2


def test_each_action_says_why_not_or_makes_a_plan(context: Context, tmp_path: Path) -> None:
    made = 0
    for action in ACTIONS:
        for target in targets_of(action.kind, context):
            reason = action.reason(context, target)
            if reason is not None:
                assert reason.isprintable()
                assert reason
                with pytest.raises(FieldError) as refused:
                    make_plan(action, context, [target], given(action, tmp_path))
                assert reason in str(refused.value)
                continue
            try:
                found = make_plan(action, context, [target], given(action, tmp_path))
            except FieldError as error:
                field = error.field
            else:
                made += 1
                check(found, context)
                continue
            # What is offered may be what the domain has already.
            assert field in {asked.name for asked in action.fields}, action.id
    assert made > 300


def targets_of(kind: Kind, context: Context) -> list[Target]:
    """Everything of that kind on the demo host; there is no process on it."""
    storage = context.snapshot.storage
    assert storage is not None
    found: dict[Kind, list[Target]] = {
        Kind.HOST: [None],
        Kind.DOMAIN: [*context.snapshot.domains.values()],
        Kind.POOL: [*storage.pools.values()],
        Kind.VOLUME: [*storage.volumes.values()],
        Kind.NETWORK: [*context.snapshot.networks.networks.values()] if context.snapshot.networks is not None else [],
        Kind.FINDING: [*Triage().look(context.snapshot)],
    }
    return found.get(kind, [])


def check(made: Plan, context: Context) -> None:
    assert made.title.isprintable()
    assert made.steps
    for step in made.steps:
        assert step.command[:3] == ("virsh", "-c", context.uri) or step.command[0] in ("awk", "qemu-img")
        assert type(step.request).__name__ in request_types()
        assert step.title.isprintable()
    if made.losses():
        assert made.confirm is not Confirm.NONE, "what can lose something asks first"
    assert all(line.isprintable() for line in (*made.command_lines(), *made.notes, *made.losses()))


def test_read_only_and_a_lost_connection_come_first(context: Context, process: QemuProcess) -> None:
    connection = context.snapshot.connection
    locked = replace(context, snapshot=replace(context.snapshot, connection=replace(connection, read_only=True)))
    lost = replace(connection, state=ConnectionState.LOST)
    away = replace(context, snapshot=replace(context.snapshot, connection=lost))
    anyone: dict[Kind, Target] = {Kind.DOMAIN: named(context, "web-01"), Kind.PROCESS: process, Kind.HOST: None}
    anyone |= {kind: targets_of(kind, context)[0] for kind in (Kind.POOL, Kind.VOLUME, Kind.NETWORK, Kind.FINDING)}
    for action in ACTIONS:
        assert action.reason(locked, anyone[action.kind]) == "virtdeck runs with --read-only"
        if action.kind is Kind.PROCESS:
            assert action.reason(away, process) is None, "a process needs no libvirt"
        else:
            assert action.reason(away, anyone[action.kind]) == "the connection to libvirt is lost"


def test_no_request_of_any_kind_escapes_read_only() -> None:
    class ReadOnly:
        read_only = True
        cancelled = False

        def control(self) -> Any:
            raise AssertionError("a connection was asked for")

        def long(self, limit_s: float = 0.0, /) -> Any:
            raise AssertionError(f"a connection was asked for, for {limit_s} s")

        def release(self, connection: Any) -> None:
            raise AssertionError("a connection was given back")

        def leave(self) -> None:
            raise AssertionError("a connection was given up")

        def leave_images(self, key: str) -> AbstractContextManager[None]:
            raise AssertionError(f"the images of {key} were to be left alone")

        def progress(self, done: int, total: int | None) -> None:
            raise AssertionError("work was begun")

    assert len(request_types()) >= 17
    for kind in request_types().values():
        with pytest.raises(ReadOnlyError, match="--read-only"):
            execute(sample(kind), ReadOnly())


def sample(kind: type[Request]) -> Request:
    """A request of that type with values of the right types."""
    hints = get_type_hints(kind)
    values = {str: "x", bool: False}
    return kind(**{field.name: values.get(hints[field.name], ()) for field in fields(kind)})


@pytest.mark.parametrize(
    ("ident", "states"),
    [
        ("domain.start", {DomainState.SHUTOFF}),
        ("domain.shutdown", {DomainState.RUNNING, DomainState.BLOCKED}),
        ("domain.suspend", {DomainState.RUNNING, DomainState.BLOCKED}),
        ("domain.resume", {DomainState.PAUSED, DomainState.PMSUSPENDED}),
        ("domain.rename", {DomainState.SHUTOFF}),
    ],
)
def test_states_in_which_they_apply(context: Context, ident: str, states: set[DomainState]) -> None:
    able = {domain.state for domain in context.snapshot.domains.values() if not BY_ID[ident].reason(context, domain)}
    assert able == states


# Bulk


def test_skipped_targets_are_named_and_none_left_is_refused(context: Context) -> None:
    made = plan(context, "domain.suspend", named(context, "web-01"), named(context, "web-04"))
    assert made.title == "Suspend web-01"
    assert made.notes == ("web-04: skipped, it is shut off",)
    with pytest.raises(FieldError, match=r"web-04: skipped.*erp-test: skipped"):
        plan(context, "domain.suspend", named(context, "web-04"), named(context, "erp-test"))


def test_from_twenty_on_what_can_lose_something_is_typed(context: Context) -> None:
    running = [domain for domain in context.snapshot.domains.values() if domain.active]
    few, many = plan(context, "domain.destroy", *running[:19]), plan(context, "domain.destroy", *running[:20])
    assert (few.confirm, few.phrase) == (Confirm.ASK, "")
    assert (many.confirm, many.phrase, many.title) == (Confirm.TYPE, "20", "Force off 20 domains")
    harmless = plan(context, "domain.autostart", *(d for d in running if d.persistent))
    assert harmless.confirm is Confirm.NONE


# Values


@pytest.mark.parametrize(
    ("ident", "values", "said"),
    [
        ("domain.start", {"nope": "1"}, "nope: no such field; domain.start has: paused, force_boot"),
        ("domain.start", {"paused": "maybe"}, "paused: must be one of: yes, no"),
        ("domain.destroy", {"mode": "kindly"}, "mode: must be one of: 'graceful, then force', graceful, force"),
        ("domain.save", {"path": "here"}, "path: must be an absolute path on the host"),
    ],
)
def test_values_that_cannot_be(context: Context, ident: str, values: dict[str, str], said: str) -> None:
    target = named(context, "web-04" if ident == "domain.start" else "web-01")
    with pytest.raises(FieldError) as refused:
        plan(context, ident, target, **values)
    assert said in str(refused.value)


def test_choices_begin_with_their_default(context: Context) -> None:
    for action in ACTIONS:
        for field in action.fields:
            if field.kind is FieldKind.CHOICE:
                assert field.default(context, []) == field.choices[0]


def test_force_off_tries_gracefully_first(context: Context) -> None:
    both = plan(context, "domain.destroy", named(context, "web-01"))
    assert [step.only_if_failed for step in both.steps] == [False, True]
    assert len(plan(context, "domain.destroy", named(context, "web-01"), mode="force").steps) == 1
    transient = plan(context, "domain.destroy", named(context, "ci-runner-1"))
    assert "the transient domain itself" in transient.losses()[0]


def test_undefine_takes_the_flags_that_there_is_something_for(context: Context) -> None:
    def words(name: str, **values: str) -> list[str]:
        return list(plan(context, "domain.undefine", named(context, name), **values).steps[0].command[5:])

    assert words("web-04") == []
    assert words("erp-test")[:3] == ["--managed-save", "--snapshots-metadata", "--keep-nvram"]
    assert words("dc-01") == ["--keep-nvram", "--keep-tpm"]
    assert words("dc-01", nvram="remove", tpm="remove") == ["--nvram", "--tpm"]


def test_a_file_that_defines_something_else_is_told(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_text(XML.replace("fresh", "web-01"))
    made = plan(context, "domain.define", path=str(path))
    assert made.title == "Define from file"
    assert "web-01 exists: its configuration is replaced; the running one changes at its next boot" in made.notes
    assert made.steps[0].title == "redefine web-01"


def test_kept_files_have_safe_unique_names(context: Context) -> None:
    hostile = ("../../etc/passwd", "a b\x1b", "日本語", "", "x" * 300)
    names = {kept_path(context, name) for name in hostile for _ in "12"}
    assert len(names) == 10
    for name in names:
        path = Path(name)
        assert path.parent == context.kept_dir
        assert re.fullmatch(r"[0-9]{8}T[0-9]{6}-[0-9]{9}-[A-Za-z0-9._-]{1,80}\.xml", path.name)


# Names for virsh


@pytest.mark.parametrize("name", ["web-01", "a b", "[red]", "日本語", "12a", "web.1", "a-1"])
def test_plain_names_are_what_virsh_gets(context: Context, name: str) -> None:
    domain = replace(named(context, "web-01"), name=name, raw_name=name)
    assert domain_word(domain) == name


@pytest.mark.parametrize(
    "name",
    ["-rf", "--help", "12", "+12", " 12", "", "8b2641be-9180-5ef1-bf63-51b8551a2b76",
     "8B2641BE91805EF1BF6351B8551A2B76", "a\nb", "\x1b[2J", "a\u202eb", "\u200b"],
)  # fmt: skip
def test_names_that_virsh_would_read_otherwise_give_way_to_the_uuid(context: Context, name: str) -> None:
    domain = replace(named(context, "web-01"), raw_name=name)
    assert domain_word(domain) == domain.key


# Processes


def test_processes_are_ended_by_signals_and_that_asks(context: Context, process: QemuProcess) -> None:
    for ident, command in (("process.terminate", "kill -TERM 100"), ("process.kill", "kill -KILL 100")):
        made = plan(context, ident, process)
        assert made.command_lines() == [command]
        assert made.confirm is Confirm.ASK
    two = plan(context, "process.kill", process, replace(process, key="101:56", pid=101))
    assert two.title == "Kill 2 processes"


def test_threads_are_bound_all_at_once_or_by_role(context: Context, process: QemuProcess) -> None:
    everything = plan(context, "process.affinity", process, cpus="2-3")
    assert everything.command_lines() == ["taskset -apc 2-3 100"]
    assert [step.command for step in everything.undo_steps()] == [
        ("taskset", "-pc", "0-1", "100"),
        ("taskset", "-pc", "0-1", "101"),
    ]
    one_role = plan(context, "process.affinity", process, cpus="2", role="vcpu")
    assert one_role.command_lines() == ["taskset -pc 2 101", "taskset -pc 2 102"]
    with pytest.raises(FieldError, match="by hand has no iothread thread"):
        plan(context, "process.affinity", process, cpus="2", role="iothread")
    for wrong in ("", "x", "3-1"):
        with pytest.raises(FieldError, match="cpus"):
            plan(context, "process.affinity", process, cpus=wrong)
    blind = replace(process, threads=())
    assert BY_ID["process.affinity"].reason(context, blind) == "its threads cannot be read; run as root"


# Told to others


def test_descriptions_are_json_and_name_all_fields() -> None:
    described = json.loads(json.dumps([describe(action) for action in ACTIONS]))
    assert [item["id"] for item in described] == [action.id for action in ACTIONS]
    start = next(item for item in described if item["id"] == "domain.start")
    assert [field["name"] for field in start["fields"]] == ["paused", "force_boot"]
    assert (start["applies_to"], start["bulk"], start["key"]) == ("domain", True, "s")


def test_the_page_of_keys_names_every_action() -> None:
    page = markdown()
    for action in ACTIONS:
        assert (
            f"| `{action.key or ':'}` | {action.kind.value} | {action.title} | `{action.id}` | {action.help} |" in page
        )
