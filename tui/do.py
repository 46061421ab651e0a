"""`virtdeck do`: every action without the screen, by the same plans, guards and journal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.actions import BY_ID
from tui.actions.base import Action, Context, FieldError, Kind, Target, make_plan
from tui.model.journal import Status
from tui.model.plan import Confirm, Plan
from tui.model.snapshot import HostSnapshot, as_json
from tui.model.text import clean
from tui.ops import request_types
from tui.paths import journal_file, kept_dir
from tui.reports import read_host
from tui.runtime.jobs import Job, Jobs
from tui.runtime.journal import Journal

if TYPE_CHECKING:
    from tui.cli import Options
    from tui.runtime.collector import Collector

GOOD, BAD, USAGE, NO_CONNECTION = 0, 1, 2, 3


class UsageError(Exception):
    """Words on the command line that do not fit, in words for the user."""


def do(options: Options, args: argparse.Namespace) -> int:
    """Carry out `virtdeck do ACTION TARGET...`; returns the exit code."""
    try:
        action = _action(args.action)
        values = _values(args.set)
    except UsageError as error:
        return _say(str(error), USAGE)
    parts = ("domains", "configs", "processes") if action.kind is Kind.PROCESS else ("domains", "configs")
    read = read_host(options, parts)
    if read is None:
        return NO_CONNECTION
    collector, seen = read
    try:
        targets = _targets(action, seen, args.targets)
        plan = make_plan(action, Context(seen, kept_dir()), targets, values)
        return _plan(plan, collector, args)
    except UsageError as error:
        return _say(str(error), USAGE)
    except FieldError as error:
        return _say(str(error), USAGE if error.field in {field.name for field in action.fields} else BAD)
    finally:
        collector.stop()


def _say(text: str, code: int) -> int:
    print(f"virtdeck: {clean(text)}", file=sys.stderr)
    return code


def _action(ident: str | None) -> Action:
    action = BY_ID.get(ident or "")
    if action is None:
        raise UsageError(
            f"no action {ident!r}; see: virtdeck do --list" if ident else "which action? virtdeck do --list"
        )
    return action


def _values(pairs: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: must be FIELD=VALUE")
        values[name] = value
    return values


def _targets(action: Action, seen: HostSnapshot, words: Sequence[str]) -> list[Target]:
    if action.kind is Kind.HOST:
        if words:
            raise UsageError(f"{action.id} takes no target")
        return [None]
    if not words:
        raise UsageError(f"{action.id} needs at least one {action.kind.value}")
    if len(words) > 1 and not action.bulk:
        raise UsageError(f"{action.id} takes one {action.kind.value}")
    return [_target(action.kind, seen, word) for word in dict.fromkeys(words)]


def _target(kind: Kind, seen: HostSnapshot, word: str) -> Target:
    """A domain by name, UUID or id; a process by pid, key or name. More than one match is an error."""
    found: list[Target]
    if kind is Kind.PROCESS:
        processes = seen.unmanaged().values()
        found = [p for p in processes if word in (str(p.pid), p.key)] or [p for p in processes if p.name == word]
    else:
        domains = seen.domains.values()
        found = [d for d in domains if word in (d.raw_name, d.key)] or [d for d in domains if str(d.id) == word]
    if not found:
        raise UsageError(f"no {kind.value} {word}")
    if len(found) > 1:
        raise UsageError(f"{len(found)} {kind.value}es are called {word}; name one by pid")
    return found[0]


def _plan(plan: Plan, collector: Collector, args: argparse.Namespace) -> int:
    if args.plan:
        _print_plan(plan, as_json_=args.json)
        return GOOD
    if not args.yes and not _confirmed(plan):
        return BAD
    journal = Journal(journal_file(), request_types())
    jobs = Jobs(collector, journal, collector.uri, collector.nudge, _report if not args.json else lambda _job: None)
    job = jobs.run(plan).wait(args.timeout)
    jobs.stop()
    if args.json:
        print(json.dumps(_job_json(job), indent=2))
    elif not job.status.ended:
        _say(f"still pending after {args.timeout:g} s: {'; '.join(r.hint for r in job.problems())}", BAD)
    return GOOD if job.status is Status.DONE else BAD


def _print_plan(plan: Plan, *, as_json_: bool) -> None:
    if as_json_:
        print(json.dumps(as_json(plan), indent=2))
        return
    print(plan.title)
    for line in plan.command_lines():
        print(f"  {line}")
    for loss in plan.losses():
        print(f"  loses: {loss}")
    for note in plan.notes:
        print(f"  note: {note}")


def _confirmed(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        _say("refused: not on a terminal, and --yes was not given", BAD)
        return False
    _print_plan(plan, as_json_=False)
    wanted = plan.phrase if plan.confirm is Confirm.TYPE else "y"
    answer = input(f"Type {wanted} to go on: ").strip()
    return answer == wanted


_said: set[tuple[str, Status]] = set()


def _report(job: Job) -> None:
    """Print each step's result once, as it comes."""
    for result in job.results:
        mark = (result.step.title, result.status)
        if result.status is Status.RUNNING or mark in _said:
            continue
        _said.add(mark)
        stream = sys.stdout if result.status is Status.DONE else sys.stderr
        hint = f" ({result.hint})" if result.hint and result.status is Status.PENDING else ""
        print(f"{result.step.title}: {result.message}{hint}", file=stream, flush=True)


def _job_json(job: Job) -> dict[str, object]:
    return {
        "id": job.entry.id,
        "status": job.status.value,
        "results": [
            {"step": r.step.title, "command": r.step.command_line(), "status": r.status.value, "message": r.message}
            for r in job.results
        ],
    }
