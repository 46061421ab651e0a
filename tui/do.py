"""`virtdeck do`: every action without the screen, by the same plans, guards and journal."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tui.actions import BY_ID
from tui.actions.base import (
    Action,
    Context,
    FieldError,
    FieldKind,
    Target,
    TargetError,
    check_values,
    key_of,
    make_plan,
)
from tui.model.journal import Entry, Status
from tui.model.kind import Kind
from tui.model.plan import Confirm, Plan
from tui.model.snapshot import HostSnapshot, as_json
from tui.model.text import clean, clean_lines
from tui.model.unsettled import unsettled
from tui.ops import request_types
from tui.paths import journal_file, kept_dir, muted_file
from tui.reports import print_json, read_host, read_open
from tui.runtime.jobs import Job, Jobs, Run, StepResult
from tui.runtime.journal import Journal

if TYPE_CHECKING:
    from tui.cli import Options
    from tui.model.storage import Storage
    from tui.runtime.collector import Collector

GOOD, BAD, USAGE, NO_CONNECTION = 0, 1, 2, 3
_EXACT = {Kind.DOMAIN: "UUID", Kind.PROCESS: "pid", Kind.POOL: "UUID", Kind.VOLUME: "POOL/VOLUME",
          Kind.NETWORK: "UUID", Kind.FINDING: "id"}  # fmt: skip
# After the deadline the job has this long to note in the journal that it was left.
_LEAVE_S = 1.0
_BAR = 20
# The journal's file may lie on a server that does not answer.
_EARLIER_S = 5.0


class UsageError(Exception):
    """Words on the command line that do not fit, in words for the user."""


def do(options: Options, args: argparse.Namespace) -> int:
    """Carry out `virtdeck do ACTION TARGET...`; returns the exit code."""
    try:
        action = _action(args.action)
        values = _values(action, args.set)
    except (UsageError, FieldError) as error:
        return _say(str(error), USAGE)
    read = read_host(options, _parts(action))
    if read is None:
        return NO_CONNECTION
    collector, seen = read
    try:
        if action.kind is Kind.FINDING:
            from tui.triage_report import triaged

            seen = triaged(collector, seen)
        targets = _targets(action, seen, args.targets)
        seen = read_open(collector, action.reads, [key_of(target) for target in targets])
        context = Context(
            seen, kept_dir(), collector.muted_file or muted_file(), unsettled=unsettled(_earlier(options), seen)
        )
        plan = make_plan(action, context, targets, values)
        skipped = len(targets) > 1 and len({step.target for step in plan.steps}) < len(targets)
        journal = Journal(None if options.demo else journal_file(), request_types)
        return max(_plan(plan, collector, journal, args), BAD if skipped and not args.plan else GOOD)
    except UsageError as error:
        return _say(str(error), USAGE)
    except FieldError as error:
        # The action's own name stands for a host that does not allow it; all else was typed.
        refused = error.field == action.title or isinstance(error, TargetError)
        return _say(str(error), BAD if refused else USAGE)
    finally:
        collector.stop()


def _parts(action: Action) -> list[str]:
    """What has to be read before its targets can be found and it can be planned as on the screen."""
    from tui.triage_report import PARTS

    of_kind = {
        Kind.PROCESS: ["processes"],
        Kind.POOL: ["storage"],
        Kind.VOLUME: ["storage"],
        Kind.NETWORK: ["networks"],
        Kind.FINDING: list(PARTS),
    }
    return list(dict.fromkeys(["domains", "configs", *action.reads, *of_kind.get(action.kind, [])]))


def _earlier(options: Options) -> tuple[Entry, ...]:
    """The changes of other sessions, as far as their file can be read within 5 s."""
    journal = Journal(None if options.demo else journal_file(), request_types)
    reader = threading.Thread(target=journal.load, name="journal", daemon=True)
    reader.start()
    reader.join(_EARLIER_S)
    return journal.entries()


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


def _values(action: Action, pairs: Sequence[str]) -> dict[str, str]:
    """What --set gave. A text must be given: its default is what the screen offers for editing."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: must be FIELD=VALUE")
        values[name] = value
    check_values(action, values)
    texts = [field.name for field in action.fields if field.kind is FieldKind.TEXT and not field.optional]
    missing = [name for name in texts if name not in values]
    if missing:
        raise UsageError(f"{action.id} needs --set {missing[0]}=...")
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
    found = {key_of(target): target for target in (_target(action.kind, seen, word) for word in words)}
    return list(found.values())


def _target(kind: Kind, seen: HostSnapshot, word: str) -> Target:
    """A domain by name, UUID or id; a process by pid, key or name; a pool or network by name or UUID; a volume as
    POOL/VOLUME or by path. More than one match is an error."""
    found: list[Target]
    if kind is Kind.PROCESS:
        processes = seen.unmanaged().values()
        found = [p for p in processes if word in (str(p.pid), p.key)] or [p for p in processes if p.name == word]
    elif kind in (Kind.POOL, Kind.VOLUME):
        found = _stored(kind, seen.storage, word)
    elif kind is Kind.FINDING:
        found = [finding for finding in seen.findings or () if finding.id == word]
    elif kind is Kind.NETWORK:
        networks = seen.networks.networks.values() if seen.networks is not None else ()
        found = [network for network in networks if word in (network.raw_name, network.key)]
    else:
        domains = seen.domains.values()
        found = [d for d in domains if word in (d.raw_name, d.key)] or [d for d in domains if str(d.id) == word]
    if not found:
        raise UsageError(f"no {kind.value} {word}")
    if len(found) > 1:
        raise UsageError(f"{len(found)} {kind.plural} are called {word}; name one by {_EXACT[kind]}")
    return found[0]


