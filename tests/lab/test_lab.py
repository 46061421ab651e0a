"""The lab proves itself: guests boot and obey, faults can be staged, and nothing is touched or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tests.lab import domain
from tests.lab.conftest import unavailable
from tests.lab.console import Console
from tests.lab.host import LabHost
from tests.lab.namespaces import end_process, is_alive, wait_until
from tests.lab.reaper import require_private_namespaces

RUNNING, PAUSED, OFF, CRASHED = 1, 3, 5, 6
SYSTEM_FOLDERS = (
    "/etc/libvirt",
    "/run/libvirt",
    "/var/lib/libvirt",
    "/var/cache/libvirt",
    "/var/log/libvirt",
    "/run/netns",
)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took, for who looks; nothing depends on it."""
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.2f} s")


def test_guest_boots_to_a_shell_that_runs_commands(lab: LabHost, name: str) -> None:
    with timed("define, boot to a shell"):
        made = lab.define_guest(name)
    assert lab.state(name)[0] == RUNNING
    assert ET.fromstring(made.xml).get("type") == "qemu"
    with lab.console(name) as console:
        with timed("a command"):
            assert console.run("uname -s") == (0, "Linux")
        assert console.run("printf 'no newline'; false") == (1, "no newline")
        assert console.run("echo one; echo two >&2") == (0, "one\ntwo")
        status, output = console.run("ls /sys/bus/virtio/drivers")
        assert status == 0
        assert {"virtio_balloon", "virtio_blk", "virtio_net", "virtio_scsi"} <= set(output.split())


def test_console_tells_a_timeout_from_an_end(lab: LabHost, name: str) -> None:
    lab.define_guest(name)
    with lab.console(name) as console:
        with pytest.raises(TimeoutError):
            console.wait_for("never written", timeout=0.2)
        os.kill(lab.qemu_pid(name), signal.SIGKILL)
        with pytest.raises(EOFError):
            console.wait_for("never written", timeout=10)


def test_acpi_shutdown_powers_the_guest_off(lab: LabHost, name: str) -> None:
    lab.define_guest(name)
    pid = lab.qemu_pid(name)
    with timed("ACPI shutdown"):
        lab.virsh("shutdown", name)
        lab.wait_state(name, OFF)
    assert "POWER-BUTTON" in lab.console_log(name)
    assert lab.state(name)[1] == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
    wait_until(lambda: not is_alive(pid), "QEMU to end")


def test_guest_without_acpi_ignores_the_shutdown(lab: LabHost, name: str) -> None:
    lab.define_guest(name, acpi=False)
    lab.virsh("shutdown", name)
    with lab.console(name) as console:
        assert console.run("sleep 1.5; echo still here") == (0, "still here")
    assert lab.state(name)[0] == RUNNING
    assert "POWER-BUTTON" not in lab.console_log(name)


def test_managed_save_keeps_what_the_guest_was_doing(lab: LabHost, name: str) -> None:
    lab.define_guest(name)
    with lab.console(name) as console:
        console.run("echo kept > /tmp/note")
    with timed("managed save and start"):
        lab.virsh("managedsave", name)
        assert lab.state(name) == (OFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED)
        lab.virsh("start", name)
    with lab.console(name) as console:
        assert console.run("cat /tmp/note") == (0, "kept")


def test_reboot_boots_the_same_qemu_again(lab: LabHost, name: str) -> None:
    lab.define_guest(name)
    pid = lab.qemu_pid(name)
    lab.virsh("reboot", name)
    lab.wait_ready(name, boots=2)
    assert lab.qemu_pid(name) == pid


def test_guests_survive_a_killed_daemon(lab: LabHost, name: str) -> None:
    lab.define_guest(name)
    pid, daemon = lab.qemu_pid(name), lab.daemon_pid
    with lab.console(name) as console:
        lab.kill_daemon()
        assert console.run("true")[0] == 0
    assert not lab.is_up
    with pytest.raises(libvirt.libvirtError) as error, lab.connect():
        pass
    assert error.value.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR
    assert is_alive(pid)
    with timed("libvirtd again"):
        lab.start_daemon()
    assert lab.daemon_pid != daemon
    assert (lab.state(name)[0], lab.qemu_pid(name)) == (RUNNING, pid)
    with lab.console(name) as console:
        assert console.run("true")[0] == 0


def test_guests_survive_a_restarted_daemon(lab: LabHost, name: str) -> None:
    lab.define_blank(name, start=True)
    pid, daemon = lab.qemu_pid(name), lab.daemon_pid
    lab.restart_daemon()
    assert lab.daemon_pid != daemon
    assert (lab.state(name)[0], lab.qemu_pid(name)) == (RUNNING, pid)


