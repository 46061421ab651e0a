"""How this machine does, from /proc and /sys; whether KVM can be used, from /dev/kvm; failed services, from systemd."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tui.model.health import HostHealth
from tui.model.text import clean

_KVM_GET_API_VERSION, _KVM_API = 0xAE00, 12
"""linux/kvm.h; the version has been 12 since 2007."""
_UNITS = ("virt*", "libvirt*", "ovs*", "openvswitch*")
_UNITS_EVERY_S = 60.0
_LIMIT_S = 5.0
_FLAGS_LIMIT = 65536


@dataclass(frozen=True, slots=True)
class _Counters:
    at_s: float
    swapped_in: int | None
    ticks: tuple[int, ...]


class HealthSource:
    """Reads again and again; rates are between two readings."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before: _Counters | None = None
        self._units: tuple[str, ...] | None = None
        self._units_due_s = 0.0
        self._flags = _cpu_flags(root)

    def read(self) -> HostHealth:
        """Return how the machine does now."""
        now = _Counters(
            time.monotonic(), _number_of(self._root / "proc/vmstat", "pswpin"), _ticks(self._root / "proc/stat")
        )
        before, self._before = self._before, now
        memory, ksm = _meminfo(self._root / "proc/meminfo"), self._root / "sys/kernel/mm/ksm"
        usable, problem = kvm_usable(self._root)
        clock = self._root / "sys/devices/system/clocksource/clocksource0"
        return HostHealth(
            kvm=usable,
            kvm_problem=problem,
            virtualization=None if self._flags is None else bool({"vmx", "svm"} & self._flags),
            nested=_nested(self._root),
            guest_itself=None if self._flags is None else "hypervisor" in self._flags,
            memory_kib=memory.get("MemTotal"),
            available_kib=_rounded(memory.get("MemAvailable"), 64 * 1024),
            swap_total_kib=memory.get("SwapTotal"),
            swap_free_kib=_rounded(memory.get("SwapFree"), 16 * 1024),
            swap_in_kib_per_s=_swap_rate(before, now),
            steal_percent=_steal(before, now),
            memory_pressure_percent=_pressure(self._root / "proc/pressure/memory"),
            cpu_pressure_percent=_pressure(self._root / "proc/pressure/cpu"),
            clocksource=_text(clock / "current_clocksource"),
            clocksources=tuple(_text(clock / "available_clocksource").split()),
            thp=_chosen(_text(self._root / "sys/kernel/mm/transparent_hugepage/enabled")),
            ksm_run=_int(_text(ksm / "run")),
            ksm_sharing_kib=_rounded(_pages_kib(_text(ksm / "pages_sharing")), 16 * 1024),
            ksm_across_nodes=_flag(_text(ksm / "merge_across_nodes")),
            failed_units=self._failed_units(),
            read_ns=time.time_ns(),
        )

    def _failed_units(self) -> tuple[str, ...] | None:
        now = time.monotonic()
        if now >= self._units_due_s:
            self._units_due_s = now + _UNITS_EVERY_S
            self._units = failed_units() if (self._root / "run/systemd/system").is_dir() else None
        return self._units


def kvm_usable(root: Path = Path("/")) -> tuple[bool | None, str]:
    """Return whether KVM answers, and why it does not; None where we may not ask and others may. What flags the CPUs
    have proves neither (measured)."""
    try:
        descriptor = os.open(root / "dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, "there is no /dev/kvm"
    except PermissionError:
        return None, ""
    except OSError as error:
        return False, f"/dev/kvm: {os.strerror(error.errno or 0)}"
    try:
        version = fcntl.ioctl(descriptor, _KVM_GET_API_VERSION)
    except OSError as error:
        return (None, "") if error.errno == errno.EPERM else (False, f"/dev/kvm: {os.strerror(error.errno or 0)}")
    finally:
        os.close(descriptor)
    return version == _KVM_API, "" if version == _KVM_API else f"its version is {version}"


def failed_units() -> tuple[str, ...] | None:
    """Return systemd's failed units of libvirt and Open vSwitch; None where it cannot be asked (systemctl)."""
    words = ["systemctl", "list-units", "--failed", "--no-legend", "--plain", "--no-pager", *_UNITS]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    return tuple(sorted(clean(line.split()[0]) for line in lines if line.split()))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _int(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _flag(text: str) -> bool | None:
    return None if text == "" else text in ("1", "Y", "y")


def _rounded(amount: int | None, step: int) -> int | None:
    return None if amount is None else amount // step * step


def _pages_kib(text: str) -> int | None:
    pages = _int(text)
    return None if pages is None else pages * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _cpu_flags(root: Path) -> frozenset[str] | None:
    """The flags of the first CPU; None where cpuinfo has none such (not x86)."""
    try:
        with open(root / "proc/cpuinfo", errors="replace") as file:
            line = next((line for line in file.read(_FLAGS_LIMIT).splitlines() if line.startswith("flags")), "")
    except OSError:
        return None
    return frozenset(line.partition(":")[2].split()) or None


def _nested(root: Path) -> bool | None:
    found = (_text(root / f"sys/module/{module}/parameters/nested") for module in ("kvm_intel", "kvm_amd"))
    return next((_flag(text) for text in found if text), None)


def _meminfo(path: Path) -> dict[str, int]:
    fields = (line.split() for line in _text(path).splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in fields if len(words) > 1 and words[1].isdecimal()}


def _number_of(path: Path, name: str) -> int | None:
    found = (line.split() for line in _text(path).splitlines())
    return next((int(words[1]) for words in found if len(words) == 2 and words[0] == name), None)


def _ticks(path: Path) -> tuple[int, ...]:
    """user nice system idle iowait irq softirq steal of all CPUs together."""
    first = _text(path).partition("\n")[0].split()
    return tuple(int(word) for word in first[1:9]) if first[:1] == ["cpu"] and len(first) > 8 else ()


def _swap_rate(before: _Counters | None, now: _Counters) -> int | None:
    if before is None or before.swapped_in is None or now.swapped_in is None or now.at_s <= before.at_s:
        return None
    pages = max(0, now.swapped_in - before.swapped_in)
    rate = pages * (os.sysconf("SC_PAGE_SIZE") // 1024) / (now.at_s - before.at_s)
    return int(rate) // 64 * 64


def _steal(before: _Counters | None, now: _Counters) -> int | None:
    if before is None or not before.ticks or not now.ticks:
        return None
    spent = [after - earlier for earlier, after in zip(before.ticks, now.ticks, strict=True)]
    return int(100 * spent[7] / sum(spent)) if sum(spent) > 0 and spent[7] >= 0 else None


def _pressure(path: Path) -> int | None:
    """The avg60 of the line `some`."""
    for line in _text(path).splitlines():
        words = line.split()
        if words[:1] == ["some"]:
            shares = dict(word.partition("=")[::2] for word in words[1:])
            try:
                return int(float(shares.get("avg60", "")))
            except ValueError:
                return None
    return None


def _chosen(text: str) -> str:
    return next((word[1:-1] for word in text.split() if word.startswith("[") and word.endswith("]")), "")
