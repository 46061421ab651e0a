"""A private libvirtd with real QEMU (emulated, no KVM) in namespaces of its own; nothing of the system's libvirt is touched.

    with LabHost() as lab:
        lab.define_guest("vm1")              # boots in about 2 s
        lab.virsh("shutdown", "vm1")

It needs root, the packages of libvirtd and QEMU, and unshare(1). A host is used from one thread.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.etree import ElementTree as ET

from tests.lab import domain
from tests.lab.console import Console
from tests.lab.domain import LabDomain, Shape
from tests.lab.guest import READY, cache_folder, guest_image
from tests.lab.namespaces import Completed, LabUnavailable, Namespaces, end_process, is_alive, run, wait_until

EMULATOR = "qemu-system-x86_64"
PROGRAMS = ("libvirtd", EMULATOR, "virsh", "unshare", "nsenter", "busybox", "ip", "qemu-img")

_QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = [{controllers}]
stdio_handler = "file"
seccomp_sandbox = 0
"""
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


def find_program(name: str) -> str | None:
    """The path of a program, looked for in sbin as well."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")


def missing_requirements() -> list[str]:
    """Why the lab cannot run here, empty when it can: not root, a program or the libvirt module missing."""
    reasons = [] if os.geteuid() == 0 else ["not root"]
    reasons += [f"{name} is not installed" for name in PROGRAMS if find_program(name) is None]
    if importlib.util.find_spec("libvirt") is None:
        reasons.append("the Python module libvirt is not installed")
    return reasons


class LabHost:
    """A libvirtd of its own: started, stopped, killed and restarted while its guests live; see the module's example."""

    def __init__(self, hostname: str = "virtdeck-lab", *, cgroups: Sequence[str] = ()) -> None:
        """Make its folder; `cgroups` names the controllers libvirt may use (none: it sees no control groups at all)."""
        if reasons := missing_requirements():
            raise LabUnavailable(", ".join(reasons))
        self.namespaces = Namespaces(hostname, cgroups=bool(cgroups))
        self.hostname = hostname
        self.root = self.namespaces.root
        self.images = self.root / "images"
        self.images.mkdir()
        (self.root / "console").mkdir()
        self._emulator = os.path.realpath(find_program(EMULATOR) or EMULATOR)
        self._sockets = self.root / "run" / "libvirt"
        self._daemon: int | None = None
        self._spawned: list[int] = []
        self._subnets = 0
        controllers = ", ".join(f'"{name}"' for name in cgroups)
        (self.root / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(controllers=controllers))
        (self.root / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(uuid=uuid.uuid4()))

    # -- the host ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the namespaces and start libvirtd; returns when it answers (0.2 s, 1-4 s the first time on a machine)."""
        kept = cache_folder() / "capabilities"
        if kept.exists():
            shutil.copytree(kept, self.root / "cache" / "qemu" / "capabilities")
        self.namespaces.start()
        try:
            self.start_daemon()
            self._probe_qemu(kept)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End libvirtd, all guests and all else that runs inside, and delete the folder."""
        self.namespaces.stop()
        self._daemon = None
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> LabHost:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """The URI of the private libvirtd, for use from outside and inside of the namespaces."""
        return f"qemu+unix:///system?socket={self._sockets / 'libvirt-sock'}"

    @property
    def uri_readonly(self) -> str:
        """The same libvirtd's read-only socket, which is open to every user."""
        return f"qemu+unix:///system?socket={self._sockets / 'libvirt-sock-ro'}"

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A libvirt.virConnect of one's own, closed afterwards."""
        import libvirt

        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            with suppress(libvirt.libvirtError):
                connection.close()

    def virsh(self, *arguments: str, timeout: float = 60, check: bool = True) -> Completed:
        """What the real virsh says; RuntimeError with its error text when it fails and check is set."""
        return run(["virsh", "-q", "-c", self.uri, *arguments], timeout=timeout, check=check)

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a program (ip, nft, ping) inside the namespaces to its end."""
        return self.namespaces.run(argv, timeout=timeout, check=check)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs a program inside the namespaces, for a pseudo-terminal or a Popen of one's own."""
        return self.namespaces.inside(argv)

    def spawn(self, argv: Sequence[str]) -> int:
        """The process id of a program started inside in the background; it ends with the test (reset) or the lab."""
        pid = self.namespaces.spawn(argv, self.root / "log" / f"{Path(argv[0]).name}.log")
        self._spawned.append(pid)
        return pid

    def reset(self) -> None:
        """Leave nothing behind: daemon up, no domains, networks, pools, namespaces, links or spawned programs."""
        self.continue_daemon()
        self.start_daemon()
        for pid in self._spawned:
            end_process(pid, signal.SIGKILL)
        self._spawned.clear()
        with self.connect() as connection:
            for found in connection.listAllDomains():
                # Killed, not destroyed: libvirt's destroy of a stopped QEMU takes 10 s.
                with suppress(RuntimeError, ProcessLookupError):
                    os.kill(self.qemu_pid(found.name()), signal.SIGKILL)
            _remove_all(connection)
        self.run(["ip", "-all", "netns", "delete"])
        for line in self.run(["ip", "-br", "link"]).stdout.splitlines():
            name = line.split()[0].partition("@")[0]
            if name != "lo":
                self.run(["ip", "link", "delete", name], check=False)

    # -- the daemon ----------------------------------------------------------------------------------------------

    @property
    def daemon_pid(self) -> int:
        """The process id of libvirtd; RuntimeError when it is down."""
        if self._daemon is None or not is_alive(self._daemon):
            raise RuntimeError("libvirtd is not running")
        return self._daemon

    def start_daemon(self) -> None:
        """Start libvirtd in the same namespaces where it is down; returns when it answers. Guests of an earlier one are found again."""
        if self._daemon is not None and is_alive(self._daemon):
            return
        argv = [find_program("libvirtd") or "libvirtd", "-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirtd.pid"]
        self._daemon = self.namespaces.spawn(argv, self.root / "log" / "libvirtd.out")
        wait_until(self._answers, "libvirtd to listen", timeout=30)
        with self.connect() as connection:
            connection.getLibVersion()

    def kill_daemon(self) -> None:
        """Kill libvirtd with SIGKILL; returns when it is gone. Guests live on."""
        end_process(self.daemon_pid, signal.SIGKILL)

    def stop_daemon(self) -> None:
        """SIGSTOP libvirtd: it keeps its sockets and answers nothing."""
        os.kill(self.daemon_pid, signal.SIGSTOP)

    def continue_daemon(self) -> None:
        """SIGCONT libvirtd, if it lives."""
        if self._daemon is not None and is_alive(self._daemon):
            os.kill(self._daemon, signal.SIGCONT)

    def restart_daemon(self) -> None:
        """End libvirtd in good order, where it still runs, and start it again in the same namespaces; guests live on."""
        if self._daemon is not None and is_alive(self._daemon):
            end_process(self._daemon, signal.SIGTERM)
        self.start_daemon()

    def _answers(self) -> bool:
        """Whether something accepts on libvirtd's socket; RuntimeError with its output when libvirtd ended."""
        if self._daemon is None or not is_alive(self._daemon):
            raise RuntimeError(f"libvirtd ended: {(self.root / 'log' / 'libvirtd.out').read_text().strip()}")
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self._sockets / "libvirt-sock")) == 0

    def _probe_qemu(self, kept: Path) -> None:
        """Have libvirt probe QEMU now, or take what an earlier run learned, and keep the result."""
        with self.connect() as connection:
            connection.getDomainCapabilities(self._emulator, "x86_64", None, "qemu", 0)
        kept.mkdir(exist_ok=True)
        for path in (self.root / "cache" / "qemu" / "capabilities").glob("*.xml"):
            target = kept / path.name
            if not target.exists() or target.read_bytes() != path.read_bytes():
                scratch = kept / f"{path.name}.{os.getpid()}"
                shutil.copyfile(path, scratch)
                scratch.rename(target)

    # -- domains -------------------------------------------------------------------------------------------------

    def define_guest(
        self,
        name: str,
        *,
        memory_mib: int = 96,
        vcpus: int = 1,
        vcpus_max: int | None = None,
        max_memory_mib: int | None = None,
        agent: bool = False,
        network: str | None = None,
        acpi: bool = True,
        on_crash: str = "destroy",
        devices: Sequence[ET.Element] = (),
        metadata: Sequence[ET.Element] = (),
        autostart: bool = False,
        start: bool = True,
        wait: bool = True,
    ) -> LabDomain:
        """Define a guest; by default start it and wait until it runs (GUEST-READY on its console, about 2 s).

        acpi=False: it ignores its power button. agent: it runs qemu-ga. max_memory_mib: 4 DIMM slots up to there (memory_mib
        must then be 128 at least). devices: further elements (domain.disk_xml, nic_xml); wait=False: return once QEMU runs.
        """
        shape = Shape(
            name, memory_mib, vcpus, vcpus_max, max_memory_mib, "q35", agent, network, acpi, on_crash,
            tuple(devices), tuple(metadata),
        )  # fmt: skip
        log = self.root / "console" / f"{uuid.uuid4()}.log"
        xml = domain.guest_xml(shape, guest_image(agent=agent), self._emulator, log)
        made = self.define(xml, start=start, autostart=autostart)
        if start and wait:
            self.wait_ready(name)
        return made

    def define_blank(
        self, name: str, *, machine: str = "pc", start: bool = False, paused: bool = False, vcpus: int = 1, memory_mib: int = 16
    ) -> LabDomain:
        """Define a domain without an operating system, off, running or paused (0.3 s): for states and for numbers."""
        shape = Shape(name, memory_mib=memory_mib, vcpus=vcpus, machine=machine)
        return self.define(domain.blank_xml(shape, self._emulator), start=start or paused, paused=paused)

    def define(self, xml: ET.Element, *, start: bool = False, paused: bool = False, autostart: bool = False) -> LabDomain:
        """Define a domain of one's own XML, and start it if asked to."""
        with self.connect() as connection:
            made = connection.defineXML(domain.text(xml))
            if autostart:
                made.setAutostart(1)
            if start:
                made.createWithFlags(1 if paused else 0)
            return LabDomain(made.name(), made.UUIDString(), made.XMLDesc(0))

    def define_network(self, name: str, *, bridge: str, forward: str | None = None) -> int:
        """Define and start a network with DHCP, isolated or forwarded (nat, route, open); the N of its 10.77.N.0/24."""
        self._subnets += 1
        with self.connect() as connection:
            connection.networkDefineXML(domain.text(domain.network_xml(name, bridge, self._subnets, forward=forward))).create()
        return self._subnets

    def create_image(self, name: str, *, size_mib: int = 16, kind: str = "qcow2") -> Path:
        """A new disk image in the images folder."""
        path = self.images / name
        run(["qemu-img", "create", "-q", "-f", kind, str(path), f"{size_mib}M"])
        return path

    def spawn_unmanaged(self, name: str, *, memory_mib: int = 16, vcpus: int = 1, arguments: Sequence[str] = ()) -> int:
        """The process id of a QEMU started by hand inside, which libvirt does not know; it has nothing to boot."""
        argv = [self._emulator, "-name", f"guest={name},debug-threads=on", "-machine", "pc,accel=tcg", "-m", str(memory_mib)]
        return self.spawn([*argv, "-smp", str(vcpus), "-nodefaults", "-display", "none", *arguments])

    def qemu_pid(self, name: str) -> int:
        """The process id of a running domain's QEMU; RuntimeError when it has none."""
        try:
            return int((self._sockets / "qemu" / f"{name}.pid").read_text())
        except OSError as error:
            raise RuntimeError(f"{name} has no QEMU") from error

    def state(self, name: str) -> tuple[int, int]:
        """The domain's state and reason as libvirt numbers them (virDomainGetState)."""
        with self.connect() as connection:
            state, reason = connection.lookupByName(name).state(0)
            return state, reason

    def wait_state(self, name: str, state: int, *, timeout: float = 30) -> None:
        """Wait until the domain is in a state (1 running, 3 paused, 5 off, 6 crashed); TimeoutError when it never is."""
        with self.connect() as connection:
            found = connection.lookupByName(name)
            wait_until(lambda: found.state(0)[0] == state, f"state {state} of {name}", timeout=timeout)

    # -- consoles ------------------------------------------------------------------------------------------------

    def console(self, name: str) -> Console:
        """A new session on the guest's serial console, on a connection of its own; use it as a context manager."""
        return Console(self.uri, name)

    def console_log(self, name: str) -> str:
        """All that the guest wrote to its console since its QEMU started."""
        with self.connect() as connection:
            found = ET.fromstring(connection.lookupByName(name).XMLDesc(0)).find("devices/serial/log")
        if found is None:
            raise RuntimeError(f"{name} keeps no console log")
        return Path(found.attrib["file"]).read_text(errors="replace")

    def wait_console(self, name: str, text: str, *, count: int = 1, timeout: float = 60) -> None:
        """Wait until the console log has a text that many times; TimeoutError with the log's end when it never does."""
        end = time.monotonic() + timeout
        while (log := self.console_log(name)).count(text) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"waited {timeout:g} s for {text!r} from {name}, which said: {log[-500:]!r}")
            time.sleep(0.02)

    def wait_ready(self, name: str, *, boots: int = 1, timeout: float = 60) -> None:
        """Wait until the guest has booted that many times since its QEMU started (a reboot keeps its QEMU)."""
        self.wait_console(name, READY, count=boots, timeout=timeout)


def _remove_all(connection: Any) -> None:
    """Undefine every domain, network and pool; QEMU of each domain is dead already, or dying."""
    import libvirt

    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    wait_until(lambda: connection.numOfDomains() == 0, "all QEMU to be gone")
    for found in connection.listAllDomains():
        found.undefineFlags(flags)
    for found in [*connection.listAllNetworks(), *connection.listAllStoragePools()]:
        if found.isActive():
            found.destroy()
        if found.isPersistent():
            found.undefine()
