"""Commit: what images above wrote goes into one below them, while the domain runs."""

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
    refuse_others,
)
from tui.actions.disk_choice import device_field
from tui.actions.lifecycle import as_domain, step
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import block_jobs as ops


def _reason(context: Context, target: Target) -> Reason:
    return disk_reason(context, target, layered, "no disk of it lies on another image")


def _span(chain: Chain, values: Values) -> tuple[int, int]:
    """The places in the chain of the image to commit and of the one that it goes into; raises FieldError."""
    if len(chain.images) < 2:
        raise FieldError("device", f"{chain.disk.target} lies on no other image")
    top = layer(values, "top", chain.images) if values["top"].strip() else 0
    base = layer(values, "base", chain.images) if values["base"].strip() else top + 1
    if base <= top or base >= len(chain.images):
        raise FieldError("base", f"must be below {clean(chain.images[top])}: {chain.words}")
    return top, base


def _commit(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    top, base = _span(chain, values)
    device, into, limit = chain.disk.target, chain.images[base], limit_of(values)
    why = "what is committed would ruin what others read:"
    refuse_others(context, "base", domain, chain, chain.images[top : base + 1], why)
    words = ["blockcommit", domain_word(domain), device, "--base", into]
    words += ["--active", "--pivot"] if top == 0 else ["--top", chain.images[top], "--wait"]
    from_ = chain.source if top == 0 else chain.images[top]
    request = ops.CommitDisk(domain.key, device, chain.source, from_, into, limit)
    over = " and pivot to it" if top == 0 else ""
    title = f"commit {clean(chain.images[top])} of {domain.name} into {clean(into)}{over}"
    loses = f"{clean(into)} as it is now: it cannot be gone back to"
    return [step(context, domain, title, [*words, *limit_words(limit)], request, loses=loses)]


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    chain = chosen_chain(context, domain, values)
    top, base = _span(chain, values)
    left = ", ".join(clean(path) for path in chain.images[top:base])
    notes = [f"{domain.name}: {chain.disk.target} is {chain.words}", f"{domain.name}: left behind: {left}"]
    if domain.snapshots:
        notes.append(f"{domain.name}: its snapshots stay listed, those whose images these are lead nowhere then")
    return notes


ACTION = Action(
    "domain.disk-commit", "Commit a disk of", "commit disk", "", Kind.DOMAIN,
    "Write what an image holds into one below it while the domain runs; the disk's own image pivots to that.",
    _commit, _reason,
    (
        device_field(layered, live=True),
        Field("top", "Commit", FieldKind.TEXT, optional=True,
              help="an image of the chain by path, name or number; empty: the disk's own"),
        Field("base", "Into", FieldKind.TEXT, optional=True, help="an image below that; empty: the next one"),
        LIMIT,
    ),
    bulk=False, notes=_notes, reads=READS,
)  # fmt: skip
"""The action; it is one of the family disks."""
