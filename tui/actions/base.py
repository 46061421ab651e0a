"""What an action is: a user's intent, where it applies, what it asks, and the Plan it makes. No Textual here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tui.model.domain import Domain
from tui.model.finding import Finding
from tui.model.host import ConnectionState
from tui.model.kind import Kind
from tui.model.link import Link
from tui.model.network import Network
from tui.model.plan import Confirm, Plan, Step
from tui.model.process import QemuProcess
from tui.model.storage import Pool, Volume

if TYPE_CHECKING:
    from tui.model.snapshot import HostSnapshot

# From this many targets on, a plan that can lose something wants the number typed.
_TYPED_FROM = 20
_NOTHING: Mapping[tuple[str, str], str] = MappingProxyType({})
_NONE: Mapping[str, str] = MappingProxyType({})


class FieldKind(StrEnum):
    """How a field is asked for."""

    TEXT = "text"
    PATH = "path"
    CHOICE = "choice"
    FLAG = "flag"
    CPUS = "cpus"
    AMOUNT = "amount"
    """Memory, as parse_amount takes it."""
    PINS = "pins"
    """Threads and their CPUs, as parse_pins takes them."""


Values = Mapping[str, str]
"""Field values as typed; flags are "yes" or "no"."""

Target = Domain | QemuProcess | Pool | Volume | Network | Link | Finding | None
"""The thing an action is applied to; None for actions on the host itself."""


class FieldError(Exception):
    """A field value that cannot be used: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class TargetError(FieldError):
    """A value that this target cannot take, or has already, and that another may take: of many targets it is left out
    with a note, alone it is no plan."""


def amount_error(text: str) -> type[FieldError]:
    """Return the error for an amount that is out of range: a change or a share of what there is means something else
    for each target."""
    return TargetError if any(mark in text for mark in "+-%") else FieldError


@dataclass(frozen=True, slots=True)
class Context:
    """What an action may look at: the newest snapshot and where kept files go."""

    snapshot: HostSnapshot
    kept_dir: Path
    muted_file: Path = Path(os.devnull)
    """Where muted findings go."""
    missing: Mapping[tuple[str, str], str] = field(default_factory=lambda: _NOTHING)
    """Why this connection cannot carry out an action on what is in some state, by action id and state, as far as it
    was tried: to resume is one call for what is paused, another for what sleeps."""

    unsettled: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """What was asked of a guest and never confirmed, so that the same kind of change must not be made blindly: a
    sentence by domain UUID, as the journal tells."""

    @property
    def uri(self) -> str:
        """The connection URI, for equivalent commands."""
        return self.snapshot.connection.uri


@dataclass(frozen=True, slots=True)
class Field:
    """One thing an action asks for."""

    name: str
    label: str
    kind: FieldKind
    default: Callable[[Context, Sequence[Target]], str] = lambda _context, _targets: ""
    choices: tuple[str, ...] = ()
    help: str = ""
    applies: Callable[[Context, Sequence[Target]], bool] = lambda _context, _targets: True
    """Whether the field means anything for these targets; it is not asked for otherwise."""
    optional: bool = False
    """Whether a text may be left as it is offered; one that is not must be given without the screen."""
    offered: Callable[[Context], tuple[str, ...]] | None = None
    """Which of the choices this host has; None: all of them."""

    def on(self, context: Context) -> Field:
        """Return the field with the choices that this host has; what else is chosen is for the action to refuse."""
        return self if self.offered is None else replace(self, choices=self.offered(context))