def _stored(kind: Kind, storage: Storage | None, word: str) -> list[Target]:
    """The pools, or volumes, that a word says."""
    if storage is None:
        raise UsageError("the storage of this host is not read, or its driver has none")
    if kind is Kind.POOL:
        return [pool for pool in storage.pools.values() if word in (pool.raw_name, pool.key)]
    found: list[Target] = [volume for volume in storage.volumes.values() if word in (volume.raw_path, volume.key)]
    # Names of pools hold no slash, those of volumes may.
    pool_name, _, name = word.partition("/")
    named = {f"{pool.key}/{name}" for pool in storage.pools.values() if pool.raw_name == pool_name}
    return found or [volume for key, volume in storage.volumes.items() if key in named]


def _plan(plan: Plan, collector: Collector, journal: Journal, args: argparse.Namespace) -> int:
    if args.plan:
        _print_plan(plan, as_json_=args.json)
        return GOOD
    if not (_agreed(plan, args.confirm) if args.yes else _confirmed(plan)):
        return BAD
    for note in plan.notes if args.yes else ():
        _say(note, GOOD)
    report = _Report(silent=args.json)
    jobs = Jobs(collector, journal, collector.uri, collector.nudge, report)
    run = jobs.run(plan)
    try:
        job = _wait(run, jobs, args.timeout)
        report.silent = report.silent or not job.status.ended
        jobs.stop()
        run.wait(_LEAVE_S)
    finally:
        journal.flush(_LEAVE_S)
    if args.json:
        print_json(_job_json(job))
    elif not job.status.ended:
        _say_pending(job, args.timeout)
    if journal.problem:
        _say(f"not written to the journal: {journal.problem}", BAD)
    return GOOD if job.status is Status.DONE else BAD


def _wait(run: Run, jobs: Jobs, timeout_s: float) -> Job:
    """The job once it ended, or once the host had its time to comply; bytes that this program carries have theirs.
    Ctrl+C leaves what the host does by itself; what this program carries it cancels, and leaves when it comes again."""
    bar = _Bar()
    try:
        while True:
            job = run.wait(timeout_s, bar)
            if job.status.ended or job.entry.work is None:
                return job
    except KeyboardInterrupt:
        if not run.carries:
            raise
        words = jobs.cancel(run.job.entry.id)
        _say(f"{words or 'it has ended'}; Ctrl+C again leaves it", BAD)
        return run.wait(timeout_s, bar)
    finally:
        bar.clear()


class _Bar:
    """The line of long work on a terminal, drawn over itself."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, job: Job) -> None:
        work = job.entry.work
        if not sys.stderr.isatty() or work is None:
            return
        line = f"{work.bar(_BAR)} {work.percent()} {work.words()}"
        if line != self._shown:
            print(f"\r{line.ljust(len(self._shown))}", end="", file=sys.stderr, flush=True)
            self._shown = line

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)


def _say_pending(job: Job, timeout_s: float) -> None:
    open_ = [result for result in job.results if not result.status.ended]
    for result in open_:
        hint = f": {result.hint}" if result.hint else ""
        _say(f"{result.step.title}: still pending after {timeout_s:g} s{hint}", BAD)
    begun = {result.step.target for result in job.results}
    if left := {step.target for step in job.plan.steps} - begun:
        _say(f"{len(left)} more were not begun", BAD)


def _print_plan(plan: Plan, *, as_json_: bool) -> None:
    if as_json_:
        print_json(as_json(plan))
        return
    print(plan.title)
    for line in plan.command_lines():
        print(f"  {line}")
    for loss in plan.losses():
        print(f"  loses: {loss}")
    for note in plan.notes:
        print(f"  note: {note}")


def _agreed(plan: Plan, phrase: str | None) -> bool:
    """Whether --yes is enough: what the screen wants typed has to be given here as well."""
    if plan.confirm is not Confirm.TYPE or phrase == plan.phrase:
        return True
    for loss in plan.losses():
        _say(f"loses: {loss}", BAD)
    return _say(f"refused: --yes is not enough for this; add --confirm {plan.phrase}", BAD) == GOOD


def _confirmed(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        _say("refused: not on a terminal, and --yes was not given", BAD)
        return False
    _print_plan(plan, as_json_=False)
    wanted = plan.phrase if plan.confirm is Confirm.TYPE else "y"
    try:
        answer = input(f"Type {wanted} to go on: ").strip()
    except EOFError:
        answer = ""
    if answer != wanted:
        _say("nothing was changed", BAD)
    return answer == wanted


class _Report:
    """Prints each step's result once, as it comes; called on the job's threads."""

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent
        self._lock = threading.Lock()
        self._said: set[tuple[int, Status]] = set()

    def __call__(self, job: Job) -> None:
        with self._lock:
            for result in job.results:
                mark = (id(result.step), result.status)
                if self.silent or result.status is Status.RUNNING or mark in self._said:
                    continue
                self._said.add(mark)
                _print_result(result)


def _print_result(result: StepResult) -> None:
    stream = sys.stdout if result.status is Status.DONE else sys.stderr
    hint = f" ({result.hint})" if result.hint and result.status is Status.PENDING else ""
    # What was begun is carried out to its end, whether anybody reads on or not.
    with suppress(BrokenPipeError):
        print(clean(f"{result.line}{hint}"), file=stream, flush=True)
        for line in clean_lines(result.output.rstrip()) if result.output.strip() else ():
            print(line, flush=True)


def _job_json(job: Job) -> dict[str, object]:
    return {
        "id": job.entry.id,
        "status": job.status.value,
        "results": [
            {"step": r.step.title, "command": r.step.command_line(), "status": r.status.value, "message": r.message}
            | ({"output": r.output} if r.output else {})
            for r in job.results
        ],
    }
