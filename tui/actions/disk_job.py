"""The end of a block job that is under way, whoever began it."""

from __future__ import annotations

from collections.abc import Sequence

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, choice
from tui.actions.block_chain import jobs_of
from tui.actions.lifecycle import as_domain, needs_active, step
from tui.model.block_job import KINDS, BlockJob
from tui.model.domain import Domain
from tui.model.domain_config import Disk
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word
from tui.ops import block_jobs as ops


def _reason(context: Context, target: Target) -> Reason:
    if reason := needs_active(context, target):
        return reason
    jobs = jobs_of(context, as_domain(target))
    if jobs is None:
        return "its block jobs are read while its detail is open"
    return None if jobs else "no block job is under way on its disks"


def _job(context: Context, domain: Domain, values: Values) -> BlockJob:
    jobs, word = jobs_of(context, domain) or (), values["device"].strip()
    found = next((job for job in jobs if job.target == word), None)
    if found is None:
        raise FieldError("device", f"no job on {word or 'that'}; there are: {', '.join(j.target for j in jobs)}")
    return found


def _disk(domain: Domain, target: str) -> Disk | None:
    there = domain.config.disks if domain.config is not None else ()
    return next((disk for disk in there if disk.target == target), None)


def _end(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    job, pivot = _job(context, domain, values), values["end"] == "pivot"
    if pivot and not job.pivots:
        raise FieldError("end", f"a {job.kind} does not pivot; it comes to its end by itself, or is aborted")
    if pivot and not job.ready:
        raise FieldError("end", f"it is not ready yet: {job.words}")
    if not pivot and job.kind == "backup":
        raise FieldError("end", "a backup is ended by what began it (virsh domjobabort)")
    words = ["blockjob", domain_word(domain), job.target, "--pivot" if pivot else "--abort"]
    request = ops.EndBlockJob(domain.key, job.target, KINDS.index(job.kind), pivot)
    title = f"{'pivot' if pivot else 'abort'} the {job.kind} of {job.target} of {domain.name}"
    loses = None if pivot else f"what the {job.kind} has done so far ({job.words})"
    return [step(context, domain, title, words, request, loses=loses)]


def _notes(context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    job = _job(context, domain, values)
    disk = _disk(domain, job.target)
    if disk is None:
        return ()
    to = f"{job.target} goes on with {clean(disk.raw_mirror) or 'its target'}, {disk.source} is left"
    if values["end"] == "pivot":
        return (f"{domain.name}: {to}",)
    if not job.pivots:
        return (f"{domain.name}: {job.target} is {disk.source} as before",)
    left = "is left" if job.kind == "copy" else "stays below"
    return (f"{domain.name}: {job.target} is {disk.source} as before, {clean(disk.raw_mirror) or 'the target'} {left}",)


def _proposed(context: Context, targets: Sequence[Target]) -> str:
    jobs = jobs_of(context, as_domain(targets[0])) if len(targets) == 1 and targets[0] is not None else None
    return jobs[0].target if jobs else ""


ACTION = Action(
    "domain.disk-job", "End a block job of", "block job", "J", Kind.DOMAIN,
    "Pivot or abort a copy, commit or pull that is under way on a disk, whoever began it.", _end, _reason,
    (
        Field("device", "Disk", FieldKind.TEXT, _proposed, help="its target, as vda", optional=True),
        choice("end", "End", ("abort", "pivot"), "pivot: of a copy or active commit that is ready"),
    ),
    bulk=False, notes=_notes, reads=("usage", "block_jobs"),
)  # fmt: skip
"""The action; it is one of the family disks."""
