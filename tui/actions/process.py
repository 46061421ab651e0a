"""QEMU processes that libvirt does not know: terminate, kill, and the CPUs of their threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui.actions.base import (
    Action,
    Context,
    Field,
    FieldError,
    FieldKind,
    Reason,
    Target,
    TargetError,
    Values,
    choice,
)
from tui.actions.pins import PINS_HELP, check_cpus, read_pins
from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.kind import Kind
from tui.model.pin_table import host_cpus, pin_table, thread_key
from tui.model.pins import expand, format_pins
from tui.model.plan import Step
from tui.model.process import QemuProcess, QemuThread, ThreadRole
from tui.ops.process import KillProcess, SetAffinity, TerminateProcess

_ALL = "all"


def _as_process(target: Target) -> QemuProcess:
    if not isinstance(target, QemuProcess):
        raise TypeError(f"not a process: {target!r}")
    return target


def _terminate(_context: Context, target: Target, _values: Values) -> Sequence[Step]:
    process = _as_process(target)
    loses = "what the guest has not written to disk: it is not asked to shut down"
    command = ("kill", "-TERM", str(process.pid))
    title = f"terminate {process.name} (pid {process.pid})"
    return [Step(title, command, TerminateProcess(process.key), process.key, loses=loses)]


def _kill(_context: Context, target: Target, _values: Values) -> Sequence[Step]:
    process = _as_process(target)
    loses = "what neither the guest nor QEMU has written to disk"
    command = ("kill", "-KILL", str(process.pid))
    title = f"kill {process.name} (pid {process.pid})"
    return [Step(title, command, KillProcess(process.key), process.key, loses=loses)]


def _affinity_reason(_context: Context, target: Target) -> Reason:
    process = _as_process(target)
    if not process.threads or all(thread.affinity is None for thread in process.threads):
        return "its threads cannot be read; run as root"
    if process.allowed is not None and len(process.allowed) == 1:
        return f"its cpuset {process.cpuset} leaves it CPU {process.allowed[0]} alone"
    return None


def _check_cpus(context: Context, process: QemuProcess, field: str, cpus: Iterable[int]) -> None:
    check_cpus(context.snapshot, process.name, field, cpus, (process.allowed, process.cpuset))


def _pin(context: Context, target: Target, values: Values) -> Sequence[Step]:
    process = _as_process(target)
    threads = {thread_key(thread): thread for thread in process.threads}
    asked = expand(read_pins(values), list(threads))
    if missing := [name for name in asked if name not in threads]:
        raise TargetError("pins", f"{process.name} has no {', '.join(missing)}")
    bound = {name: _everywhere(context, process) if cpus is None else cpus for name, cpus in asked.items()}
    _check_cpus(context, process, "pins", {cpu for cpus in bound.values() for cpu in cpus})
    due = [name for name, cpus in bound.items() if threads[name].affinity != cpus]
    if not due:
        raise TargetError("pins", f"{process.name} is pinned so already")
    among = tuple(threads[name].tid for name in due)
    return [_thread_step(process, threads[name], bound[name], among) for name in due]


def _everywhere(context: Context, process: QemuProcess) -> tuple[int, ...]:
    """The CPUs of a thread that is not bound."""
    cpus = process.allowed or tuple(sorted(cpu.number for cpu in host_cpus(context.snapshot) if cpu.online))
    if not cpus:
        raise FieldError("pins", "the host's CPUs are not read yet")
    return cpus


def _pins_now(context: Context, targets: Sequence[Target]) -> str:
    rows = pin_table(context.snapshot, _as_process(targets[0])).rows if targets else ()
    return format_pins({row.thread: row.live for row in rows})


def _affinity(context: Context, target: Target, values: Values) -> Sequence[Step]:
    process, role = _as_process(target), values["role"]
    try:
        cpus = parse_cpus(values["cpus"])
    except ValueError as error:
        raise FieldError("cpus", str(error)) from error
    _check_cpus(context, process, "cpus", cpus)
    threads = [thread for thread in process.threads if role in (_ALL, thread.role.value)]
    if not threads:
        raise TargetError("role", f"{process.name} has no {role} thread")
    if role != _ALL:
        return _thread_steps(process, threads, cpus)
    # The threads that the kernel runs for it are none of the process's own, which is all that taskset -a takes.
    vhost = [thread for thread in threads if thread.role is ThreadRole.VHOST]
    own = [thread for thread in threads if thread.role is not ThreadRole.VHOST]
    return [_all_threads_step(process, own, cpus), *_thread_steps(process, vhost, cpus)]


def _all_threads_step(process: QemuProcess, threads: Sequence[QemuThread], cpus: tuple[int, ...]) -> Step:
    word = format_cpus(cpus)
    return Step(
        f"run {process.name} on CPUs {word}",
        ("taskset", "-apc", word, str(process.pid)),
        SetAffinity(process.key, tuple((thread.tid, cpus) for thread in threads)),
        process.key,
        tuple(_undo(process, thread) for thread in threads if thread.affinity is not None),
    )


def _thread_steps(process: QemuProcess, threads: Sequence[QemuThread], cpus: tuple[int, ...]) -> list[Step]:
    """One step a thread; one that ends meanwhile is no failure while another of these is left."""
    among = tuple(thread.tid for thread in threads)
    return [_thread_step(process, thread, cpus, among) for thread in threads]


def _thread_step(process: QemuProcess, thread: QemuThread, cpus: tuple[int, ...], among: tuple[int, ...]) -> Step:
    word = format_cpus(cpus)
    undo = () if thread.affinity is None else (_undo(process, thread),)
    title = f"run {thread_name(thread)} of {process.name} on CPUs {word}"
    request = SetAffinity(process.key, ((thread.tid, cpus),), among)
    return Step(title, _taskset(word, thread.tid), request, process.key, undo)


def _undo(process: QemuProcess, thread: QemuThread) -> Step:
    """The step that gives a thread its CPUs back; nothing is owed to one that has ended while the process goes on."""
    before = thread.affinity or ()
    word = format_cpus(before)
    title = f"run {thread_name(thread)} of {process.name} on CPUs {word} again"
    request = SetAffinity(process.key, ((thread.tid, before),), (process.pid,))
    return Step(title, _taskset(word, thread.tid), request, process.key)


def _taskset(cpus: str, tid: int) -> tuple[str, ...]:
    return ("taskset", "-pc", cpus, str(tid))


def thread_name(thread: QemuThread) -> str:
    """Return what a thread is called: its role, its number where it has one, its tid."""
    number = "" if thread.index is None else f" {thread.index}"
    return f"{thread.role.value}{number} (tid {thread.tid})"


def _cpus_now(_context: Context, targets: Sequence[Target]) -> str:
    known = [thread.affinity for thread in _as_process(targets[0]).threads if thread.affinity] if targets else []
    return format_cpus(known[0]) if known else ""


ACTIONS: tuple[Action, ...] = (
    Action(
        "process.terminate", "Terminate", "terminate", "d", Kind.PROCESS,
        "SIGTERM: QEMU closes its images and leaves; the guest is not asked.", _terminate,
    ),
    Action(
        "process.kill", "Kill", "kill", "x", Kind.PROCESS, "SIGKILL: QEMU is ended at once.", _kill,
    ),
    Action(
        "process.affinity", "Set CPUs", "taskset", "c", Kind.PROCESS,
        "Bind the threads to host CPUs, all or those of one role.", _affinity, _affinity_reason,
        (
            choice("role", "Threads", (_ALL, *(role.value for role in ThreadRole))),
            Field("cpus", "Host CPUs", FieldKind.CPUS, _cpus_now, help="such as 0-3,^2,8"),
        ),
        reads=("cpus",),
    ),
    Action(
        "process.pin", "Pin", "pin", "P", Kind.PROCESS,
        "Bind each thread to host CPUs of its own.", _pin, _affinity_reason,
        (Field("pins", "Pins", FieldKind.PINS, _pins_now, help=PINS_HELP),),
        editor="pins", rank=20, reads=("cpus",),
    ),
)  # fmt: skip
