"""How triage runs: again only where something changed, since when, muted; the thread, the file, the actions, the
report."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import tui.checks
from tests.unit.conftest import wait, watched
from tests.unit.triage_scene import HEALTH, NOW, SECOND, domain, host, off, usage
from tui import cli
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.checks import CHECKS
from tui.checks.base import WARNING, Check, DomainCheck, Rule, Scene, act, domain_subject, run
from tui.checks.triage import Triage
from tui.demo import write_demo_host
from tui.model.domain import Domain, DomainState
from tui.model.finding import Finding, Severity
from tui.model.mutes import format_mutes, parse_mutes
from tui.model.snapshot import HostSnapshot
from tui.ops import execute
from tui.ops.base import OpContext, OpError
from tui.runtime.collector import Collector
from tui.runtime.triage import MuteFile

RULE = Rule("x.one", WARNING, "why")


class Counted:
    """A check of the whole and one of each domain, and how often they ran."""

    def __init__(self) -> None:
        self.whole = 0
        self.each: list[str] = []

    def find(self, scene: Scene) -> Iterable[Finding]:
        self.whole += 1
        return ()

    def find_one(self, scene: Scene, one: Domain) -> Iterable[Finding]:
        self.each.append(one.name)
        if one.state is DomainState.CRASHED:
            yield RULE.of(domain_subject(one), "is bad")

    def triage(self) -> Triage:
        return Triage((Check(self.find, ("health",)), DomainCheck(self.find_one, by_key=("usage",), whole=("cpus",))))


def test_a_check_runs_again_only_where_something_changed() -> None:
    counted = Counted()
    triage = counted.triage()
    seen = host(domain("a"), domain("b"), usage={"a": usage(0), "b": usage(0)})
    triage.look(seen)
    assert (counted.whole, counted.each) == (1, ["a", "b"])
    triage.look(replace(seen, sequence=2, domains=dict(seen.domains), usage=dict(seen.usage)))
    assert (counted.whole, counted.each) == (1, ["a", "b"])
    triage.look(moved := replace(seen, usage={**seen.usage, "b": usage(2)}))
    assert (counted.whole, counted.each) == (1, ["a", "b", "b"])
    triage.look(replace(moved, health=replace(HEALTH, steal_percent=1)))
    assert counted.whole == 2
    triage.look(replace(moved, cpus=None))
    assert counted.each[3:] == ["a", "b"]


def test_the_same_findings_are_the_same_object() -> None:
    triage, seen = Triage(), host(domain("a", state=DomainState.CRASHED))
    first = triage.look(seen)
    assert first
    assert triage.look(replace(seen, taken_ns=NOW + SECOND)) is first
    assert triage.look(replace(seen, domains=dict(seen.domains))) is first


def test_a_key_carries_out_no_action_that_a_milder_command_comes_before() -> None:
    advice, command, action = run("make room"), run("let it go on", "kill", "-CONT", "1"), act("off", "x.off", "key")
    mends = [(action,), (advice, action), (command, action), (advice,), ()]
    found = [RULE.of(domain_subject(domain("a")), "is bad", *remedies).mend for remedies in mends]
    assert found == [action, action, None, None, None]


def test_since_when() -> None:
    """What the first look finds was there before; what comes later came then, and keeps its time while it stays."""
    triage = Triage()
    good, bad = domain("a"), domain("b", state=DomainState.CRASHED)
    (found,) = triage.look(host(good, bad))
    assert (found.subject, found.since_ns) == ("b", None)
    crashed = replace(good, state=DomainState.CRASHED)
    later = triage.look(replace(host(crashed, bad), taken_ns=NOW + 5 * SECOND))
    assert [(f.subject, f.since_ns) for f in later] == [("a", NOW + 5 * SECOND), ("b", None)]
    same = triage.look(replace(host(replace(crashed, autostart=True), bad), taken_ns=NOW + 9 * SECOND))
    assert [f.since_ns for f in same] == [NOW + 5 * SECOND, None]
    assert triage.look(host(good)) == ()
    again = triage.look(replace(host(crashed), taken_ns=NOW + 20 * SECOND))
    assert [f.since_ns for f in again] == [NOW + 20 * SECOND]


def test_a_fault_that_comes_after_a_clean_first_look_has_its_time() -> None:
    triage = Triage()
    assert triage.look(host(domain("a"))) == ()
    (found,) = triage.look(replace(host(domain("a", state=DomainState.CRASHED)), taken_ns=NOW + SECOND))
    assert found.since_ns == NOW + SECOND


def test_the_worst_comes_first_and_what_is_muted_last() -> None:
    seen = host(
        domain("a", state=DomainState.PAUSED, reason="I/O error"),
        off("b", autostart=True),
        domain("c", state=DomainState.CRASHED),
    )
    triage = Triage()
    assert [f.severity for f in triage.look(seen)] == [Severity.CRITICAL, Severity.ERROR, Severity.INFO]
    muted = triage.look(seen, {"domain.io-error:a": "a test"})
    assert [(f.subject, f.muted) for f in muted] == [("c", None), ("b", None), ("a", "a test")]


def test_every_finding_of_the_checks_can_be_mended_or_told(demo: Collector) -> None:
    """The actions that remedies name are there, with fields of that name, on things of that kind."""
    wait(demo, lambda seen: seen.findings is not None, "looked at")
    found = Triage(CHECKS).look(demo.board.snapshot)
    assert found
    for finding in found:
        assert finding.why.endswith("."), finding
        for remedy in finding.remedies:
            if remedy.action:
                action = BY_ID[remedy.action]
                assert {name for name, _ in remedy.values} <= {field.name for field in action.fields}


def test_every_action_that_a_check_names_is_there() -> None:
    folder = Path(tui.checks.__file__).parent
    named = {
        (action, fields)
        for path in folder.glob("*.py")
        for action, fields in re.findall(r'act\(\s*"[^"]*",\s*"([a-z.-]+)"([^)]*)\)', path.read_text())
    }
    assert len(named) > 8
    for action, fields in named:
        known = {field.name for field in BY_ID[action].fields}
        assert set(re.findall(r"(\w+)=", fields)) <= known, action


# Mutes


def mute(path: Path, finding: Finding, reason: str) -> None:
    context = Context(host(), path.parent, path)
    plan = make_plan(BY_ID["finding.mute"], context, [finding], {"reason": reason})
    for step in plan.steps:
        execute(step.request, cast("OpContext", ReadWrite()))


class ReadWrite:
    read_only = False


FOUND = Finding("domain.crashed", Severity.ERROR, "domain", "a", "uuid-a", "crashed", "Why.")


def test_muting_and_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "muted.json"
    mute(path, FOUND, "known\x1b[31m")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    file = MuteFile(path, "qemu:///system")
    assert file.read()
    assert file.reasons == {"domain.crashed:uuid-a": "known␛[31m"}
    assert not file.read()
    assert MuteFile(path, "qemu+ssh://other/system").read() is True
    context = Context(host(), path.parent, path)
    again = replace(FOUND, muted="known")
    for step in make_plan(BY_ID["finding.unmute"], context, [again], {}).steps:
        assert step.undo[0].command[-3:] == ("--set", "reason=known", "--yes")
        execute(step.request, cast("OpContext", ReadWrite()))
    assert file.read()
    assert file.reasons == {}
    assert BY_ID["finding.unmute"].reason(context, FOUND) == "it is not muted"
    with pytest.raises(FieldError, match="say why"):
        make_plan(BY_ID["finding.mute"], context, [FOUND], {"reason": " "})


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2, "muted": {}}', '{"version": 1}', '{"version": 1, "muted": {"uri": ["x"]}}',
             '{"version": 1, "muted": {"uri": {"x": 1}}}', '{"version": 1, "muted": {}, "more": 1}'],
)  # fmt: skip
def test_a_file_that_is_not_ours_mutes_nothing_and_stays(text: str, tmp_path: Path) -> None:
    path = tmp_path / "muted.json"
    path.write_text(text)
    file = MuteFile(path, "qemu:///system")
    assert file.read()
    assert file.reasons == {}
    assert str(path) in file.problem
    with pytest.raises(OpError):
        mute(path, FOUND, "known")
    assert path.read_text() == text


def test_what_is_written_is_read() -> None:
    mutes = {"qemu:///system": {"b": "x", "a": 'y"'}, "empty": {}}
    assert parse_mutes(format_mutes(mutes)) == {"qemu:///system": {"a": 'y"', "b": "x"}}


def test_a_link_is_muted_by_its_name() -> None:
    """Its key is another one whenever it is made anew."""
    link = replace(FOUND, check="link.mtu", kind="link", subject="eth0@r1", key="4026531840:7")
    assert link.id == "link.mtu:eth0@r1"


# The thread


def test_the_thread_publishes_what_it_finds_and_heeds_the_mutes(tmp_path: Path) -> None:
    uri = write_demo_host(tmp_path)
    path = tmp_path / "muted.json"
    with watched(uri, muted_file=path) as collector:
        seen = wait(collector, lambda seen: bool(seen.findings), "found")
        crashed = next(f for f in seen.findings or () if f.check == "domain.crashed")
        path.write_text(format_mutes({uri: {crashed.id: "known"}}))
        collector.nudge(set())
        wait(collector, lambda seen: _muted(seen, crashed.id) == "known", "muted")
        path.write_text("rubbish")
        collector.nudge(set())
        wait(collector, lambda seen: any("nothing is muted" in problem for problem in seen.problems), "told")
        assert _muted(collector.board.snapshot, crashed.id) is None
        # A domain that is started again is well.
        name = crashed.subject
        collector.control().lookupByName(name).destroy()
        collector.nudge({crashed.key})
        wait(collector, lambda seen: all(f.id != crashed.id for f in seen.findings or ()), "gone")


def _muted(seen: HostSnapshot, ident: str) -> str | None:
    return next((f.muted for f in seen.findings or () if f.id == ident), None)


def test_an_idle_host_is_looked_at_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    real = Triage.look

    def look(self: Triage, seen: HostSnapshot, mutes: Any = None) -> Any:
        looks.append(seen.sequence)
        return real(self, seen, mutes)

    monkeypatch.setattr(Triage, "look", look)
    with watched(write_demo_host(tmp_path)) as collector:
        wait(collector, lambda seen: bool(seen.findings), "found")
        assert len(set(looks)) == len(looks)


# The report


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = cli.run(["--demo", "triage", *arguments])
    return code, capsys.readouterr().out


def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = report(capsys, "--json")
    assert code == 1
    found = json.loads(text)["findings"]
    assert {f["severity"] for f in found} <= {"warning", "error", "critical"}
    crashed = next(f for f in found if f["check"] == "domain.crashed")
    assert crashed["subject"]["kind"] == "domain"
    assert crashed["remedies"][0]["action"] == "domain.destroy"
    assert set(crashed) == {
        "id", "check", "severity", "subject", "message", "why", "remedies", "since_ns", "muted",
    }  # fmt: skip
    code, text = report(capsys, "--min-severity", "info")
    assert code == 1
    assert "domain.destroy" in text
    assert "not shown: " not in text
    code, text = report(capsys, "--min-severity", "critical")
    assert (code, text.splitlines()[0]) == (0, "nothing is wrong here, as far as can be seen")
    assert re.search(r"^not shown: .*\d+ errors?, .*\d+ infos?; --min-severity info shows all$", text, re.MULTILINE)


def test_the_report_of_no_host(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["-c", f"qemu+unix:///system?socket={tmp_path}/none", "triage"]) == 3
    assert "cannot connect" in capsys.readouterr().err


def test_a_severity_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(["triage", "--min-severity", "bad"])
    assert left.value.code == 2
    assert "info, warning, error, critical" in capsys.readouterr().err
