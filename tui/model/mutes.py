"""Findings that somebody does not want to be told: the file that keeps them, by host, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping

_VERSION = 1


def parse_mutes(text: str) -> dict[str, dict[str, str]]:
    """Return reasons by connection URI and id of a finding; "" is an empty file. Raises ValueError with a sentence."""
    if not text.strip():
        return {}
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(data, dict) or set(data) != {"version", "muted"} or data["version"] != _VERSION:
        raise ValueError(f"is not of version {_VERSION}")
    muted = data["muted"]
    good = isinstance(muted, dict) and all(
        isinstance(found, dict) and all(isinstance(reason, str) for reason in found.values())
        for found in muted.values()
    )
    if not good:
        raise ValueError("muted must have reasons by connection and finding")
    return {uri: dict(found) for uri, found in muted.items()}


def format_mutes(mutes: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of the file; hosts without any are left out."""
    muted = {uri: dict(sorted(found.items())) for uri, found in sorted(mutes.items()) if found}
    return json.dumps({"version": _VERSION, "muted": muted}, indent=2) + "\n"
