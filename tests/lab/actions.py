"""Actions carried out as virtdeck does, and by the commands that its plans show; and what both leave on the host."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import libvirt

from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tui.actions import BY_ID
from tui.actions.base import Context, Target, key_of, make_plan
from tui.checks.triage import Triage
from tui.cli import Options
from tui.config import Config
from tui.model.journal import Entry
from tui.model.kind import Kind
from tui.model.plan import Plan, Step
from tui.model.snapshot import HostSnapshot
from tui.ops import request_types
from tui.reports import read_host, read_open
from tui.runtime.collector import Collector
from tui.runtime.jobs import Job, Jobs
from tui.runtime.journal import Journal

Completed = subprocess.CompletedProcess[str]
_JOB_S = 60.0
_SAME_S = 30.0
_SECURE = libvirt.VIR_DOMAIN_XML_SECURE


def virtdeck(uri: str, home: Path, *words: str, timeout: float = 90) -> Completed:
    """What `virtdeck` says, run as a program of its own with its journal and configuration below `home`."""
    return subprocess.run(
        [sys.executable, "-m", "tui", "-c", uri, *words],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def environment(home: Path) -> dict[str, str]:
    """The environment in which the program keeps all its files below `home`."""
    return os.environ | {"XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}


class Deck:
    """virtdeck without its screen, in this process: plans made of a fresh reading, jobs, a journal in `home`."""

    def __init__(self, uri: str, home: Path, *, read_only: bool = False) -> None:
        """Nothing is opened before the first reading."""
        self.uri = uri
        self.kept = home / "kept"
        self.journal_file = home / "journal.jsonl"
        self._options = Options(uri, demo=False, read_only=read_only, config=Config())
        self._collectors: list[Collector] = []

    def __enter__(self) -> Deck:
        return self

    def __exit__(self, *_error: object) -> None:
        for collector in self._collectors:
            collector.stop()

    def read(self, *parts: str, processes: bool = False) -> HostSnapshot:
        """The host as it is now, with those parts besides domains and configurations; RuntimeError when it does not
        answer."""
        found = read_host(self._options, ("domains", "configs", *parts, *(["processes"] if processes else [])))
        if found is None:
            raise RuntimeError(f"{self.uri} does not answer")
        self._collectors.append(found[0])
        return found[1]

    @property
    def collector(self) -> Collector:
        """The connections of the newest reading, as ops use them."""
        return self._collectors[-1]

    def plan(self, action: str, *targets: str, **values: str) -> Plan:
        """The plan of an action on domains by name or processes by pid, of a fresh reading; raises FieldError."""
        made = BY_ID[action]
        networks = ["networks"] if made.kind is Kind.NETWORK else []
        seen = self.read(*made.reads, *networks, processes=made.kind is Kind.PROCESS)
        keys = [] if made.kind is Kind.HOST else [key_of(_find(seen, made.kind, word)) for word in targets]
        return self.plan_of(read_open(self.collector, made.reads, keys), action, targets, values)

    def plan_of(self, seen: HostSnapshot, action: str, targets: Sequence[str], values: Mapping[str, str]) -> Plan:
        """The plan of an action of a reading that there is already."""
        kind = BY_ID[action].kind
        found: list[Target] = [None] if kind is Kind.HOST else [_find(seen, kind, word) for word in targets]
        return make_plan(BY_ID[action], Context(seen, self.kept), found, values)

    def jobs(self) -> Jobs:
        """What carries out plans over the connections of the newest reading."""
        return Jobs(self.collector, self.journal(), self.uri, self.collector.nudge, lambda _job: None)

    def start(self, plan: Plan, undoes: str = "") -> Callable[[], Job]:
        """Carry out a plan; the job is returned by calling what is returned, which waits for it."""
        jobs = self.jobs()
        handle = jobs.run(plan, undoes)

        def ended() -> Job:
            job = handle.wait(_JOB_S)
            jobs.stop()
            return job

        return ended

    def run(self, plan: Plan, undoes: str = "") -> Job:
        """Carry out a plan and wait for the job."""
        return self.start(plan, undoes)()

    def journal(self) -> Journal:
        """The journal as a later session reads it."""
        journal = Journal(self.journal_file, request_types)
        journal.load()
        return journal

    def entry(self, job: Job) -> Entry:
        """What a later session reads of a job; KeyError when the journal does not have it."""
        found = self.journal().get(job.entry.id)
        if found is None:
            raise KeyError(job.entry.id)
        return found


def find_storage(seen: HostSnapshot, kind: Kind, word: str) -> Target:
    """The pool or volume of that name; LookupError when there is none."""
    assert seen.storage is not None
    pool, _, volume = word.partition("/")
    for found in seen.storage.pools.values():
        if found.raw_name == pool:
            return found if kind is Kind.POOL else seen.storage.volumes[f"{found.key}/{volume}"]
    raise LookupError(word)


def _find(seen: HostSnapshot, kind: Kind, word: str) -> Target:
    if kind in (Kind.POOL, Kind.VOLUME):
        return find_storage(seen, kind, word)
    found: list[Target]
    if kind is Kind.FINDING:
        found = [finding for finding in Triage().look(replace(seen, unread=frozenset())) if finding.id == word]
    elif kind is Kind.NETWORK:
        assert seen.networks is not None
        found = [network for network in seen.networks.networks.values() if network.raw_name == word]
    elif kind is Kind.PROCESS:
        found = [process for process in seen.unmanaged().values() if str(process.pid) == word]
    else:
        found = [domain for domain in seen.domains.values() if domain.raw_name == word]
    if len(found) != 1:
        raise LookupError(f"{len(found)} {kind.value}es are {word!r}")
    return found[0]


def run_commands(steps: Sequence[Step]) -> None:
    """Run what the steps say does the same by hand, with the real tools; RuntimeError when one fails that has no
    fallback."""
    failed: str = ""
    for step in steps:
        if step.only_if_failed and not failed:
            continue
        if failed and not step.only_if_failed:
            raise RuntimeError(failed)
        done = run(step.command, check=False)
        failed = f"{step.command_line()}: exit {done.returncode}: {done.stderr.strip()}" if done.returncode else ""
    if failed:
        raise RuntimeError(failed)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that libvirt and its files tell of one domain, without what two domains can never share: name, UUID, MAC
    addresses, ids, terminals. `state` is libvirt's numbers, None when the domain is not there."""

    state: tuple[int, int] | None = None
    persistent: bool = False
    autostart: bool = False
    managed_save: bool = False
    snapshots: tuple[str, ...] = ()
    live: str = ""
    config: str = ""
    files: tuple[str, ...] = ()
    console: tuple[int, ...] = ()
    """How often the guest was ready, saw its power button, was told to shut down by its agent."""
    also: str = ""
    """What a case compares besides."""
    affinities: tuple[tuple[str, str], ...] = ()
    """(thread, CPUs) of its QEMU as the kernel has them; threads that come and go as they have work are left out."""


