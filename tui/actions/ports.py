"""PCIe root ports of domains, which what is plugged in needs: more of them for the next boot."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain
from tui.model.domain import Domain
from tui.model.kind import Kind
from tui.model.pcie import MOST_BUSES
from tui.model.plan import Step
from tui.model.virsh import virsh
from tui.ops.ports import SetRootPorts

# Many times that of a large guest; firmware walks through all of them at each boot.
_MOST = 32
_UNREAD = "its configuration is not read yet"


def _reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    config = domain.persistent_config
    if domain.persistent is False:
        return "it is transient: it has no next boot"
    if config is None:
        return _UNREAD
    if config.pcie_buses is None:
        return f"its machine type {config.machine} has no PCIe root ports"
    return None if max(config.pcie_buses) < MOST_BUSES - 1 else "it has as many PCI controllers as there can be"


def _count(values: Values, room: int) -> int:
    text, most = values["count"].strip(), min(_MOST, room)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise FieldError("count", f"must be from 1 to {most}")
    return int(text)


def _ports(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    buses = None if domain.persistent_config is None else domain.persistent_config.pcie_buses
    if buses is None:
        raise FieldError("count", _UNREAD)
    first = max(buses) + 1
    numbers = tuple(range(first, first + _count(values, MOST_BUSES - first)))
    words = f"{len(numbers)} PCIe root port{'s' if len(numbers) > 1 else ''}"
    back = _step(context, domain, f"take the {words} of {domain.name} away again", numbers, remove=True)
    return [_step(context, domain, f"give {domain.name} {words} more from the next boot on", numbers, (back,))]


def _step(
    context: Context, domain: Domain, title: str, numbers: tuple[int, ...], undo: tuple[Step, ...] = (), *,
    remove: bool = False,
) -> Step:  # fmt: skip
    file, backup = (kept_path(context, f"{domain.raw_name}{suffix}") for suffix in ("-ports", ""))
    request = SetRootPorts(domain.key, numbers, file, backup, remove)
    return Step(title, virsh(context.uri, "define", file, "--validate"), request, domain.key, undo)


def _notes(_context: Context, target: Target, _values: Values) -> Sequence[str]:
    domain = as_domain(target)
    notes = []
    if domain.active and domain.config is not None and domain.config.free_slots is not None:
        notes.append(f"{domain.name}: has {domain.config.free_slots} free now")
    if domain.active:
        notes.append(f"{domain.name}: shut it down and start it to use them; a reboot from inside is not enough")
    if domain.managed_save:
        notes.append(f"{domain.name}: its saved state continues without them")
    return notes


ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.ports", "Add PCIe root ports to", "root ports", "X", Kind.DOMAIN,
        "Give the domain more PCIe root ports from its next boot on: each takes a disk or NIC while it runs.",
        _ports, _reason,
        (
            Field("count", "How many", FieldKind.TEXT, lambda _context, _targets: "4", help="1 to 32", optional=True),
        ),
        notes=_notes,
        rank=80,
    ),
)  # fmt: skip
