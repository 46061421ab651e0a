"""CPU lists in libvirt's syntax, such as `0-3,^2,5`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

MAX_CPU = 16383
"""The highest CPU number that libvirt's CPU masks can hold (VIR_DOMAIN_CPUMASK_LEN - 1)."""

_ITEM = re.compile(r"(?P<not>\^)?(?P<first>[0-9]{1,9})(?:\s*-\s*(?P<last>[0-9]{1,9}))?", re.ASCII)


def parse_cpus(text: str) -> tuple[int, ...]:
    """Return the CPUs that `text` names, ascending; `^N` takes N out of what stands before it.
    Raises ValueError with a sentence for the user when `text` is not a CPU list or names no CPU."""
    cpus: set[int] = set()
    for item in text.split(","):
        excluded, numbers = _parse_item(item.strip())
        cpus = cpus.difference(numbers) if excluded else cpus.union(numbers)
    if not cpus:
        raise ValueError(f"{text!r} leaves no CPU")
    return tuple(sorted(cpus))


def format_cpus(cpus: Iterable[int]) -> str:
    """Return `cpus` as the shortest list of single CPUs and ranges, ascending, each once: `0-3,5`."""
    ordered = sorted(set(cpus))
    gaps = [index for index, (low, high) in enumerate(pairwise(ordered), 1) if high != low + 1]
    runs = [ordered[start:end] for start, end in pairwise([0, *gaps, len(ordered)])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs if run)


def _parse_item(item: str) -> tuple[bool, range]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{item!r} is not a CPU, a range such as 0-3, or an exclusion such as ^2")
    first = int(match["first"])
    last = first if match["last"] is None else int(match["last"])
    if match["not"] and match["last"]:
        raise ValueError(f"{item!r}: an exclusion takes one CPU, not a range")
    if last < first:
        raise ValueError(f"{item!r}: the range runs backwards")
    if last > MAX_CPU:
        raise ValueError(f"{item!r}: the highest CPU number is {MAX_CPU}")
    return bool(match["not"]), range(first, last + 1)
