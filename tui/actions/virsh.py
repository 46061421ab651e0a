"""Equivalent commands: argument lists that do by hand exactly what a step does."""

from __future__ import annotations

import re

from tui.model.domain import Domain

_UUID = re.compile(r"[0-9a-fA-F-]{32,36}")


def virsh(uri: str, *words: str) -> tuple[str, ...]:
    """Return a virsh command line for `uri`."""
    return ("virsh", "-c", uri, *words)


def domain_word(domain: Domain) -> str:
    """Return what virsh takes for this domain and nothing else: its name, or its UUID where virsh would read the name
    as an option, an id or a UUID."""
    name = domain.raw_name
    # virsh tries a number as a running domain's id before it tries it as a name.
    ambiguous = not name or name.startswith("-") or name.isdigit() or _UUID.fullmatch(name) is not None
    return domain.key if ambiguous or not name.isprintable() else name
