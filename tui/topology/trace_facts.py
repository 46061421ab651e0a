"""How the facts of a trace are put: each with its verdict, where it was read, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.model.finding import Fact, Layer, Remedy, Verdict

if TYPE_CHECKING:
    from tui.model.link import Link, Netns


def good(words: str, source: str) -> Fact:
    """Return a fact that is as it should be."""
    return Fact(words, Verdict.GOOD, source)


def broken(words: str, source: str, cause: str, layer: Layer, *remedies: Remedy) -> Fact:
    """Return a fact that stops packets."""
    return Fact(words, Verdict.BROKEN, source, cause, layer, remedies)


def warning(words: str, source: str, cause: str, layer: Layer, *remedies: Remedy) -> Fact:
    """Return a fact that stops some packets, or would elsewhere."""
    return Fact(words, Verdict.WARNING, source, cause, layer, remedies)


def unknown(words: str, source: str) -> Fact:
    """Return what could not be found out."""
    return Fact(words, Verdict.UNKNOWN, source)


def not_simulated(words: str, source: str) -> Fact:
    """Return what was read and not understood."""
    return Fact(words, Verdict.NOT_SIMULATED, source)


def mend(words: str, *command: str) -> Remedy:
    """Return advice, with the command that follows it where there is one."""
    return Remedy(words, command=command)


def inside(netns: Netns | None, *command: str) -> tuple[str, ...]:
    """Return the command that does the same in a namespace; of iproute2 by its own option where there is a name."""
    if netns is None or netns.home:
        return command
    named = any(path.startswith(("/run/netns/", "/var/run/netns/")) for path in netns.paths)
    if named and command[0] in ("ip", "bridge"):
        return (command[0], "-n", netns.raw_name, *command[1:])
    if named:
        return ("ip", "netns", "exec", netns.raw_name, *command)
    where = f"--net={netns.paths[0]}" if netns.paths else f"--net=/proc/{netns.pid}/ns/net"
    return ("nsenter", where, "--", *command)


def conf_of(link: Link, setting: str) -> str:
    """Return the name of a link's IPv4 setting for sysctl(8), which takes a slash for a dot in a link's name."""
    return f"net.ipv4.conf.{link.raw_name.replace('.', '/')}.{setting}"
