"""Changes to QEMU processes that libvirt does not know: signals and the CPUs of their threads."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.plan import Request
from tui.model.text import clean
from tui.ops.base import OpContext, OpError, Outcome, Progress

TERMINATE_PATIENCE_S = 10.0
KILL_PATIENCE_S = 10.0

_GONE = "It is gone or its id belongs to another process now; read the list again."
_NOT_OURS = "It belongs to another user; run as root or as that user."


@dataclass(frozen=True, slots=True)
class TerminateProcess(Request):
    """Ask QEMU to leave: SIGTERM, on which it closes its images in order; the guest is not asked."""

    key: str
    """`pid:START`, as in QemuProcess.key."""


@dataclass(frozen=True, slots=True)
class KillProcess(Request):
    """End QEMU at once: SIGKILL; what it had not written to its images is lost."""

    key: str


@dataclass(frozen=True, slots=True)
class SetAffinity(Request):
    """Bind threads of a process to host CPUs; all of them, or none when one fails. Threads that have ended since they
    were listed are passed over, unless that leaves nobody."""

    key: str
    affinities: tuple[tuple[int, tuple[int, ...]], ...]
    """(thread id, CPUs) of each thread; the process's own and its vhost threads."""
    among: tuple[int, ...] = ()
    """Thread ids of which one that is left is enough, so that it is no failure when all of `affinities` have ended."""


def terminate(request: TerminateProcess, context: OpContext) -> Outcome:
    """Send SIGTERM; the outcome is confirmed when the process is gone. Raises OpError."""
    _signal("terminate", request.key, signal.SIGTERM)
    return Outcome(
        f"SIGTERM sent to pid {_pid(request.key)}",
        watch=lambda: _departure(request.key),
        patience_s=TERMINATE_PATIENCE_S,
        hint="It has not left; kill it to force it off. A stopped process takes the signal when it continues.",
    )


def kill(request: KillProcess, context: OpContext) -> Outcome:
    """Send SIGKILL; the outcome is confirmed when the process is gone. Raises OpError."""
    _signal("kill", request.key, signal.SIGKILL)
    return Outcome(
        f"SIGKILL sent to pid {_pid(request.key)}",
        watch=lambda: _departure(request.key),
        patience_s=KILL_PATIENCE_S,
        hint="It has not left: a thread waits in the kernel, mostly for storage that does not answer.",
    )


def set_affinity(request: SetAffinity, context: OpContext) -> Outcome:
    """Bind the threads and read each binding back; when one fails, those changed before get their CPUs back.
    Raises OpError, with the name of the errno in its text."""
    _check_identity("set the CPUs of", request.key)
    read = {tid: _read(request.key, tid) for tid, _ in request.affinities}
    before = {tid: cpus for tid, cpus in read.items() if cpus is not None}
    changed: list[int] = []
    for tid, cpus in request.affinities:
        try:
            if tid in before and _bind(request.key, tid, cpus):
                changed.append(tid)
        except OpError as error:
            left = _restore(request.key, {done: before[done] for done in (*changed, tid)})
            raise _with_restored(error, changed, left) from error
    if not changed and not any(_belongs(request.key, tid) for tid in request.among):
        raise OpError("set the CPUs of", _threads(request), "no such thread (ESRCH)", advice=_GONE)
    return Outcome(_bound(request, len(set(changed))))


def _threads(request: SetAffinity) -> str:
    tids = ", ".join(str(tid) for tid, _ in request.affinities)
    return f"thread{'s' if len(request.affinities) > 1 else ''} {tids} of {_subject(request.key)}"


def _bound(request: SetAffinity, count: int) -> str:
    """What to say of `count` threads that were bound."""
    ended = len({tid for tid, _ in request.affinities}) - count
    if not count:
        return f"{_threads(request)} had ended"
    return f"{count} threads of {_subject(request.key)} bound" + (f", {ended} had ended" if ended else "")


OPS: dict[type[Request], Callable[[Any, OpContext], Outcome]] = {
    TerminateProcess: terminate,
    KillProcess: kill,
    SetAffinity: set_affinity,
}


def _pid(key: str) -> int:
    """Return the pid of `pid:START`; raises OpError for anything else."""
    pid, _, start = key.partition(":")
    if not (pid.isdecimal() and start.isdecimal()):
        raise OpError("find process", clean(key), "a process is named by pid:START", advice="Read the list again.")
    return int(pid)


def _subject(key: str) -> str:
    return f"pid {_pid(key)}"