_MARKS = ("GUEST-READY", "POWER-BUTTON", "AGENT-SHUTDOWN")
_UNLIKE = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b"), "MAC"),
    (re.compile(r"/dev/pts/\d+"), "/dev/pts/N"),
    (re.compile(r"domain-\d+-"), "domain-ID-"),
    (re.compile(r"(<domain [^>]*) id='\d+'"), r"\1"),
    (re.compile(r"vnet\d+"), "vnetN"),
)


def look(lab: LabHost, name: str, uuid: str, folder: Path | None = None) -> Seen:
    """What there is of a domain now, by UUID, or by name where libvirt made the UUID up; `folder` has files of its
    own that are compared as well."""

    def alike(text: str) -> str:
        text = text.replace(str(folder), "FOLDER").replace(name, "NAME")
        for pattern, word in _UNLIKE:
            text = pattern.sub(word, text)
        return text

    files = tuple(sorted(alike(path) for path in _files(lab, name, uuid, folder)))
    with lab.connect() as connection:
        found = _lookup(connection, name, uuid)
        if found is None:
            return Seen(files=files)
        active, persistent = bool(found.isActive()), bool(found.isPersistent())
        return Seen(
            state=(found.state(0)[0], found.state(0)[1]),
            persistent=persistent,
            autostart=persistent and bool(found.autostart()),
            managed_save=bool(found.hasManagedSaveImage(0)),
            snapshots=tuple(sorted(snapshot.getName() for snapshot in found.listAllSnapshots(0))),
            live=alike(found.XMLDesc(_SECURE)) if active else "",
            config=alike(found.XMLDesc(_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE)) if persistent else "",
            files=files,
            console=_console(found.XMLDesc(0)),
            affinities=affinities(lab, found.name()) if active else (),
        )


