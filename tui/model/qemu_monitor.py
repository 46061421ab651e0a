"""QEMU's monitor in words: what a command is, whether it only reads, and whether an answer is a failure.

The texts are those of QEMU 7.2 (monitor/hmp.c, monitor/hmp-cmds.c); the human monitor (HMP) has no other way to say
that a command failed."""

from __future__ import annotations

import json
import re
from typing import Any

PROTOCOLS = ("hmp", "qmp")

# Reading memory (x, xp, sum) and ports (i) is not among them: devices react to being read.
_HMP_READS = frozenset({"info", "help", "?", "print", "p", "gva2gpa", "gpa2hva", "gpa2hpa", "qom-list", "qom-get"})
_QMP_READS = frozenset({"qom-list", "qom-get", "qom-list-types", "qom-list-properties", "device-list-properties"})
_SYNTAX = re.compile(r'Try "help [^"]*" for more information')
_FAILED = re.compile(
    r"unknown command: '|error: |invalid |unknown |could not |cannot |failed |no memory is mapped|"
    r"user mode network stack not in use",
    re.IGNORECASE,
)
# What `gpa2hva` and the like, which read, say of an address that is none.
_NOT_FOUND = re.compile(r"No memory is mapped at address|Unmapped\b|Memory at address .* is not RAM")
_MIB, _KIB = 1024, 1024
# With it the human monitor's commands would get by all that is asked before them.
_HMP_BY_QMP = "human-monitor-command"


def one_line(command: str) -> str:
    """Return a command of the human monitor as it is sent; raises ValueError with a sentence for the user."""
    command = command.strip()
    if not command:
        raise ValueError("give a command, as in: info status")
    if not command.isprintable():
        raise ValueError("a command is one line of plain text")
    if not (command[0].isalpha() or command[0] == "?"):
        raise ValueError("a command begins with a letter")
    return command


def qmp_command(text: str) -> str:
    """Return the JSON of a QMP command given as JSON, or as its name with or without an object of arguments:
    `query-status`, `qom-list {"path": "/"}`. Raises ValueError with a sentence for the user."""
    text = text.strip()
    name, _, rest = text.partition(" ")
    if text.startswith("{"):
        found = _object(text)
    elif rest.strip():
        found = {"execute": name, "arguments": _object(rest)}
    else:
        found = {"execute": name}
    if "id" in found:
        raise ValueError("leave the id out: libvirt gives one")
    if not isinstance(found.get("execute"), str) or not re.fullmatch(r"[A-Za-z][\w.-]*", found["execute"], re.ASCII):
        raise ValueError("name a QMP command, as in: query-status")
    if found["execute"] == _HMP_BY_QMP:
        raise ValueError("give commands of the human monitor with the protocol hmp")
    return json.dumps(found)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("a JSON object is wanted, as in: {...}")
    return found


def name_of_command(command: str, protocol: str) -> str:
    """Return the first word of a command of the human monitor, or what a QMP command executes."""
    if protocol == "qmp":
        return str(_object(command).get("execute", ""))
    return re.split(r"[\s/]", command.strip(), maxsplit=1)[0]


def reads_only(command: str, protocol: str) -> bool:
    """Whether a command is known to change nothing; one that is not known may change anything."""
    name = name_of_command(command, protocol)
    if protocol == "qmp":
        return name.startswith(("query-", "x-query-")) or name in _QMP_READS
    return name in _HMP_READS


def balloon_kib(command: str, protocol: str) -> int | None:
    """Return the KiB to which a command asks the guest's balloon to be brought; None for any other command. Raises
    ValueError with a sentence for the user on a size that is not plain."""
    if name_of_command(command, protocol) != "balloon":
        return None
    if protocol == "qmp":
        arguments = _object(command).get("arguments")
        size = arguments.get("value") if isinstance(arguments, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or size < _KIB:
            raise ValueError('balloon takes bytes, as in: balloon {"value": 536870912}')
        return size // _KIB
    words = command.split()
    # QEMU takes expressions as well; what is not plain cannot be checked.
    if len(words) != 2 or words[0] != "balloon" or re.fullmatch("0*[1-9][0-9]{0,8}", words[1]) is None:
        raise ValueError("balloon takes whole MiB, as in: balloon 512")
    return int(words[1]) * _MIB


def balloon_command(kib: int, protocol: str) -> str:
    """Return the command that brings the balloon to a size, up to whole MiB."""
    mib = -(-kib // _MIB)
    if protocol == "qmp":
        return json.dumps({"execute": "balloon", "arguments": {"value": mib * _MIB * _KIB}})
    return f"balloon {mib}"


def failure(command: str, protocol: str, answer: str) -> str | None:
    """Return why a command failed, as its answer says in lines of text; None when it did what it was told, as far as
    the answer tells."""
    return _qmp_failure(answer) if protocol == "qmp" else _hmp_failure(command, answer)


def _hmp_failure(command: str, answer: str) -> str | None:
    lines = [line.strip() for line in answer.replace("\r", "").split("\n") if line.strip()]
    if not lines:
        return None
    failed = lines[0].startswith(("unknown command: '", "Error: ")) or _SYNTAX.fullmatch(lines[-1]) is not None
    if not reads_only(command, "hmp"):
        # What only reads may show such words of anything; they may be a guest's own.
        failed = failed or _FAILED.match(lines[0]) is not None or any(line.startswith("Error: ") for line in lines)
    elif _NOT_FOUND.match(lines[0]):
        failed = True
    if failed:
        return "\n".join(line.removeprefix("Error: ") for line in lines)
    return None


def _qmp_failure(answer: str) -> str | None:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    error = found.get("error") if isinstance(found, dict) else None
    if error is None:
        return None
    return str(error.get("desc") or error) if isinstance(error, dict) else str(error)