def _status(place: str) -> tuple[str, str] | None:
    """Return (state letter, start in ticks since boot) of /proc/PID or of a thread; None when it is gone."""
    try:
        with open(f"{place}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0].decode(), fields[19].decode()


def same_process(key: str) -> bool:
    """Return whether the process that `key` (pid:START) names still runs; raises OpError for what is no such name."""
    status = _status(f"/proc/{_pid(key)}")
    return status is not None and status[1] == key.partition(":")[2]


def _check_identity(what: str, key: str) -> None:
    if not same_process(key):
        raise OpError(what, _subject(key), "no such process (ESRCH)", advice=_GONE)


def _signal(what: str, key: str, number: signal.Signals) -> None:
    """Signal the process that `key` names and no other: the descriptor is taken first, then its identity is checked,
    so that a pid that is reused in between is not hit (pidfd_send_signal(2))."""
    try:
        descriptor = os.pidfd_open(_pid(key))
    except OSError as error:
        _fail(what, _subject(key), error)
    try:
        _check_identity(what, key)
        signal.pidfd_send_signal(descriptor, number)
    except OSError as error:
        _fail(what, _subject(key), error)
    finally:
        os.close(descriptor)


def _departure(key: str) -> Progress:
    """Return whether the process has ended; a zombie, which waits for its parent alone, has."""
    status = _status(f"/proc/{_pid(key)}")
    gone = status is None or status[1] != key.partition(":")[2] or status[0] in ("Z", "X")
    return Progress.CONFIRMED if gone else Progress.PENDING


def _fail(what: str, subject: str, error: OSError, advice: str = "") -> NoReturn:
    number = error.errno or 0
    advices = {errno.ESRCH: _GONE, errno.EPERM: _NOT_OURS}
    text = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    raise OpError(what, subject, text, advice=advice or advices.get(number, "")) from error


def _belongs(key: str, tid: int) -> bool:
    """Return whether the thread is the process's own or a vhost thread that the kernel runs for it."""
    if _status(f"/proc/{_pid(key)}/task/{tid}") is not None:
        return True
    with suppress(OSError), open(f"/proc/{tid}/comm", "rb") as name:
        return name.read().strip() == b"vhost-%d" % _pid(key) and not os.path.exists(f"/proc/{tid}/exe")
    return False


def _read(key: str, tid: int) -> frozenset[int] | None:
    """Return the CPUs of a thread, None when it has ended; raises OpError."""
    if not _belongs(key, tid):
        return None
    try:
        return frozenset(os.sched_getaffinity(tid))
    except ProcessLookupError:
        return None
    except OSError as error:
        _fail("set the CPUs of", f"thread {tid} of {_subject(key)}", error)


def _bind(key: str, tid: int, cpus: tuple[int, ...]) -> bool:
    """Bind one thread, return False when it has ended; the kernel takes a list of which only some CPUs are allowed,
    hence the reading back. Raises OpError."""
    what, subject = "set the CPUs of", f"thread {tid} of {_subject(key)}"
    if not _belongs(key, tid):
        return False
    try:
        os.sched_setaffinity(tid, cpus)
        actual = os.sched_getaffinity(tid)
    except ProcessLookupError:
        return False
    except OSError as error:
        _fail(what, subject, error, _why_refused(cpus) if error.errno == errno.EINVAL else "")
    except (OverflowError, ValueError) as error:
        raise OpError(what, subject, str(error)) from error
    if actual != set(cpus):
        text = f"asked for CPUs {format_cpus(cpus)}, got {format_cpus(actual)}"
        raise OpError(what, subject, text, advice=_why_refused(cpus))
    return True


def _why_refused(cpus: tuple[int, ...]) -> str:
    """Return why the kernel leaves out CPUs: they are offline, or a cpuset is in the way."""
    if not cpus:
        return "No CPU was given."
    with open("/sys/devices/system/cpu/online", encoding="ascii") as online:
        offline = set(cpus) - set(parse_cpus(online.read().strip()))
    if offline:
        return f"CPU {format_cpus(offline)} is offline or not there."
    return "A cpuset (cgroup) is in the way; widen its cpuset.cpus first."


def _restore(key: str, before: Mapping[int, frozenset[int]]) -> list[int]:
    """Give the threads their CPUs back and return those for which that failed; a thread that ended needs none."""
    left = []
    for tid, cpus in before.items():
        try:
            if os.sched_getaffinity(tid) != cpus:
                _bind(key, tid, tuple(sorted(cpus)))
        except ProcessLookupError:
            continue
        except (OSError, OpError):
            left.append(tid)
    return left


def _with_restored(error: OpError, changed: list[int], left: list[int]) -> OpError:
    """Return `error` with what became of the threads that had been bound before it."""
    if left:
        note = f"Not restored: {', '.join(f'thread {tid}' for tid in left)}."
    else:
        note = f"The {len(changed)} threads bound before have their CPUs back." if changed else "No thread was changed."
    return OpError(error.what, error.subject, error.text, error.code, f"{error.advice} {note}".strip())
