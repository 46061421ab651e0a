"""What a command at the monitor's prompt could become: words known beforehand, and those that QEMU itself named."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_COMMANDS = (
    "balloon", "cont", "device_add", "device_del", "help", "info", "print", "qom-get", "qom-list", "screendump", "stop",
    "system_powerdown", "system_reset", "x", "xp",
)  # fmt: skip
_TOPICS = (
    "balloon", "block", "blockstats", "chardev", "cpus", "hotpluggable-cpus", "iothreads", "kvm", "memdev",
    "memory-devices", "memory_size_summary", "migrate", "mtree", "name", "network", "numa", "pci", "qom-tree", "qtree",
    "registers", "snapshots", "status", "usb", "uuid", "version", "vnc",
)  # fmt: skip
_QMP = (
    "balloon", "cont", "qom-get", "qom-list", "query-balloon", "query-block", "query-blockstats", "query-chardev",
    "query-commands", "query-cpus-fast", "query-hotpluggable-cpus", "query-iothreads", "query-memdev",
    "query-memory-devices", "query-memory-size-summary", "query-migrate", "query-name", "query-pci", "query-status",
    "query-version", "query-vnc", "stop", "system_powerdown",
)  # fmt: skip
# A line of `help`: a command and its aliases, what it takes, what it does.
_HELP = re.compile(r"^(?P<info>info )?(?P<name>[A-Za-z][\w-]*)(?:\|[\w?|-]+)?(?: .*)? --", re.ASCII | re.MULTILINE)


class Words:
    """The words of both protocols; more are learned from what QEMU answers."""

    def __init__(self) -> None:
        self._hmp = {*_COMMANDS, *(f"info {topic}" for topic in _TOPICS)}
        self._qmp = set(_QMP)

    def learn(self, answer: str) -> None:
        """Take the names from an answer to `help`, `info` or `query-commands`; any other has none."""
        if answer.startswith("{"):
            self._qmp |= _names(answer)
            return
        for found in _HELP.finditer(answer):
            self._hmp.add(f"info {found['name']}" if found["info"] else found["name"])

    def candidates(self, text: str, protocol: str) -> list[str]:
        """Return the lines that `text` could become by its last word, in order."""
        known = self._qmp if protocol == "qmp" else self._hmp
        text = text.lstrip()
        return sorted(line for line in known if line.startswith(text) and line.count(" ") == text.count(" "))


def common_start(lines: Sequence[str]) -> str:
    """Return what all lines begin with."""
    low, high = min(lines), max(lines)
    return next((low[:index] for index, char in enumerate(low) if char != high[index]), low)


def _names(answer: str) -> set[str]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return set()
    listed = found.get("return") if isinstance(found, dict) else None
    named = [item.get("name") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return {name for name in named if isinstance(name, str) and re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII)}