Reason = str | None
Unavailable = Callable[[Context, Target], Reason]
Steps = Callable[[Context, Target, Values], Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Action:
    """A user's intent. `steps` makes the steps for one target; the same for each when many are marked."""

    id: str
    title: str
    """What it does, as in "Start"; with the targets' names it is the plan's title."""
    hint: str
    """One word for the hint bar."""
    key: str
    """"" for one that is done seldom: the palette has it, and whoever wants a key for it gives it one."""
    kind: Kind
    help: str
    steps: Steps
    unavailable: Unavailable = lambda _context, _target: None
    fields: tuple[Field, ...] = ()
    bulk: bool = True
    confirm: Confirm = Confirm.NONE
    notes: Callable[[Context, Target, Values], Sequence[str]] = lambda _context, _target, _values: ()
    rank: int = 50
    """Its place in the hint bar, which has not room for all: lower comes first."""
    editor: str = ""
    """The screen that asks in place of the form, by its name in dialogs.editors; "" for the form."""
    reads: tuple[str, ...] = ()
    """What it looks at besides domains and their configurations: sources of HostSnapshot.unread (usage, storage ...),
    `cpus` for the host's CPUs and memory, `detail` for what is read of the one domain that is open, `agent` for what
    its agent says, `block_jobs` for those of its disks."""

    def reason(self, context: Context, target: Target) -> Reason:
        """Return why this cannot be done now, None when it can. Read-only and a lost connection come first, the same
        for every action; then what the connection was found not to have."""
        state = "" if target is None or isinstance(target, (Volume, Link, Finding)) else target.state
        missing = context.missing.get((self.id, state))
        return _common_reason(context, self.kind) or missing or self.unavailable(context, target)

    def asked(self, context: Context, targets: Sequence[Target]) -> list[Field]:
        """Return the fields that mean something for these targets."""
        return [field.on(context) for field in self.fields if field.applies(context, targets)]

    def defaults(self, context: Context, targets: Sequence[Target]) -> dict[str, str]:
        """Return the value of every field before the user typed anything."""
        return {field.name: field.default(context, targets) for field in self.fields}


def _common_reason(context: Context, kind: Kind) -> Reason:
    connection = context.snapshot.connection
    if connection.read_only:
        return "virtdeck runs with --read-only"
    if connection.state is ConnectionState.ABSENT and kind is not Kind.PROCESS:
        return "virtdeck runs without libvirt"
    if not connection.live and kind is not Kind.PROCESS:
        return f"the connection to libvirt is {connection.state.value}"
    return None


def name_of(target: Target) -> str:
    """Return the name to show for a target."""
    return target.name if target is not None else "host"


def key_of(target: Target) -> str:
    """Return the stable key of a target; of a finding its id, since its key is that of what it is about."""
    if isinstance(target, Finding):
        return target.id
    return target.key if target is not None else "host"


def kind_of(target: Target) -> Kind:
    """Return what kind of thing a target is."""
    kinds: dict[type, Kind] = {
        Domain: Kind.DOMAIN,
        QemuProcess: Kind.PROCESS,
        Pool: Kind.POOL,
        Volume: Kind.VOLUME,
        Network: Kind.NETWORK,
        Link: Kind.LINK,
        Finding: Kind.FINDING,
    }
    return Kind.HOST if target is None else kinds[type(target)]


def target_of(snapshot: HostSnapshot, kind: Kind, key: str) -> Target:
    """Return the thing of that kind and key; None where there is none."""
    storage, networks, links = snapshot.storage, snapshot.networks, snapshot.links
    found: dict[Kind, Mapping[str, Target]] = {
        Kind.DOMAIN: snapshot.domains,
        Kind.PROCESS: snapshot.processes,
        Kind.POOL: storage.pools if storage is not None else {},
        Kind.VOLUME: storage.volumes if storage is not None else {},
        Kind.NETWORK: networks.networks if networks is not None else {},
        Kind.LINK: links.links if links is not None else {},
    }
    return found.get(kind, {}).get(key)


def make_plan(action: Action, context: Context, targets: Sequence[Target], values: Values) -> Plan:
    """Return the plan of `action` on `targets`; targets that it cannot be applied to are skipped and named in the
    notes. Raises FieldError on a value that no target can take, and on no target that is left."""
    steps: list[Step] = []
    notes: list[str] = []
    used: list[Target] = []
    given = {**action.defaults(context, targets), **values}
    check_values(action, given)
    for target in targets:
        if (reason := action.reason(context, target)) is not None:
            notes.append(f"{name_of(target)}: skipped, {reason}")
            continue
        try:
            steps += action.steps(context, target, given)
        except TargetError as error:
            if len(targets) == 1:
                raise
            notes.append(f"{name_of(target)}: skipped, {error.reason}")
            continue
        used.append(target)
        notes += action.notes(context, target, given)
    if not used:
        raise FieldError(action.title, notes[0].partition("skipped, ")[2] if len(notes) == 1 else "; ".join(notes))
    what = name_of(used[0]) if len(used) == 1 else f"{len(used)} {action.kind.plural}"
    confirm, phrase = asking(action.confirm, steps, [typable(target) for target in used])
    title = action.title if action.kind is Kind.HOST else f"{action.title} {what}"
    return Plan(action.id, title, tuple(steps), confirm, phrase, tuple(dict.fromkeys(notes)))


def asking(confirm: Confirm, steps: Sequence[Step], names: Sequence[str]) -> tuple[Confirm, str]:
    """Return how much a plan of these steps asks, `confirm` at least, and what has to be typed: the name of the one
    target, or how many there are; `names` as typable has them."""
    loses = any(step.loses for step in steps)
    if any(step.typed for step in steps) or (loses and len(names) >= _TYPED_FROM):
        return Confirm.TYPE, names[0] if len(names) == 1 else str(len(names))
    return (Confirm.ASK if loses and confirm is Confirm.NONE else confirm), ""


def typable(target: Target) -> str:
    """Return the name, or the key where the name has what no keyboard has."""
    name = name_of(target)
    return name if name.isascii() and name == name.strip() != "" else key_of(target)


def check_values(action: Action, values: Values) -> None:
    """Raise FieldError for a value of no field of the action, or one that its field does not have."""
    known = {field.name: field for field in action.fields}
    for name, value in values.items():
        field = known.get(name)
        if field is None:
            raise FieldError(name, f"no such field; {action.id} has: {', '.join(known) or 'none'}")
        allowed = ("yes", "no") if field.kind is FieldKind.FLAG else field.choices
        if allowed and value not in allowed:
            raise FieldError(name, f"must be one of: {', '.join(map(_word, allowed))}")


def _word(text: str) -> str:
    """A value in a list of such; in quotes where its own commas would read as the list's."""
    return f"'{text}'" if "," in text else text


def is_on(values: Values, name: str) -> bool:
    """Whether a flag field is set."""
    return values.get(name) == "yes"


def flag(name: str, label: str, help: str = "", default: str = "no") -> Field:
    """Return a yes/no field."""
    return Field(name, label, FieldKind.FLAG, lambda _context, _targets: default, help=help)


def choice(name: str, label: str, choices: tuple[str, ...], help: str = "") -> Field:
    """Return a field with a fixed set of values; the first one is the default."""
    return Field(name, label, FieldKind.CHOICE, lambda _context, _targets: choices[0], choices, help)
