"""Pull: what images below hold comes into a disk's own image, while the domain runs."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values
from tui.actions.block_chain import (
    LIMIT,
    READS,
    Chain,
    chosen_chain,
    disk_reason,
    layer,
    layered,
    limit_of,
    limit_words,
)
from tui.actions.disk_choice import device_field
from tui.actions.lifecycle import as_domain, step
from tui.model import units
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import block_jobs as ops


def _reason(context: Context, target: Target) -> Reason:
    return disk_reason(context, target, layered, "no disk of it lies on another image")


def _base(chain: Chain, values: Values) -> int:
    """The place in the chain of the image that is to be left below, one behind the last for none; raises FieldError."""
    if len(chain.images) < 2:
        raise FieldError("device", f"{chain.disk.target} lies on no other image")
    if not values["base"].strip():
        return len(chain.images)
    base = layer(values, "base", chain.images)
    if base < 2:
        raise FieldError("base", f"must be below the image that is pulled: {chain.words}")
    return base


def _pull(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    base, device, limit = _base(chain, values), chain.disk.target, limit_of(values)
    rest = chain.images[base] if base < len(chain.images) else ""
    words = ["blockpull", domain_word(domain), device, *(["--base", rest] if rest else []), "--wait"]
    request = ops.PullDisk(domain.key, device, chain.source, rest, limit)
    onto = f", which then lies on {clean(rest)}" if rest else ", which then needs no other"
    title = f"pull {', '.join(map(clean, chain.images[1:base]))} into {clean(chain.images[0])} of {domain.name}{onto}"
    return [step(context, domain, title, [*words, *limit_words(limit)], request)]


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    notes = [
        f"{domain.name}: {chain.disk.target} is {chain.words}",
        f"{domain.name}: the images below stay as they are; there is no undo",
        f"{domain.name}: QEMU 7.2 ends when it is asked about its disks (virsh domstats, domblkinfo, an exporter) just "
        "as a pull does; virtdeck does not ask meanwhile",
    ]
    storage = context.snapshot.storage
    own = storage.at(chain.images[0]) if storage is not None else None
    pool = storage.pools.get(own.pool) if storage is not None and own is not None else None
    below = [storage.at(path) for path in chain.images[1 : _base(chain, values)]] if storage is not None else []
    grows = sum(volume.allocation_bytes or 0 for volume in below if volume is not None)
    if pool is not None and pool.available_bytes is not None and grows > pool.available_bytes:
        free = units.byte_size(pool.available_bytes)
        notes.append(f"{domain.name}: it may grow by {units.byte_size(grows)}, and {pool.name} has {free} free")
    return notes


ACTION = Action(
    "domain.disk-pull", "Pull a disk of", "pull disk", "", Kind.DOMAIN,
    "Copy what the images below a disk hold into its own while the domain runs, so that it needs them no more.",
    _pull, _reason,
    (
        device_field(layered, live=True),
        Field("base", "Stays below", FieldKind.TEXT, optional=True,
              help="an image of the chain by path, name or number; empty: none, all is pulled"),
        LIMIT,
    ),
    bulk=False, notes=_notes, reads=READS,
)  # fmt: skip
"""The action; it is one of the family disks."""