def test_stopped_daemon_answers_nothing_until_it_continues(lab: LabHost, name: str) -> None:
    lab.define_blank(name)
    lab.stop_daemon()
    with pytest.raises(subprocess.TimeoutExpired):
        lab.virsh("list", timeout=0.5)
    lab.continue_daemon()
    assert name in lab.virsh("list", "--all").stdout


def test_killed_qemu_is_a_crashed_domain(lab: LabHost, name: str) -> None:
    lab.define_blank(name, start=True)
    end_process(lab.qemu_pid(name), signal.SIGKILL)
    lab.wait_state(name, OFF)
    assert lab.state(name)[1] == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED


def test_panic_is_reported(lab: LabHost, name: str) -> None:
    lab.define_guest(name, on_crash="preserve", devices=[domain.element("panic", model="isa")])
    with lab.console(name) as console:
        console.send("echo c > /proc/sysrq-trigger\n")
        lab.wait_state(name, CRASHED)


def test_blank_domains_stand_in_any_state(lab: LabHost, name: str) -> None:
    lab.define_blank(f"{name}-off")
    lab.define_blank(f"{name}-paused", paused=True)
    with timed("a blank q35 domain started"):
        lab.define_blank(f"{name}-running", machine="q35", start=True)
    assert [lab.state(f"{name}-{state}")[0] for state in ("off", "paused", "running")] == [OFF, PAUSED, RUNNING]


def test_guest_takes_devices_addresses_and_vcpus_while_it_runs(lab: LabHost, name: str) -> None:
    subnet = lab.define_network("lab-net", bridge="br-lab")
    lab.define_guest(name, agent=True, network="lab-net", vcpus_max=2, memory_mib=128, max_memory_mib=512)
    lab.wait_console(name, f"LEASE eth0 10.77.{subnet}.")
    assert f"10.77.{subnet}." in lab.virsh("domifaddr", name, "--source", "agent").stdout
    with lab.console(name) as console:
        before = total_mib(console)
    lab.virsh("setvcpus", name, "2", "--live")
    lab.wait_console(name, "HOTPLUG add cpu cpu1")
    plug(lab, name, domain.disk_xml(lab.create_image("second.qcow2"), "vdb"))
    plug(lab, name, domain.nic_xml("lab-net"))
    plug(lab, name, dimm(128))
    lab.wait_console(name, "HOTPLUG add block vda")
    lab.wait_console(name, f"LEASE eth1 10.77.{subnet}.")
    with lab.console(name) as console:
        wait_until(lambda: console.run("nproc")[1] == "2", "the second vCPU")
        assert total_mib(console) > before + 100
    ping = lab.run(["busybox", "ping", "-c", "1", "-W", "2", lease_of(lab, name)], check=False)
    assert ping.returncode == 0, ping
    lab.virsh("shutdown", name, "--mode", "agent")
    lab.wait_state(name, OFF)
    assert "AGENT-SHUTDOWN" in lab.console_log(name)


def plug(lab: LabHost, name: str, device: ET.Element) -> None:
    """Attach a device to the running domain."""
    with lab.connect() as connection:
        connection.lookupByName(name).attachDeviceFlags(domain.text(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def total_mib(console: Console) -> int:
    """The memory that the guest's kernel has, in MiB."""
    return int(console.run("awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo")[1])


def dimm(mib: int) -> ET.Element:
    """A DIMM for NUMA cell 0."""
    target = domain.element(
        "target", domain.element("size", text=str(mib), unit="MiB"), domain.element("node", text="0")
    )
    return domain.element("memory", target, model="dimm")


def lease_of(lab: LabHost, name: str) -> str:
    """The address of the guest's first NIC as libvirt's DHCP leases have it."""
    with lab.connect() as connection:
        found = connection.lookupByName(name).interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
    return next(str(address["addr"]) for link in found.values() for address in link["addrs"])


def test_unmanaged_qemu_is_unknown_to_libvirt_and_ends_with_the_test(lab: LabHost, name: str) -> None:
    pid = lab.spawn_unmanaged(name, vcpus=2)
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) >= 3, "the vCPU threads")
    assert name not in lab.virsh("list", "--all").stdout
    lab.reset()
    assert not is_alive(pid)


