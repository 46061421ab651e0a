"""The filter and NAT rules of every network namespace: nft(8) run inside it, and iptables where it made them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.model.firewall import Firewall, FirewallChain
from tui.model.text import clean
from tui.sources.firewall_iptables import parse_save, with_words_of
from tui.sources.firewall_nft import parse_ruleset, parse_texts
from tui.sources.inside import inside
from tui.sources.nftables import generation, has_tables, open_netfilter

if TYPE_CHECKING:
    from tui.model.link import Netns

_DEADLINE_S = 10.0
_LARGEST = 16 << 20
"""Rules of more bytes than this are not read: to parse them would hold up the whole program."""
_TRIES = 3
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_NAMES = (("ip", "/proc/thread-self/net/ip_tables_names"), ("ip6", "/proc/thread-self/net/ip6_tables_names"))
_SAVERS = {"ip": "iptables", "ip6": "ip6tables"}


class UnreadableError(Exception):
    """Rules cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a namespace, and of which generation of its rules."""

    generation: int
    firewall: Firewall


class FirewallReader:
    """Reads firewalls from one call to the next, what has not changed only once; for one thread, which it takes into
    other namespaces and back."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def read(
        self, namespaces: Iterable[Netns], *, anew: bool = False, stopped: Callable[[], bool] = lambda: False
    ) -> dict[str, Firewall]:
        """Return the firewall of each namespace by its key. Unless `anew`, which brings counters and the rules of
        iptables-legacy up to date, only what nf_tables says has changed is read. What is equal is the same object."""
        found: dict[str, _Known] = {}
        for netns in namespaces:
            if stopped():
                break
            found[netns.key] = self._read(netns, self._known.get(netns.key), anew)
        self._known = found
        return {key: known.firewall for key, known in found.items()}

    def _read(self, netns: Netns, before: _Known | None, anew: bool) -> _Known:
        try:
            with inside(netns):
                known = _read_here(netns.key, before if before is not None and not anew else None)
        except (OSError, UnreadableError) as error:
            firewall = Firewall(netns.key, (), time.time_ns(), problem=_words(error))
            known = _Known(-1, firewall)
        if before is not None and replace(known.firewall, read_ns=before.firewall.read_ns) == before.firewall:
            return replace(known, firewall=before.firewall)
        return known


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES):
        return "not root"
    return clean(error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _read_here(key: str, before: _Known | None) -> _Known:
    """Read the namespace that the thread is in, unless its rules are still those of `before`."""
    legacy = _legacy_tables()
    with open_netfilter() as netfilter:
        for _ in range(_TRIES):
            began = generation(netfilter)
            if before is not None and before.generation == began and before.firewall.legacy == legacy:
                return before
            chains = _nft_chains() if has_tables(netfilter) else ()
            # JSON, text and iptables-save are three readings: only of one generation do they belong together.
            if generation(netfilter) == began:
                break
    chains, problem = (*chains, *_legacy_chains(legacy)), _missing_for(legacy)
    return _Known(began, Firewall(key, chains, time.time_ns(), legacy, problem))


def _nft_chains() -> tuple[FirewallChain, ...]:
    # Terse: the elements of sets decide nothing here, and may be a hundred thousand.
    texts = parse_texts(_run("nft", "-t", "-a", "list", "ruleset"))
    try:
        chains = parse_ruleset(_run("nft", "-t", "-j", "list", "ruleset"), texts)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(
            f"nft writes what cannot be understood: {type(error).__name__} {clean(str(error))}"
        ) from error
    families = {chain.family for chain in chains if chain.origin == "iptables-nft" and chain.rules}
    saved: list[FirewallChain] = []
    for family, name in _SAVERS.items():
        if family in families and _program(f"{name}-nft-save"):
            # It refuses tables that nft has put rules into; nft's own words do then.
            with suppress(UnreadableError):
                saved += parse_save(_run(f"{name}-nft-save", "-c"), family, "iptables-nft")
    return with_words_of(chains, saved)


def _legacy_tables() -> tuple[str, ...]:
    """Return the tables of iptables-legacy that are loaded here."""
    found: list[str] = []
    for family, path in _NAMES:
        try:
            with open(path, encoding="ascii") as names:
                found += [f"{family} {name}" for name in names.read().split()]
        except FileNotFoundError:
            continue
    return tuple(found)


def _legacy_savers(tables: tuple[str, ...]) -> dict[str, str]:
    """Return the programs that write the tables, by family."""
    families = dict.fromkeys(table.split(" ")[0] for table in tables)
    return {family: f"{_SAVERS[family]}-legacy-save" for family in families}


def _legacy_chains(tables: tuple[str, ...]) -> tuple[FirewallChain, ...]:
    """Return the chains of the tables of iptables-legacy that have a rule or drop by policy."""
    found: list[FirewallChain] = []
    for family, saver in _legacy_savers(tables).items():
        if _program(saver):
            found += parse_save(_run(saver, "-c"), family, "iptables-legacy")
    telling = {(chain.family, chain.table) for chain in found if chain.rules or chain.policy == "drop"}
    return tuple(chain for chain in found if (chain.family, chain.table) in telling)


def _missing_for(tables: tuple[str, ...]) -> str:
    """Say which program it takes to read the tables of iptables-legacy; "" when nothing is missing."""
    missing = [saver for saver in _legacy_savers(tables).values() if not _program(saver)]
    return f"there are rules of iptables-legacy, and {missing[0]} is not installed" if missing else ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def _run(name: str, *arguments: str) -> str:
    """Return what a program writes; it is in the namespace of the thread that starts it. Raises UnreadableError."""
    path = _program(name)
    if path is None:
        raise UnreadableError(f"{name} is not installed")
    environment: Mapping[str, str] = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableError(f"{name} does not end within {_DEADLINE_S:g} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise UnreadableError(f"{name}: {clean(said) or f'exit code {done.returncode}'}")
    if len(done.stdout) > _LARGEST:
        raise UnreadableError(f"more than {_LARGEST >> 20} MiB of rules")
    return done.stdout.decode(errors="surrogateescape")