_LASTING = re.compile(r"(CPU \d+)/.*|(IO .*)")


def affinities(lab: LabHost, name: str) -> tuple[tuple[str, str], ...]:
    """Where the kernel lets the threads of a running domain's QEMU run, by name: the main thread, vCPUs, I/O threads;
    source: Cpus_allowed_list in /proc/PID/task/TID/status."""
    found = []
    with suppress(RuntimeError, ValueError, FileNotFoundError, ProcessLookupError):
        pid = lab.qemu_pid(name)
        for task in Path(f"/proc/{pid}/task").iterdir():
            thread = _LASTING.fullmatch((task / "comm").read_text().strip())
            if thread or int(task.name) == pid:
                words = "emulator" if thread is None else thread[1] or thread[2]
                found.append((words, allowed_list(int(task.name))))
    return tuple(sorted(found))


def allowed_list(tid: int) -> str:
    """The CPUs of a thread as its status spells them."""
    status = Path(f"/proc/{tid}/status").read_text()
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status, re.MULTILINE)
    assert found is not None
    return found[1]


def _lookup(connection: Any, name: str, uuid: str) -> Any | None:
    with suppress(libvirt.libvirtError):
        return connection.lookupByUUIDString(uuid) if uuid else connection.lookupByName(name)
    return None


def _files(lab: LabHost, name: str, uuid: str, folder: Path | None) -> list[str]:
    """The files of the daemon that carry the domain's name or UUID, and what is in its own folder."""
    found = []
    for part in ("etc", "lib", "run"):
        for path in (lab.root / part).rglob("*"):
            if name in path.name or (uuid and uuid in path.name):
                found.append(f"{path.relative_to(lab.root)}{' (link)' if path.is_symlink() else ''}")
    found += [f"own/{path.relative_to(folder)}" for path in folder.rglob("*")] if folder else []
    return found


def _console(xml: str) -> tuple[int, ...]:
    log = re.search(r"<log file='([^']*)'", xml)
    if log is None or not os.path.exists(log[1]):
        return ()
    text = Path(log[1]).read_text(errors="replace")
    return tuple(text.count(mark) for mark in _MARKS)


def look_at_all(lab: LabHost) -> dict[str, Seen]:
    """What there is of every domain of the host, by UUID."""
    with lab.connect() as connection:
        there = {found.UUIDString(): found.name() for found in connection.listAllDomains(0)}
    return {uuid: look(lab, name, uuid) for uuid, name in there.items()}


def same(ours: Callable[[], Seen], theirs: Callable[[], Seen], reached: Callable[[Seen], bool]) -> Seen:
    """What both have come to, once they are alike and `reached`; AssertionError when they never are."""
    end = time.monotonic() + _SAME_S
    while True:
        one, other = ours(), theirs()
        if one == other and reached(one):
            return one
        if time.monotonic() > end:
            if one != other:
                raise AssertionError("what virtdeck did is not what the command did:\n" + unlike(one, other))
            raise AssertionError(f"both came to {one}")
        time.sleep(0.05)


def unlike(one: Seen, other: Seen) -> str:
    """In what two of them differ, a line each; XML line by line."""
    lines = []
    for name in (f.name for f in fields(Seen)):
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, str):
            found = difflib.unified_diff(ours.splitlines(), theirs.splitlines(), "ours", "theirs", lineterm="", n=1)
            lines += [f"{name}: {line}" for line in found]
        elif ours != theirs:
            lines.append(f"{name}: {ours} is not {theirs}")
    return "\n".join(lines)
