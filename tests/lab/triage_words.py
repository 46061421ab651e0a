"""What tests of triage say: a host that is watched all the time, faults that have to be named, remedies that mend."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.actions import Deck
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.actions import BY_ID
from tui.actions.base import Context, make_plan, target_of
from tui.changes import ignored
from tui.model.finding import Finding, Remedy, Severity
from tui.model.journal import Status
from tui.model.snapshot import HostSnapshot
from tui.reports import open_collector, settled
from tui.runtime.collector import Collector
from tui.runtime.desk import Focus
from tui.runtime.job import Job
from tui.runtime.jobs import Jobs

FOUND_S, GONE_S = 40.0, 20.0
INTERVAL_S = 1.0


@dataclass
class Row:
    """A line of the table: what was done, what was named, after how long; what mended it, after how long."""

    fault: str
    named: str = "-"
    found_s: float | None = None
    by: str = ""
    gone_s: float | None = None
    refreshes: int | None = None


@dataclass
class Triaged:
    """virtdeck's reading of a lab host, with everything looked at, as while the triage pane is open."""

    lab: LabHost
    home: Path
    collector: Collector
    rows: list[Row] = field(default_factory=list)

    @property
    def seen(self) -> HostSnapshot:
        return self.collector.board.snapshot

    def own(self) -> list[Finding]:
        """The findings of this lab alone: other labs of this machine are other people's, and so is the machine."""
        links = self.seen.links
        own = {key for key, link in links.links.items() if link.netns == self.netns()} if links is not None else set()
        return [
            f
            for f in self.seen.findings or ()
            if f.kind in ("domain", "pool", "network") or (f.kind == "link" and f.key in own)
        ]

    def netns(self) -> str:
        return str((Path("/proc") / str(self.lab.namespaces.pid) / "ns/net").stat().st_ino)

    def look(self) -> None:
        """Read all again, as F5 does."""
        domains = tuple(self.seen.domains)
        self.collector.focus(Focus(domains, storage=(), links=True, networks=True))
        self.collector.reread()

    def find(self, check: str, subject: str) -> Finding | None:
        found = (f for f in self.own() if f.check.split(":")[0] == check and f.subject.partition("@")[0] == subject)
        return next(found, None)

    def expect(self, fault: str, check: str, subject: str, severity: Severity | None = None) -> Finding:
        """Wait until a fault is named; AssertionError with what is said instead when it never is."""
        row = Row(fault)
        self.rows.append(row)
        began = time.monotonic()
        self.look()
        while (found := self.find(check, subject)) is None or severity not in (None, found.severity):
            assert time.monotonic() - began < FOUND_S, f"{fault}: no {check} of {subject}; {self.words()}"
            time.sleep(0.1)
        row.named, row.found_s = f"{found.check} of {found.subject}: {found.message}", time.monotonic() - began
        return found

    def words(self) -> list[str]:
        return [f"{f.severity.word} {f.check} {f.subject}: {f.message}" for f in self.own()]

    def mend(self, finding: Finding, remedy: Remedy | None = None) -> None:
        """Carry out the first remedy of a finding that is an action, and expect it to be gone soon."""
        remedy = remedy or next(remedy for remedy in finding.remedies if remedy.action)
        action = BY_ID[remedy.action]

        def able() -> bool:
            """The picture may be of the middle of what was injected."""
            return (
                action.reason(Context(self.seen, self.home), target_of(self.seen, action.kind, remedy.target)) is None
            )

        wait_until(able, f"{action.id} to be possible", timeout=10)
        target = target_of(self.seen, action.kind, remedy.target)
        context = Context(self.seen, self.home / "kept")
        values = {**action.defaults(context, [target]), **dict(remedy.values)}
        plan = make_plan(action, context, [target], values)
        job = self.run(plan).wait(60)
        assert job.status is Status.DONE, job.results
        self.gone(finding, f"{remedy.action} {' '.join('='.join(pair) for pair in remedy.values)}")

    def run(self, plan: object):  # type: ignore[no-untyped-def]
        with Deck(self.lab.uri, self.home) as deck:
            journal = deck.journal()
        jobs: Jobs

        def moved(_job: Job) -> None:
            self.collector.board.update(asked=ignored(jobs.running()))

        jobs = Jobs(self.collector, journal, self.lab.uri, self.collector.nudge, moved)
        return jobs.run(plan)  # type: ignore[arg-type]

    def by_hand(self, finding: Finding, remedy: Remedy | None = None) -> None:
        """Run the command of a remedy as it stands, outside of the lab, and expect the finding to be gone."""
        remedy = remedy or next(remedy for remedy in finding.remedies if remedy.command)
        subprocess.run(remedy.command, check=True, timeout=30, capture_output=True)
        self.gone(finding, " ".join(remedy.command))

    def mended(self, finding: Finding, by: str, mend: Callable[[], object]) -> None:
        mend()
        self.gone(finding, by)

    def gone(self, finding: Finding, by: str) -> None:
        """Wait until a finding is there no more; how many times all was read until then is noted."""
        began, refreshes = time.monotonic(), 0
        while True:
            self.look()
            refreshes += 1
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                if all(f.id != finding.id for f in self.own()):
                    row = next(row for row in reversed(self.rows) if row.named.startswith(finding.check))
                    row.by, row.gone_s, row.refreshes = by, time.monotonic() - began, refreshes
                    return
                time.sleep(0.05)
            assert time.monotonic() - began < GONE_S, f"{finding.check} stays after {by}: {self.words()}"

    def healthy(self) -> None:
        """Expect nothing of severity warning or above, after all was read twice."""
        for _ in range(2):
            self.look()
            time.sleep(2.5)
        # That its guests wait for the CPUs of a machine that others work on as well is true, and no fault of theirs.
        shared = ("domain.vcpu-delay", "domain.disk-slow")
        bad = [f for f in self.own() if f.severity >= Severity.WARNING and not f.check.startswith(shared)]
        assert not bad, self.words()

    def table(self) -> str:
        lines = [f"{'injected':<44} {'found s':>7} {'gone s':>6} {'refr':>4}  named; mended by"]
        for row in self.rows:
            found = "-" if row.found_s is None else f"{row.found_s:.1f}"
            gone = "" if row.gone_s is None else f"{row.gone_s:.1f}"
            count = "" if row.refreshes is None else str(row.refreshes)
            by = f"; {row.by}" if row.by else ""
            lines.append(f"{row.fault[:44]:<44} {found:>7} {gone:>6} {count:>4}  {row.named}{by}")
        return "\n".join(lines)


def triaged(lab: LabHost, home: Path) -> Triaged:
    """Begin to watch a host; the caller stops its collector."""
    from tui.cli import Options
    from tui.config import Config

    options = Options(lab.uri, demo=False, read_only=False, config=Config(interval_s=INTERVAL_S))
    collector = open_collector(options)
    collector.start()
    collector.board.wait(settled, 10)
    assert collector.board.snapshot.connection.live
    made = Triaged(lab, home, collector)
    made.look()
    collector.start_slow()
    assert collector.board.wait(lambda seen: not seen.unread and seen.findings is not None, 30), (
        collector.board.snapshot.unread
    )
    return made
