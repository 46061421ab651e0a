"""What triage says is wrong, and what a path trace says of each hop: the data; tui.checks and tui.topology make it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How bad it is; greater is worse."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The word for it, as `--min-severity` takes it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Remedy:
    """What mends it: an action by its id with the values of its fields, or a command to be run by hand."""

    words: str
    """What to do, in a sentence."""
    action: str = ""
    """The id of an action; "" where there is only a command or advice."""
    target: str = ""
    """The key of what the action applies to."""
    values: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with one thing."""

    check: str
    """The id of the check, as "domain.io-error"."""
    severity: Severity
    kind: str
    """What kind of thing it is about: a tui.model.kind.Kind, or netns."""
    subject: str
    """The name of that thing, cleaned."""
    key: str
    """Its key in the snapshot, "" for the host: where enter jumps to."""
    message: str
    """What is wrong, with the number."""
    why: str
    """Why it matters."""
    remedies: tuple[Remedy, ...] = ()
    since_ns: int | None = None
    """When it was first seen so; None: it was so when virtdeck started."""
    muted: str | None = None
    """Why somebody does not want to be told; None: it is told."""

    @property
    def id(self) -> str:
        """The same for as long as it is the same finding: what a mute names."""
        # A link has another key whenever it or its namespace is made anew.
        return f"{self.check}:{self.subject if self.kind == 'link' else self.key or self.subject}"

    @property
    def mend(self) -> Remedy | None:
        """The remedy that a key may carry out: the first that is an action, unless a command comes before it, which is
        then the milder way; None: none."""
        first = next((remedy for remedy in self.remedies if remedy.action or remedy.command), None)
        return first if first is not None and first.action else None

    @property
    def name(self) -> str:
        """What it is called where it is acted upon."""
        return f"{self.check} of {self.subject}"


PACKET = "ICMP echo request"
"""What is traced: a ping and its answer."""

ON_THE_WIRE = ("ARP probe", "ICMP echo")
"""The sources of facts that were asked for on the wire."""


class Verdict(StrEnum):
    """What a trace says of a hop."""

    GOOD = "good"
    BROKEN = "broken"
    WARNING = "warning"
    UNKNOWN = "unknown"
    NOT_SIMULATED = "not simulated"


_WORST = (Verdict.BROKEN, Verdict.WARNING, Verdict.NOT_SIMULATED, Verdict.UNKNOWN, Verdict.GOOD)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several verdicts; unknown for none."""
    found = set(verdicts)
    return next((verdict for verdict in _WORST if verdict in found), Verdict.UNKNOWN)


class Layer(StrEnum):
    """Where a cause lies, first cause first: what comes earlier explains what comes later."""

    PROCESS = "process"
    ADMIN = "admin state"
    CARRIER = "carrier"
    L2 = "L2 configuration"
    L3 = "L3 configuration"
    FILTER = "filter"
    SYMPTOM = "symptom"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at on a hop, and what it says of it."""

    words: str
    verdict: Verdict
    source: str
    """Where it was read: RTM_GETROUTE, IFLA_BRPORT_STATE, nft list ruleset, virDomainGetXMLDesc ..."""
    cause: str = ""
    """What is broken, by a stable word as "stp-blocking"; "" where nothing is."""
    layer: Layer | None = None
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """A place that a packet passes."""

    kind: str
    """guest, tap, bridge, port, veth, router, filter, nat, uplink, next-hop ..."""
    name: str
    netns: str
    """The name of its namespace."""
    key: str
    """Its key in the snapshot, or the id of its node: where enter jumps to."""
    facts: tuple[Fact, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its facts' verdicts."""
        return worst(fact.verdict for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Trace:
    """The way from a guest's NIC or a link to an address, hop by hop, both directions judged."""

    source: str
    """domain/NIC, or the link."""
    destination: str
    """The address, or "outside"."""
    hops: tuple[Hop, ...]
    cause: tuple[int, int] | None
    """Hop and fact that explain the rest, by their numbers; None: nothing is broken."""

    @property
    def notes(self) -> list[tuple[Hop, Fact]]:
        """What is warned of and what is not simulated, and on which hops."""
        told = (Verdict.WARNING, Verdict.NOT_SIMULATED)
        return [(hop, fact) for hop in self.hops for fact in hop.facts if fact.verdict in told]

    @property
    def verdict(self) -> Verdict:
        """Broken where any hop is; good only where all are good or merely warn; unknown else."""
        found = {hop.verdict for hop in self.hops}
        if Verdict.BROKEN in found:
            return Verdict.BROKEN
        unsure = found & {Verdict.UNKNOWN, Verdict.NOT_SIMULATED}
        return Verdict.UNKNOWN if unsure or not found else Verdict.GOOD
