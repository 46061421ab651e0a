"""What the kernel tells of a host's health, from files as it writes them; images looked for where their daemon is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tui.model.health import ImageState
from tui.sources.health import HealthSource, kvm_usable
from tui.sources.image_files import daemon_root, image_state

FILES = {
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor vmx sse2\n",
    "proc/meminfo": "MemTotal:       65790248 kB\nMemFree:         1122334 kB\nMemAvailable:   41000000 kB\n"
    "SwapTotal:       8388604 kB\nSwapFree:        8000000 kB\nHugePages_Total:       0\n",
    "proc/vmstat": "nr_free_pages 280583\npswpin 1000\npswpout 2000\n",
    "proc/stat": "cpu  100 0 100 700 0 0 0 100 5 0\ncpu0 50 0 50 350 0 0 0 50 0 0\n",
    "proc/pressure/memory": "some avg10=31.20 avg60=24.71 avg300=9.04 total=123\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    "proc/pressure/cpu": "some avg10=1.20 avg60=0.71 avg300=0.04 total=123\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "hpet acpi_pm \n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/kernel/mm/ksm/run": "1\n",
    "sys/kernel/mm/ksm/pages_sharing": "262144\n",
    "sys/kernel/mm/ksm/merge_across_nodes": "1\n",
    "sys/module/kvm_intel/parameters/nested": "Y\n",
}


def put(root: Path, **changes: str) -> Path:
    for name, text in {**FILES, **changes}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_what_the_kernel_tells(tmp_path: Path) -> None:
    seen = HealthSource(put(tmp_path)).read()
    assert (seen.virtualization, seen.guest_itself, seen.nested) == (True, True, True)
    assert (seen.memory_kib, seen.available_kib) == (65790248, 41000000 // 65536 * 65536)
    assert (seen.swap_total_kib, seen.swap_free_kib) == (8388604, 8000000 // 16384 * 16384)
    assert (seen.memory_pressure_percent, seen.cpu_pressure_percent) == (24, 0)
    assert (seen.clocksource, seen.clocksources) == ("hpet", ("hpet", "acpi_pm"))
    assert (seen.thp, seen.ksm_run, seen.ksm_sharing_kib, seen.ksm_across_nodes) == ("madvise", 1, 1048576, True)
    assert seen.failed_units is None, "there is no systemd"
    assert (seen.kvm, seen.kvm_problem) == (False, "there is no /dev/kvm")
    assert (seen.swap_in_kib_per_s, seen.steal_percent) == (None, None), "rates need two readings"


def test_rates_are_between_two_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 100.0, 110.0, 110.0))
    monkeypatch.setattr("tui.sources.health.time.monotonic", lambda: next(clock))
    source = HealthSource(put(tmp_path))
    source.read()
    page_kib = os.sysconf("SC_PAGE_SIZE") // 1024
    put(
        tmp_path,
        **{"proc/vmstat": f"pswpin {1000 + 20480 // page_kib}\n", "proc/stat": "cpu 150 0 150 750 0 0 0 150 5\n"},
    )
    seen = source.read()
    assert seen.swap_in_kib_per_s == 2048
    assert seen.steal_percent == 25


def test_a_kernel_that_tells_nothing(tmp_path: Path) -> None:
    seen = HealthSource(tmp_path).read()
    assert (seen.memory_kib, seen.available_kib, seen.virtualization, seen.thp, seen.clocksource) == (
        None, None, None, "", "",
    )  # fmt: skip
    assert (seen.memory_pressure_percent, seen.ksm_run, seen.nested) == (None, None, None)


def test_this_machine_is_read() -> None:
    seen = HealthSource().read()
    assert seen.memory_kib is not None
    assert seen.memory_kib > 0
    assert seen.clocksource


def test_a_kvm_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kvm").write_text("")
    usable, why = kvm_usable(tmp_path)
    assert usable is False
    assert why.startswith("/dev/kvm: ")


def test_images(tmp_path: Path) -> None:
    top, base = tmp_path / "top.qcow2", tmp_path / "base.qcow2"
    top.touch()
    assert image_state("", [str(top), str(base)]) == ImageState(missing=True, read_only=False, layer=1)
    base.touch()
    assert image_state("", [str(top), str(base)]) == ImageState(missing=False, read_only=False)
    top.unlink()
    assert image_state("", [str(top), str(base)]) == ImageState(missing=True, read_only=False)
    assert image_state("", ["nbd://host/export"]) is None
    assert image_state("", ["/proc/version"]) == ImageState(missing=False, read_only=False)


def test_images_of_a_daemon_with_files_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a").touch()
    assert image_state(str(tmp_path), ["/images/a"]) == ImageState(missing=False, read_only=False)
    (tmp_path / "images" / "link").symlink_to("/nowhere/at/all")
    assert image_state(str(tmp_path), ["/images/link"]) is None, "it leads out of what can be seen"


def test_where_the_daemon_is_is_told_by_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "libvirt-sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert daemon_root(f"qemu+unix:///system?socket={path}") == ""
    assert daemon_root(f"qemu+unix:///system?socket={tmp_path}/none") is None
