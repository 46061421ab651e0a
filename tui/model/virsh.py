"""Equivalent commands: argument lists that do by hand exactly what a step does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.model.domain import Domain

# virsh tries a word as a running domain's id (strtol) and as a UUID (dashes anywhere) before it tries it as a name;
# both pass over leading white space.
_NUMBER = re.compile(r"\+?[0-9]+")
_UUID = re.compile(r"(-*[0-9a-fA-F]){32}-*")


def virsh(uri: str, *words: str) -> tuple[str, ...]:
    """Return a virsh command line for `uri`."""
    return ("virsh", "-c", uri, *words)


def domain_word(domain: Domain) -> str:
    """Return what virsh takes for this domain and nothing else: its name, or its UUID where virsh would read the name
    as an option, an id or a UUID."""
    name = domain.raw_name
    plain = name.isprintable() and name == name.strip() and name != "" and not name.startswith("-")
    return name if plain and not _NUMBER.fullmatch(name) and not _UUID.fullmatch(name) else domain.key