def test_reset_leaves_the_host_empty(lab: LabHost, name: str) -> None:
    lab.define_network("doomed", bridge="br-doomed", forward="nat")
    lab.virsh("pool-create-as", "doomed", "dir", "--target", str(lab.images))
    lab.define_blank(name, start=True)
    os.kill(lab.qemu_pid(name), signal.SIGSTOP)
    lab.run(["ip", "netns", "add", "doomed"])
    lab.run(["ip", "link", "add", "doomed0", "type", "veth", "peer", "name", "doomed1"])
    lab.stop_daemon()
    with timed("reset"):
        lab.reset()
    for listing in (["list", "--all"], ["net-list", "--all"], ["pool-list", "--all"]):
        assert lab.virsh(*listing).stdout.strip() == ""
    assert lab.run(["ip", "netns", "list"]).stdout == ""
    assert [line.split()[0] for line in lab.run(["ip", "-br", "link"]).stdout.splitlines()] == ["lo"]


def test_readonly_socket_refuses_changes(lab: LabHost, name: str) -> None:
    lab.define_blank(name)
    connection = libvirt.open(lab.uri_readonly)
    with pytest.raises(libvirt.libvirtError) as error:
        connection.lookupByName(name).create()
    connection.close()
    assert error.value.get_error_code() == libvirt.VIR_ERR_OPERATION_DENIED


def test_nothing_of_the_system_is_touched_and_nothing_is_left(lab_host: LabHost) -> None:
    before = system_fingerprint()
    host = LabHost("virtdeck-other")
    with timed("a second host, started"):
        host.start()
    host.define_network("net", bridge="br-lab", forward="nat")
    host.define_guest("guest", network="net", wait=False)
    host.spawn_unmanaged("by-hand")
    host.run(["ip", "netns", "add", "inner"])
    host.spawn(["ip", "netns", "exec", "inner", "sleep", "1000"])
    assert host.run(["hostname"]).stdout.strip() == "virtdeck-other"
    assert lab_host.virsh("list", "--all").stdout.strip() == ""
    inside = processes_of(host)
    assert len(inside) >= 5
    with timed("stop"):
        host.stop()
    assert [pid for pid in inside if is_alive(pid)] == []
    assert not host.root.exists()
    assert system_fingerprint() == before


def has_cpuset() -> bool:
    """Whether this machine has the cpuset controller, of version 1 or 2."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    return Path("/sys/fs/cgroup/cpuset").is_dir() or (unified.exists() and "cpuset" in unified.read_text().split())


@pytest.mark.skipif(not has_cpuset(), reason="this machine has no cpuset controller")
@pytest.mark.usefixtures("lab_host")
def test_a_host_with_cpuset_pins_through_it_and_leaves_no_group() -> None:
    before = machine_groups()
    with LabHost("virtdeck-cpuset", cgroups=["cpuset"]) as host:
        host.define_blank("pinned", start=True)
        host.virsh("vcpupin", "pinned", "0", "0")
        assert "qemu-1-pinned" in Path(f"/proc/{host.qemu_pid('pinned')}/cgroup").read_text()
    assert machine_groups() == before


def machine_groups() -> set[Path]:
    """The control groups that some libvirt made on this machine."""
    return set(Path("/sys/fs/cgroup").glob("**/machine*"))


def system_fingerprint() -> dict[str, object]:
    """What a private host must leave alone: libvirt's folders, the links, the mounts, the name."""
    files = [path for folder in SYSTEM_FOLDERS for path in [Path(folder), *Path(folder).rglob("*")] if path.exists()]
    return {
        "files": {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in files},
        "links": sorted(os.listdir("/sys/class/net")),
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "name": os.uname().nodename,
    }


def processes_of(host: LabHost) -> list[int]:
    """Every process in the host's UTS namespace."""
    space = os.readlink(f"/proc/{host.namespaces.pid}/ns/uts")
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            if os.readlink(f"/proc/{pid}/ns/uts") == space:
                found.append(pid)
        except OSError:
            continue
    return found


DYING_RUN = """
import os, signal
from tests.lab.host import LabHost
host = LabHost("virtdeck-dying")
host.start()
host.define_blank("blank", start=True)
print(host.root, host.namespaces.pid, host.daemon_pid, host.qemu_pid("blank"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("lab_host")
def test_a_test_run_that_is_killed_leaves_nothing() -> None:
    top = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", DYING_RUN], cwd=top, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    root, *pids = done.stdout.split()
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids), "what the killed run started to end")
    assert not Path(root).exists()


def test_the_reaper_refuses_the_namespaces_of_others() -> None:
    with pytest.raises(SystemExit, match="not its own"):
        require_private_namespaces()


def test_a_missing_lab_skips_here_and_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no QEMU"):
        unavailable("no QEMU")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no QEMU"):
        unavailable("no QEMU")


def test_console_needs_a_running_domain(lab: LabHost, name: str) -> None:
    lab.define_guest(name, start=False)
    with pytest.raises(RuntimeError, match="does not run"):
        lab.console(name)
