"""What a domain's state says: crashed, paused by trouble, hung, deaf, or not as its configuration has it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.checks.base import (
    CRITICAL,
    ERROR,
    INFO,
    WARNING,
    AnyCheck,
    Check,
    DomainCheck,
    Rule,
    Scene,
    act,
    domain_subject,
    run,
)
from tui.model.domain import DomainState
from tui.model.virsh import domain_word, virsh

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.finding import Finding, Remedy

_DAY_S = 86400
OLD_SNAPSHOT_DAYS = 30
_SETTLE_NS = 120_000_000_000
"""How long after its start a guest may be without its agent."""
_ENDED_BADLY = frozenset({"crashed", "failed"})
_MOST_NAMES = 4

_CRASHED = Rule("domain.crashed", ERROR, "Nothing runs in it; what it served is down until it is started again.")
_IO = Rule("domain.io-error", CRITICAL, "Its vCPUs stand still until the image can be written again; nothing is lost.")
_PAUSED = Rule("domain.paused-by-trouble", ERROR, "Its vCPUs stand still and nothing will start them by itself.")
_STUCK = Rule(
    "domain.monitor-stuck", ERROR, "libvirt cannot control it: changes wait, and a live migration or backup would hang."
)
_DEAF = Rule("domain.ignores-shutdown", WARNING, "A host that shuts down would wait for it and cut it off in the end.")
_TRANSIENT = Rule("domain.transient", WARNING, "When it stops, its definition is gone: nothing can start it again.")
_PENDING = Rule("domain.pending", INFO, "The next boot changes it, whoever boots it then.")
_OFF = Rule("domain.autostart-off", INFO, "It is meant to run whenever the host does.")
_OLD = Rule(
    "domain.old-snapshots",
    INFO,
    "Old snapshots grow, slow the disk down and block migration; going back to them is seldom wanted.",
)
_SILENT = Rule(
    "domain.agent-silent", INFO, "Backups cannot freeze its filesystems, and addresses and clean shutdown are guessed."
)


def _state(_scene: Scene, domain: Domain) -> Iterable[Finding]:
    subject, key = domain_subject(domain), domain.key
    if domain.state is DomainState.CRASHED:
        reason = f" ({domain.reason})" if domain.reason else ""
        words = f"crashed{reason}"
        if domain.active:
            yield _CRASHED.of(subject, f"{words}; its QEMU is kept for a look", _force_off(domain))
        else:
            yield _CRASHED.of(subject, words, act("start it", "domain.start", key))
    elif domain.state is DomainState.SHUTOFF and domain.reason in _ENDED_BADLY and domain.persistent is not False:
        words = "its QEMU crashed" if domain.reason == "crashed" else "its QEMU failed or could not be started"
        # Whoever has it off on purpose does not start it with the host.
        severity = ERROR if domain.autostart else INFO
        yield _CRASHED.of(subject, words, act("start it", "domain.start", key), severity=severity)
    elif domain.state is DomainState.PAUSED and domain.reason == "I/O error":
        remedies = (
            run("make room where its images are, or mend the disk, then resume it"),
            act("resume it", "domain.resume", key),
        )
        yield _IO.of(subject, f"paused on an I/O error{_full(domain)}", *remedies)
    elif domain.state is DomainState.PAUSED and domain.reason in (
        "watchdog",
        "crashed",
        "post-copy failed",
        "API error",
    ):
        remedy = act("resume it", "domain.resume", key) if domain.reason != "crashed" else _force_off(domain)
        yield _PAUSED.of(subject, f"paused: {domain.reason}", remedy)


def _force_off(domain: Domain) -> Remedy:
    return act("force it off", "domain.destroy", domain.key, mode="force")


def _full(domain: Domain) -> str:
    disks = [disk.target for disk in domain.config.disks if disk.device == "disk"] if domain.config else []
    return f"; disks: {', '.join(disks[:_MOST_NAMES])}" if disks else ""


def _stuck(scene: Scene, domain: Domain) -> Iterable[Finding]:
    stuck = scene.snapshot.monitors.get(domain.key)
    if stuck is None or not domain.active:
        return
    process = next((p for p in scene.snapshot.processes.values() if p.uuid == domain.key), None)
    stopped = process is not None and process.state == "stopped"
    words = "its QEMU is stopped (SIGSTOP)" if stopped else "its QEMU monitor does not answer"
    remedies = [act("force it off", "domain.destroy", domain.key, mode="force")]
    if process is not None and stopped:
        remedies.insert(0, run("let it go on", "kill", "-CONT", str(process.pid)))
    yield _STUCK.of(domain_subject(domain), words, *remedies, since_ns=stuck.since_ns)


def _deaf(scene: Scene) -> Iterable[Finding]:
    for asked in scene.snapshot.asked:
        domain = scene.snapshot.domains.get(asked.key)
        if domain is None or domain.state is not DomainState.RUNNING:
            continue
        what = "to reboot" if asked.action == "domain.reboot" else "to shut down"
        remedies = (
            act("force it off", "domain.destroy", domain.key, mode="force"),
            run("or have it listen: acpid or the guest agent in the guest"),
        )
        yield _DEAF.of(domain_subject(domain), f"was asked {what} and goes on", *remedies, since_ns=asked.since_ns)


def _definition(_scene: Scene, domain: Domain) -> Iterable[Finding]:
    subject = domain_subject(domain)
    if domain.active and domain.differences:
        names = ", ".join(difference.what for difference in domain.differences[:_MOST_NAMES])
        more = "" if len(domain.differences) <= _MOST_NAMES else " …"
        count = len(domain.differences)
        words = f"{count} setting{'s' if count > 1 else ''} will change at the next boot: {names}{more}"
        yield _PENDING.of(subject, words, run("shut it down and start it when that suits"))
    if domain.autostart and domain.state is DomainState.SHUTOFF and domain.reason not in _ENDED_BADLY:
        yield _OFF.of(subject, "starts with the host, and is off", act("start it", "domain.start", domain.key))


def _transient(scene: Scene) -> Iterable[Finding]:
    """Where all that runs is transient, something above libvirt keeps the definitions and means it so."""
    active = [domain for domain in scene.snapshot.domains.values() if domain.active]
    found = [domain for domain in active if domain.persistent is False]
    severity = INFO if len(found) == len(active) else WARNING
    for domain in found:
        dump = virsh(scene.snapshot.connection.uri, "dumpxml", domain_word(domain))
        remedies = (run("write its XML to a file, then define that", *dump), run("or leave it: some tools mean it so"))
        yield _TRANSIENT.of(domain_subject(domain), "runs, but is not defined", *remedies, severity=severity)


def _snapshots(_scene: Scene, domain: Domain) -> Iterable[Finding]:
    if domain.oldest_snapshot_s is None:
        return
    days = int(time.time() - domain.oldest_snapshot_s) // _DAY_S
    if days >= OLD_SNAPSHOT_DAYS:
        yield _OLD.of(
            domain_subject(domain), f"has a snapshot that is {days} days old", run("delete what nobody will go back to")
        )


def _agent(scene: Scene) -> Iterable[Finding]:
    started = {p.uuid: p.started_ns for p in scene.snapshot.processes.values() if p.uuid is not None}
    for domain in scene.snapshot.domains.values():
        agent = domain.config.agent if domain.config is not None else None
        if domain.state is not DomainState.RUNNING or agent is None or agent.connected is not False:
            continue
        if scene.snapshot.taken_ns - started.get(domain.key, scene.snapshot.taken_ns) < _SETTLE_NS:
            continue
        remedy = run("install or start qemu-guest-agent in the guest")
        yield _SILENT.of(domain_subject(domain), "has an agent channel, and no agent in the guest opens it", remedy)


CHECKS: tuple[AnyCheck, ...] = (
    DomainCheck(_state),
    DomainCheck(_stuck, by_key=("monitors",)),
    Check(_deaf, ("asked", "domains")),
    DomainCheck(_definition),
    Check(_transient, ("domains",)),
    DomainCheck(_snapshots),
    Check(_agent, ("domains", "processes"), calm=("processes",)),
)
