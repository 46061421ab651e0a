"""How much memory of the host the QEMU of a domain may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tui.actions.base import (
    Action,
    Context,
    Field,
    FieldError,
    FieldKind,
    Reason,
    Target,
    TargetError,
    Values,
    amount_error,
)
from tui.actions.iothreads import unread
from tui.actions.lifecycle import as_domain
from tui.actions.sides import WHERE, Side, sides
from tui.model import units
from tui.model.amount import parse_amount
from tui.model.domain import Domain
from tui.model.domain_detail import Enforced
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.tuning import UNLIMITED_KIB
from tui.model.virsh import domain_word, virsh
from tui.ops.tuning import UNLIMITED, SetMemoryLimits

NO_LIMIT = ("none", "unlimited", "-1")
"""What takes a limit away."""

# QEMU alone, without a guest, does not run in less.
_FLOOR_KIB = 16 * 1024
_OPTIONS = {"hard": "--hard-limit", "soft": "--soft-limit", "swap_hard": "--swap-hard-limit"}


@dataclass(frozen=True, slots=True)
class _Change:
    """What is asked of one side: limits in KiB by field, UNLIMITED for none; and what they were, of all."""

    side: Side
    limits: Mapping[str, int]
    before: Mapping[str, int]

    def after(self, name: str) -> int:
        """The limit that then holds."""
        return self.limits.get(name, self.before[name])

    @property
    def is_due(self) -> bool:
        """Whether any of them is otherwise now."""
        return any(kib != self.before[name] for name, kib in self.limits.items())


def enforced_of(context: Context, domain: Domain) -> Enforced | None:
    """Return what the control groups of the domain hold it to; None where that was not read, or is of another."""
    detail = context.snapshot.detail
    return detail.enforced if domain.active and detail is not None and detail.key == domain.key else None


def _before(side: Side) -> dict[str, int]:
    memory = side.config.tuning.memory
    limits = (memory.hard_limit_kib, memory.soft_limit_kib, memory.swap_hard_limit_kib)
    return {name: UNLIMITED if kib is None else kib for name, kib in zip(_OPTIONS, limits, strict=True)}


def _change(side: Side, values: Values) -> _Change:
    before = _before(side)
    given = {name: text for name in _OPTIONS if (text := values[name].strip())}
    limits = {name: _limit(name, text, before[name], side.config.memory_max_kib) for name, text in given.items()}
    change = _Change(side, limits, before)
    hard, swap = change.after("hard"), change.after("swap_hard")
    if swap != UNLIMITED and (hard == UNLIMITED or hard > swap):
        raise TargetError(
            "swap_hard" if "swap_hard" in change.limits else "hard",
            f"with swap the limit is {units.size(swap)} {side.words}; the hard limit must be set, and be no more",
        )
    return change


def _limit(name: str, text: str, before: int, whole_kib: int) -> int:
    if text.casefold() in NO_LIMIT:
        return UNLIMITED
    try:
        kib = parse_amount(text, None if before == UNLIMITED else before, whole_kib)
    except ValueError as error:
        raise amount_error(text)(name, str(error)) from error
    least = 1 if name == "soft" else _FLOOR_KIB
    if not least <= kib < UNLIMITED_KIB:
        raise amount_error(text)(
            name, f"must be at least {units.size(least)} and below {units.size(UNLIMITED_KIB)}, or none"
        )
    return kib


def _memtune(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    if not any(values[name].strip() for name in _OPTIONS):
        raise FieldError("hard", "give at least one limit, or none to take it away")
    changes = [_change(side, values) for side in sides(domain, values)]
    if any(change.side.live for change in changes) and (reason := _no_memory(context, domain)):
        raise TargetError("where", f"{domain.name} as it runs: {reason}; choose persistent")
    due = [change for change in changes if change.is_due]
    if not due:
        raise TargetError(next(iter(changes[0].limits)), f"{domain.name} is limited so already")
    return [_step(context, domain, change) for change in due]


def _no_memory(context: Context, domain: Domain) -> str:
    enforced = enforced_of(context, domain)
    return "" if enforced is None else enforced.no_memory


def _step(context: Context, domain: Domain, change: _Change) -> Step:
    back = {name: change.before[name] for name in change.limits}
    undo = _plain_step(context, domain, change.side, back)
    made = _plain_step(context, domain, change.side, change.limits)
    return replace(made, undo=(undo,), loses=_loses(context, domain, change))


def _plain_step(context: Context, domain: Domain, side: Side, limits: Mapping[str, int]) -> Step:
    words = ["memtune", domain_word(domain), side.option]
    for name, kib in limits.items():
        words += [_OPTIONS[name], str(kib)]
    request = SetMemoryLimits(domain.key, side.live, limits.get("hard"), limits.get("soft"), limits.get("swap_hard"))
    shown = ", ".join(f"{name.replace('_', ' ')} {_words(kib)}" for name, kib in limits.items())
    title = f"limit the memory of {domain.name} {side.words}: {shown}"
    return Step(title, virsh(context.uri, *words), request, domain.key)


def _words(kib: int) -> str:
    return "no limit" if kib == UNLIMITED else units.size(kib)


def _loses(context: Context, domain: Domain, change: _Change) -> str | None:
    """A limit below what QEMU uses is met by swapping, and by the kernel killing QEMU when that does not do. libvirt
    starts no domain with limits where it has other control groups but none for memory (code 67)."""
    if all(kib == UNLIMITED for kib in change.limits.values()):
        return None
    if not change.side.live:
        missing = _no_memory(context, domain)
        return f"the next start on this host: libvirt may refuse it ({missing})" if missing else None
    hard = change.limits.get("hard", UNLIMITED)
    if hard == UNLIMITED:
        return None
    usage = context.snapshot.usage.get(domain.key)
    if usage is None or usage.rss_kib is None:
        if hard >= change.side.config.memory_kib:
            return None
        return f"the running guest: {units.size(hard)} is less than its memory, and the kernel may kill its QEMU"
    if hard >= usage.rss_kib:
        return None
    used = units.size(usage.rss_kib)
    return f"the running guest: its QEMU uses {used}, more than {units.size(hard)}, and the kernel may kill it"


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    for change in (_change(side, values) for side in sides(domain, values)):
        hard, most = change.limits.get("hard", UNLIMITED), change.side.config.memory_max_kib
        if hard != UNLIMITED and hard <= most:
            return (
                f"{domain.name} may have {units.size(most)} of memory and its QEMU needs more than that: the kernel "
                f"kills it when it comes to need more than {units.size(hard)}",
            )
    return ()


def _reason(context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if reason := unread(context, target):
        return reason
    return _no_memory(context, domain) or None if domain.persistent is False else None


def _where_default(context: Context, targets: Sequence[Target]) -> str:
    """Persistent alone where it is known that the other cannot be."""
    return "persistent" if any(_no_memory(context, as_domain(target)) for target in targets) else "both"


def _field(name: str, label: str, help: str) -> Field:
    return Field(name, label, FieldKind.AMOUNT, optional=True, help=f"{help}; empty leaves it, none takes it away")


MEMTUNE = Action(
    "domain.memtune", "Limit memory", "memtune", "F", Kind.DOMAIN,
    "Limit the host memory that QEMU may use for the domain.", _memtune, _reason,
    (
        _field("hard", "Hard limit", "what QEMU may use at most, such as 4G"),
        _field("soft", "Soft limit", "what it is pressed to when the host is short"),
        _field("swap_hard", "With swap", "memory and swap together at most"),
        replace(WHERE, default=_where_default),
    ),
    notes=_notes, reads=("usage", "detail"),
)  # fmt: skip
