"""What the user changes through the screen: from a key to a plan, from a plan to a job, and what became of it.

Imported after the first picture: the actions and ops behind it are a third of the program's own import time."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui import keymap
from tui.actions import ACTIONS, BY_ID
from tui.actions.base import Action, Context, Field, Target, make_plan, target_of
from tui.actions.undoing import undo_plan, undo_reason
from tui.dialogs.editors import EDITORS, EditorScreen, Opening
from tui.dialogs.palette import Offer, Palette
from tui.dialogs.plan import PlanDialog, Planner
from tui.model.asked import AskedGuest
from tui.model.finding import Finding, Remedy
from tui.model.journal import Status
from tui.model.kind import Kind
from tui.model.plan import Confirm, Plan
from tui.model.text import clean
from tui.model.unsettled import unsettled
from tui.panes.spec import offers
from tui.paths import kept_dir, muted_file
from tui.runtime.jobs import Job, Jobs

if TYPE_CHECKING:
    from tui.app import VirtdeckApp
    from tui.model.snapshot import HostSnapshot

_GRAVE_S, _LIGHT_S = 12.0, 5.0
_MOST_NAMES = 8
_NO_SUPPORT = 3
_OF_GUESTS = ("domain.shutdown", "domain.reboot")


class Changes:
    """The actions as this screen offers them; used on the UI thread."""

    def __init__(self, app: VirtdeckApp, configured: Mapping[str, str], preview: str, report: Callable[[Job], None]):
        self._app = app
        self._preview = preview
        self._told: dict[str, Status] = {}
        self._missing: dict[tuple[str, str], str] = {}
        self._missing_since_ns = 0
        self._unsettled: dict[str, str] = {}
        self._unsettled_of: tuple[object, ...] = ()
        self.editor: EditorScreen | None = None
        """The screen that asks in place of a form while it is open."""
        self.keys = keymap.keys_of(configured)
        """The key of every action."""
        collector = app.collector
        self.jobs = Jobs(collector, app.journal, collector.uri, collector.nudge, report)

    def context(self, snapshot: HostSnapshot) -> Context:
        """Return what actions may look at."""
        connection = snapshot.connection
        if connection.live and connection.since_ns != self._missing_since_ns:
            # What answers after a break may be another libvirt.
            self._missing, self._missing_since_ns = {}, connection.since_ns
        muted = self._app.collector.muted_file or muted_file()
        return Context(snapshot, kept_dir(), muted, self._missing, self._open_ones(snapshot))

    def _open_ones(self, snapshot: HostSnapshot) -> Mapping[str, str]:
        """What was asked for and never confirmed; worked out anew when something of it changed."""
        entries = self._app.journal.entries()
        parts = (entries, snapshot.domains, snapshot.processes)
        if len(parts) != len(self._unsettled_of) or any(
            a is not b for a, b in zip(parts, self._unsettled_of, strict=True)
        ):
            # In this order: plans are made on a thread of their own, which may look at the same time.
            self._unsettled = unsettled(entries, snapshot)
            self._unsettled_of = parts
        return self._unsettled

    def _learn(self, job: Job) -> None:
        """Offer no longer what the driver of this connection has no call for. Code 84 (operation unsupported) says as
        much of one domain or one way of asking alone, so that nothing follows from it for others."""
        domains = self._app.snapshot.domains if self._app.snapshot is not None else {}
        for result in job.problems():
            if result.code == _NO_SUPPORT:
                domain = domains.get(result.step.target)
                state = domain.state if domain is not None else ""
                self._missing[job.plan.action, state] = "the driver of this connection does not have this call"

    def key(self, name: str) -> bool:
        """Run the first action of this key that can run here; else say why the first one cannot."""
        snapshot, kinds = self._app.snapshot, self._app.frame.kinds()
        named = [action for action in ACTIONS if self.keys[action.id] == name]
        found = [action for action in named if offers(self._app.pane, action, kinds)]
        if named and not found:
            self._app.toast(f"{named[0].title}: no {named[0].kind.value} is selected here", "warning")
            return True
        if not found or snapshot is None:
            return False
        context = self.context(snapshot)
        able = (action for action in found if self._reason(action, context) is None)
        self.run(next(able, found[0]))
        return True

    def mend(self, targets: Sequence[Target]) -> None:
        """Show the plan of what mends a finding, or say what does by hand."""
        finding = next((target for target in targets if isinstance(target, Finding)), None)
        remedy = finding.mend if finding is not None else None
        if finding is None:
            self._app.toast("Mend: no finding is selected", "warning")
        elif remedy is None:
            command = next((remedy.command for remedy in finding.remedies if remedy.command), ())
            by_hand = clean(shlex.join(command)) or next((remedy.words for remedy in finding.remedies), "")
            words = f"by hand: {by_hand}" if by_hand else "nothing here mends it"
            self._app.toast(f"{finding.subject}: {words}", "warning")
        else:
            self._mend_by(remedy)

    def _mend_by(self, remedy: Remedy) -> None:
        snapshot, action = self._app.snapshot, BY_ID[remedy.action]
        target = target_of(snapshot, action.kind, remedy.target) if snapshot is not None else None
        if snapshot is None or (target is None and action.kind is not Kind.HOST):
            self._app.toast(f"{action.title}: it is not there any more", "warning")
            return
        context = self.context(snapshot)
        if (reason := action.reason(context, target)) is not None:
            self._app.toast(f"{action.title}: {reason}", "warning")
            return
        values = {**action.defaults(context, [target]), **dict(remedy.values)}

        def planner(given: dict[str, str]) -> Plan:
            now = self._app.snapshot or snapshot
            return make_plan(action, self.context(now), [_as_of(now, target)], given)

        self._ask(action.title, action.asked(context, [target]), values, planner)

    def run_by_id(self, ident: str) -> None:
        """Run the action of that id."""
        self.run(BY_ID[ident])

    def run(self, action: Action) -> None:
        """Ask what the action asks, show its plan, and carry it out when the user says go."""
        snapshot = self._app.snapshot
        if snapshot is None:
            return
        context = self.context(snapshot)
        if (reason := self._reason(action, context)) is not None:
            self._app.toast(f"{action.title}: {reason}", "warning")
            return
        targets = self._targets(action)
        able = [target for target in targets if action.reason(context, target) is None]
        fields, values = action.asked(context, able), action.defaults(context, able)
        frame = self._app.frame
        note = _hidden_words(frame.hidden_marks(), frame.hidden_by) if action.kind is not Kind.HOST else ()

        def planner(given: dict[str, str]) -> Plan:
            # Of the newest picture: what a screen shows while it asks is what its plan has to be made of.
            now = self._app.snapshot or snapshot
            plan = make_plan(action, self.context(now), [_as_of(now, target) for target in targets], given)
            return replace(plan, notes=(*note, *plan.notes))

        if action.editor:
            self._edit(action, able, values, planner)
        else:
            self._ask(action.title, fields, values, planner)

    def _edit(self, action: Action, targets: Sequence[Target], values: dict[str, str], planner: Planner) -> None:
        app = self._app

        def context() -> Context:
            snapshot = app.snapshot
            assert snapshot is not None, "the editor was opened from one"
            return self.context(snapshot)

        def run(plan: Plan) -> str:
            return self.jobs.run(plan).job.entry.id

        def ask(given: dict[str, str]) -> None:
            def leave(_plan: Plan) -> None:
                editor.dismiss(None)

            self._ask(action.title, (), {**values, **given}, planner, then=leave)

        def done(_none: None) -> None:
            self.editor = None
            app.keep_live(None)

        editor = EDITORS[action.editor](Opening(action, tuple(targets), values, context, planner, ask, run))
        self.editor = editor
        app.clear_notifications()
        app.push_screen(editor, done)
        app.keep_live(editor)

    def _targets(self, action: Action) -> list[Target]:
        return [None] if action.kind is Kind.HOST else self._app.frame.targets(action.kind)

    def _reason(self, action: Action, context: Context) -> str | None:
        targets = self._targets(action)
        if not targets:
            return f"no {action.kind.value} is selected"
        reasons = [action.reason(context, target) for target in targets]
        return None if None in reasons else reasons[0]

    def _ask(
        self,
        title: str,
        fields: Sequence[Field],
        values: dict[str, str],
        planner: Planner,
        undoes: str = "",
        then: Callable[[Plan], None] = lambda _plan: None,
    ) -> None:
        def go(plan: Plan | None) -> None:
            if plan is not None:
                self.jobs.run(plan, undoes)
                then(plan)

        self._app.frame.hold()
        # Without fields no planner reads a file, so that this thread may ask it.
        if self._preview == "loss" and not fields and (plan := planner(values)).confirm is Confirm.NONE:
            go(plan)
            return
        # What was told before must not lie over what is asked now.
        self._app.clear_notifications()
        self._app.push_screen(PlanDialog(title, fields, values, planner), go)

    def open_palette(self) -> None:
        """Offer all actions by name."""
        snapshot = self._app.snapshot
        if snapshot is None:
            return
        context = self.context(snapshot)
        offers = [Offer(a.id, a.title, self.keys[a.id], self._reason(a, context) or "") for a in ACTIONS]
        offers.sort(key=lambda offer: bool(offer.reason))

        def go(ident: str | None) -> None:
            if ident:
                self.run_by_id(ident)

        self._app.push_screen(Palette(offers), go)

    def undo(self, ident: str | None) -> None:
        """Undo the change of that journal entry, or say why not."""
        app = self._app
        entry = app.journal.get(ident) if ident else None
        if entry is None:
            app.toast("Undo: no change is selected here", "warning")
        elif not entry.undo or app.journal.undone(entry.id):
            app.toast("it was undone already" if entry.undo else "this change cannot be undone", "warning")
        elif entry.uri != app.collector.uri:
            app.toast(f"this change was made on {entry.uri}", "warning")
        elif app.collector.read_only:
            app.toast("Undo: virtdeck runs with --read-only", "warning")
        elif app.snapshot is None:
            app.toast("Undo: the host is not read yet", "warning")
        elif (reason := undo_reason(entry.undo, context := self.context(app.snapshot))) is not None:
            app.toast(f"Undo: {reason}", "warning")
        else:
            plan = undo_plan(entry, context)
            self._ask(plan.title, [], {}, lambda _values: plan, entry.id)

    def cancel(self, ident: str | None) -> bool:
        """End the change of that journal entry early, as far as that can be done; False when there is no such entry."""
        entry = self._app.journal.get(ident) if ident else None
        if entry is None:
            return False
        words = self.jobs.cancel(entry.id)
        self._app.toast(words or "this change is not under way here", "information" if words else "warning")
        return True

    def tell(self, job: Job) -> None:
        """Show what became of a job, once for every turn it takes."""
        self._app.collector.board.update(asked=ignored(self.jobs.running()))
        shown = self._tell_editor(job)
        if self._told.get(job.entry.id) is job.status:
            return
        self._told[job.entry.id] = job.status
        if job.status is Status.FAILED:
            self._learn(job)
        text, severity = job_words(job)
        if text and not shown:
            self._app.toast(text, severity, _LIGHT_S if severity == "information" else _GRAVE_S)

    def _tell_editor(self, job: Job) -> bool:
        """Tell an open editor of a job; whether it shows the user itself what became of it."""
        editor = self.editor
        if editor is None:
            return False
        for result in job.results:
            if result.output:
                editor.show_output(job.entry.id, result.output)
        editor.show_entry(job.entry)
        return editor.tells_results and job.plan.action == editor.opening.action.id

    def pending(self) -> dict[str, str]:
        """Return what the host or a guest has been asked and has not done, with what to do about it, by target; what an
        earlier session asked for too."""
        snapshot = self._app.snapshot
        left = self._open_ones(snapshot) if snapshot is not None else {}
        return {**left} | {
            result.step.target: f"{result.step.title}: {result.hint or 'not done yet'}"
            for job in self.jobs.running()
            for result in job.results
            if result.status is Status.PENDING
        }

    def running(self) -> int:
        """Return how many changes have requests that were not made yet."""
        return sum(job.status is Status.RUNNING for job in self.jobs.running())


def _as_of(snapshot: HostSnapshot, target: Target) -> Target:
    """The same thing as it is in that snapshot; as it was where it is gone."""
    if target is None:
        return None
    if isinstance(target, Finding):
        return next((finding for finding in snapshot.findings or () if finding.id == target.id), target)
    storage = snapshot.storage
    stored = (storage.pools.get(target.key) or storage.volumes.get(target.key)) if storage is not None else None
    network = snapshot.networks.networks.get(target.key) if snapshot.networks is not None else None
    return snapshot.domains.get(target.key) or snapshot.processes.get(target.key) or stored or network or target


def ignored(jobs: Sequence[Job]) -> tuple[AskedGuest, ...]:
    """Return what guests were asked and have not done in the time that an op grants them."""
    return tuple(
        AskedGuest(result.step.target, job.plan.action, job.entry.at_ns)
        for job in jobs
        for result in job.results
        if result.status is Status.PENDING and result.accepted and job.plan.action in _OF_GUESTS
    )


def _hidden_words(names: Sequence[str], hidden_by: str) -> tuple[str, ...]:
    if not names:
        return ()
    some = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
    rows = "1 marked row is" if len(names) == 1 else f"{len(names)} marked rows are"
    return (f"{rows} {hidden_by}: {some}",)


def job_words(job: Job) -> tuple[str, str]:
    """Return what to tell of a job that moved, and how grave it is; "" while there is nothing to say."""
    problems = job.problems()
    match job.status:
        case Status.DONE:
            return f"{job.plan.title}: done", "information"
        case Status.PENDING:
            first = problems[0] if problems else None
            return (f"{first.step.title}: {first.hint or 'still pending'}" if first else ""), "warning"
        case Status.CANCELLED:
            return (problems[0].message if problems else f"{job.plan.title}: cancelled"), "warning"
        case Status.FAILED | Status.EXPIRED:
            text = problems[0].message if problems else job.plan.title
            more = f" (and {len(problems) - 1} more; 7 shows the journal)" if len(problems) > 1 else ""
            return text + more, "error"
    return "", "information"
