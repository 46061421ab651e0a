"""What a check is, and what all of them share: how findings are put, and the indexes of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tui.model.finding import Finding, Remedy, Severity
from tui.model.kind import Kind

if TYPE_CHECKING:
    from tui.checks.history import History
    from tui.model.domain import Domain
    from tui.model.link import Link
    from tui.model.snapshot import HostSnapshot
    from tui.model.used_by import Use
    from tui.topology.guests import GuestNic, Guests
    from tui.topology.trace_scene import Scene as Traced
    from tui.topology.wiring import Wiring

CALM_S = 5.0

INFO, WARNING, ERROR, CRITICAL = Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL

NETWORK_PARTS = ("links", "ovs", "networks", "domains", "processes", "addresses", "dnsmasqs")
"""What wiring and guests are made of."""


class Scene:
    """What checks look at: a snapshot, what is remembered of those before it, and what is found in it by more than one
    check, made when first wanted."""

    def __init__(self, snapshot: HostSnapshot, history: History) -> None:
        self.snapshot = snapshot
        self.history = history

    @cached_property
    def traced(self) -> Traced:
        """What the judges of the path trace look at; the kernel is asked nothing here."""
        from tui.topology.trace_scene import Scene as Traced

        return Traced(self.snapshot, {})

    @cached_property
    def wiring(self) -> Wiring:
        """The plugs of the network."""
        return self.traced.wiring

    @cached_property
    def guests(self) -> Guests:
        """The NICs of the guests."""
        return self.traced.guests

    @cached_property
    def uses(self) -> Mapping[str, tuple[Use, ...]]:
        """Who uses which image, by its raw path."""
        from tui.model.used_by import used_by

        return used_by(self.snapshot.domains.values(), self.snapshot.storage)

    @cached_property
    def bridges(self) -> list[tuple[Link, list[Link], list[GuestNic]]]:
        """Each bridge that guests are plugged into, its ports, and those guests."""
        found, wiring, by_tap = [], self.wiring, self.guests.by_tap
        for bridge in wiring.links.values():
            if bridge.kind == "bridge":
                ports = [wiring.links[key] for key in wiring.ports.get(bridge.key, ()) if key in wiring.links]
                nics = [by_tap[port.key] for port in ports if port.key in by_tap]
                if nics:
                    found.append((bridge, ports, nics))
        return found


Find = Callable[[Scene], Iterable[Finding]]
FindOne = Callable[[Scene, "Domain"], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the host as a whole; it runs again when one of `parts` is another object."""

    find: Find
    parts: tuple[str, ...]
    """The fields of HostSnapshot that it looks at; none of them may be unread."""
    calm: tuple[str, ...] = ()
    """Those that move all the time: they alone make it run again once in CALM_S and not more often."""


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """A check of one domain after another; it runs again for those of which something is another object."""

    find: FindOne
    parts: tuple[str, ...] = ("domains",)
    """The fields of HostSnapshot that have to be read."""
    by_key: tuple[str, ...] = ()
    """Those whose entry under the domain's key it looks at."""
    whole: tuple[str, ...] = ()
    """Those that it looks at as a whole."""


AnyCheck = Check | DomainCheck


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about."""

    kind: str
    name: str
    key: str = ""


HOST = Subject(Kind.HOST, "host", "host")


def domain_subject(domain: Domain) -> Subject:
    """Return the subject that a domain is."""
    return Subject(Kind.DOMAIN, domain.name, domain.key)


@dataclass(frozen=True, slots=True)
class Rule:
    """The id of a check's finding, how bad it is, and why it matters."""

    check: str
    severity: Severity
    why: str

    def of(
        self,
        subject: Subject,
        message: str,
        *remedies: Remedy,
        severity: Severity | None = None,
        part: str = "",
        since_ns: int | None = None,
    ) -> Finding:
        """Return the finding that says so of a subject; `part` tells several of one subject apart (a disk, a NIC)."""
        check = f"{self.check}:{part}" if part else self.check
        worst = self.severity if severity is None else severity
        return Finding(check, worst, subject.kind, subject.name, subject.key, message, self.why, remedies, since_ns)


def act(words: str, action: str, target: str, *command: str, **values: str) -> Remedy:
    """Return a remedy that is an action with the values of its fields; dashes in their names are underscores here."""
    given = tuple((name.replace("__", "-"), value) for name, value in values.items())
    return Remedy(words, action, target, given, command)


def run(words: str, *command: str) -> Remedy:
    """Return a remedy that is a command to be run by hand, or advice where there is none."""
    return Remedy(words, command=command)
