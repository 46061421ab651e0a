"""Runs the checks over one snapshot after another: each again only where something that it looks at has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import is_
from typing import TYPE_CHECKING, Any

from tui.checks.base import CALM_S, AnyCheck, Check, DomainCheck, Scene
from tui.checks.history import History

if TYPE_CHECKING:
    from tui.model.finding import Finding
    from tui.model.snapshot import HostSnapshot

_UNREAD_AS = {"domains": ("domains", "configs")}
"""The sources whose first pass a part waits for, where it is not called as they are."""


class Triage:
    """The checks with what they found last; used on one thread."""

    def __init__(self, checks: Sequence[AnyCheck] | None = None) -> None:
        if checks is None:
            from tui.checks import CHECKS

            checks = CHECKS
        self._runs: list[_DomainRun | _Run] = [
            *_domain_runs(checks),
            *(_Run(check) for check in checks if isinstance(check, Check)),
        ]
        self._history = History()
        self._since: dict[str, int | None] = {}
        self._found: tuple[Finding, ...] = ()
        self._mutes: Mapping[str, str] = {}

    def look(self, seen: HostSnapshot, mutes: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
        """Return the findings of a snapshot, worst first, muted ones last; the same object while they are the same.
        `mutes` are reasons by the id of a finding."""
        mutes = mutes or {}
        self._history.extend(seen)
        scene = Scene(seen, self._history)
        news = False
        for run in self._runs:
            ran = run.ran
            news = run.look(scene) or news
            run.first = not ran
        if news or mutes != self._mutes:
            self._mutes = mutes
            found = tuple(sorted(self._dated(seen), key=_order))
            self._found = found if found != self._found else self._found
        return self._found

    def _dated(self, seen: HostSnapshot) -> Iterable[Finding]:
        """The findings with since when they are: what the first run of a check finds was there before."""
        since: dict[str, int | None] = {}
        for run in self._runs:
            for finding in run.found():
                ident = finding.id
                first = self._since.get(ident, None if run.first else seen.taken_ns)
                since[ident] = first if finding.since_ns is None else finding.since_ns
                yield replace(finding, since_ns=since[ident], muted=self._mutes.get(ident))
        self._since = since


def _order(finding: Finding) -> tuple[object, ...]:
    return (finding.muted is not None, -finding.severity, finding.check, finding.subject, finding.key)


class _Run:
    """A check of the whole, and what it found."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._seen: tuple[Any, ...] = ()
        self._at_ns = 0
        self._found: tuple[Finding, ...] = ()
        self.first = True
        self.ran = False

    def found(self) -> Iterable[Finding]:
        """Return what it found last."""
        return self._found

    def look(self, scene: Scene) -> bool:
        """Run it if it has to; returns whether it found anything else than before."""
        seen = scene.snapshot
        if not _is_read(seen, self._check.parts):
            return False
        parts = tuple(getattr(seen, name) for name in self._check.parts)
        if self.ran:
            pairs = zip(self._check.parts, parts, self._seen, strict=True)
            changed = {name for name, now, before in pairs if now is not before}
            soon = seen.taken_ns - self._at_ns < CALM_S * 1e9
            if not changed or (soon and changed <= set(self._check.calm)):
                return False
        self._seen, self._at_ns = parts, seen.taken_ns
        found = tuple(self._check.find(scene))
        news = found != self._found
        self._found, self.ran = found, True
        return news


def _domain_runs(checks: Iterable[AnyCheck]) -> list[_DomainRun]:
    """Return runs of the checks of domains, those that look at the same together: finding out which of thousands have
    changed takes longer than looking at them."""
    groups: dict[tuple[tuple[str, ...], ...], list[DomainCheck]] = {}
    for check in checks:
        if isinstance(check, DomainCheck):
            groups.setdefault((check.parts, check.by_key, check.whole), []).append(check)
    return [_DomainRun(group) for group in groups.values()]


class _DomainRun:
    """Checks of each domain that look at the same, and what they found by the domain's key."""

    def __init__(self, checks: Sequence[DomainCheck]) -> None:
        self._checks = checks
        self._whole: tuple[Any, ...] = ()
        self._domains: object = None
        self._maps: tuple[Any, ...] = ()
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._found: dict[str, tuple[Finding, ...]] = {}
        self.first = True
        self.ran = False

    def found(self) -> Iterable[Finding]:
        """Return what they found last, in the order of the domains."""
        return (finding for found in self._found.values() for finding in found)

    def look(self, scene: Scene) -> bool:
        """Run them for the domains that they have to; returns whether they found anything else than before."""
        seen, check = scene.snapshot, self._checks[0]
        if not _is_read(seen, (*check.parts, *check.whole)):
            return False
        maps = tuple(getattr(seen, name) for name in check.by_key)
        whole = tuple(getattr(seen, name) for name in check.whole)
        same_whole = self.ran and all(a is b for a, b in zip(whole, self._whole, strict=True))
        same_maps = self.ran and all(a is b for a, b in zip(maps, self._maps, strict=True))
        if same_whole and same_maps and seen.domains is self._domains:
            return False
        if not same_whole:
            self._seen = {}
        self._domains, self._maps, self._whole, self.ran = seen.domains, maps, whole, True
        return self._look_at_each(scene, maps)

    def _look_at_each(self, scene: Scene, maps: tuple[Mapping[str, Any], ...]) -> bool:
        domains = scene.snapshot.domains
        news = False
        for key in (self._seen.keys() | self._found.keys()) - domains.keys():
            self._seen.pop(key, None)
            news = self._found.pop(key, None) is not None or news
        for key, domain in domains.items():
            parts = (domain, *(of.get(key) for of in maps))
            before = self._seen.get(key)
            if before is not None and all(map(is_, parts, before)):
                continue
            self._seen[key] = parts
            found = tuple(finding for check in self._checks for finding in check.find(scene, domain))
            if found != self._found.get(key, ()):
                news = True
            if found:
                self._found[key] = found
            else:
                self._found.pop(key, None)
        return news


def _is_read(seen: HostSnapshot, parts: Iterable[str]) -> bool:
    """Whether all of it has been read at least once; what cannot be read here is there as None or empty."""
    return not any(source in seen.unread for part in parts for source in _UNREAD_AS.get(part, (part,)))
