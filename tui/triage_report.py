"""`virtdeck triage`: what is wrong on a host, as text or JSON, with an exit code for scripts. Textual is never
imported here."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tui.model import units
from tui.model.finding import Severity
from tui.model.text import clean
from tui.reports import NO_CONNECTION, print_json, read_host

if TYPE_CHECKING:
    import argparse

    from tui.cli import Options
    from tui.model.finding import Finding, Remedy
    from tui.model.snapshot import HostSnapshot
    from tui.runtime.collector import Collector

GOOD, FOUND = 0, 1
PARTS = (
    "domains", "configs", "usage", "addresses", "processes", "storage", "networks", "links", "firewalls", "ovs",
    "dnsmasqs", "health", "images", "cpus", "pool_hosts",
)  # fmt: skip
"""All that checks look at."""


def triage_report(options: Options, args: argparse.Namespace) -> int:
    """Print the findings; returns 1 when one that is not muted is as bad as --min-severity, 0 otherwise, 3 without a
    connection."""
    read = read_host(options, PARTS)
    if read is None:
        return NO_CONNECTION
    collector, seen = read
    seen = triaged(collector, seen)
    collector.stop()
    if seen.unread:
        print(f"virtdeck: not read in time: {', '.join(sorted(seen.unread))}", file=sys.stderr)
    every = seen.findings or ()
    found = [finding for finding in every if finding.severity >= args.min_severity]
    if args.json:
        print_json({"findings": [finding_json(finding) for finding in found], "limits": list(seen.limits)})
    else:
        _print(found, seen, [finding for finding in every if finding.severity < args.min_severity])
    return FOUND if any(finding.muted is None for finding in found) else GOOD


def triaged(collector: Collector, seen: HostSnapshot) -> HostSnapshot:
    """Return the snapshot with what the checks say of it as a whole: a thread's first findings may be of a part."""
    from tui.checks.triage import Triage
    from tui.runtime.triage import MuteFile

    mutes = MuteFile(collector.muted_file, collector.uri)
    mutes.read()
    if mutes.problem:
        print(f"virtdeck: {clean(mutes.problem)}", file=sys.stderr)
    return replace(seen, findings=Triage().look(seen, mutes.reasons))


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON-able data."""
    return {
        "id": finding.id,
        "check": finding.check,
        "severity": finding.severity.word,
        "subject": {"kind": finding.kind, "name": finding.subject, "key": finding.key},
        "message": finding.message,
        "why": finding.why,
        "remedies": [_remedy_json(remedy) for remedy in finding.remedies],
        "since_ns": finding.since_ns,
        "muted": finding.muted,
    }


def _remedy_json(remedy: Remedy) -> dict[str, Any]:
    return {
        "words": remedy.words,
        "action": remedy.action or None,
        "target": remedy.target or None,
        "values": dict(remedy.values),
        "command": list(remedy.command),
    }


def _print(found: list[Finding], seen: HostSnapshot, hidden: list[Finding]) -> None:
    for finding in found:
        muted = f" [muted: {finding.muted}]" if finding.muted is not None else ""
        subject = "host" if finding.kind == "host" else f"{finding.kind} {finding.subject}"
        print(f"{finding.severity.word:<9} {subject}: {finding.message}{muted}")
        print(f"{'':9} {finding.why}")
        for remedy in finding.remedies:
            print(f"{'':9} > {remedy.words}{_by(remedy)}")
    if not found:
        print("nothing is wrong here, as far as can be seen")
    if hidden:
        print(f"not shown: {_counted(hidden)}; --min-severity {min(f.severity for f in hidden).word} shows all")
    for limit in seen.limits:
        print(f"not seen: {limit}")


def _counted(findings: list[Finding]) -> str:
    """How many there are of each severity, worst first."""
    counts = {one.word: sum(f.severity is one for f in findings) for one in reversed(Severity)}
    return ", ".join(units.counted(count, word) for word, count in counts.items() if count)


def _by(remedy: Remedy) -> str:
    """How to do it without the screen."""
    if remedy.command:
        return f": {clean(shlex.join(remedy.command))}"
    if not remedy.action:
        return ""
    given = [word for name, value in remedy.values for word in ("--set", f"{name}={value}")]
    return f": {clean(shlex.join(['virtdeck', 'do', remedy.action, remedy.target, *given]))}"
