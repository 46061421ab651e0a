"""The lab: a private libvirtd with real QEMU (emulated, no KVM) and tiny guests; the system's libvirt is not touched.

    with LabHost() as lab:
        lab.define_guest("vm1")              # boots in 2 s
        lab.virsh("shutdown", "vm1")

It needs root, the packages of libvirtd and QEMU, and unshare(1). One thread uses a host at a time.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from tests.lab import domain
from tests.lab.console import Console
from tests.lab.daemon import PrivateLibvirtd
from tests.lab.domain import LabDomain, Shape
from tests.lab.guest import READY, guest_image
from tests.lab.namespaces import end_process, run, wait_until

_UNDEFINE_ALL = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


class LabHost(PrivateLibvirtd):
    """A private libvirtd (see PrivateLibvirtd for the daemon, its URIs and its namespaces) and the guests on it."""

    def __init__(self, hostname: str = "virtdeck-lab", *, cgroups: Sequence[str] = ()) -> None:
        """As PrivateLibvirtd; `images` is a folder for disk images, with the same path inside and outside."""
        super().__init__(hostname, cgroups=cgroups)
        self.images = self.root / "images"
        self.images.mkdir()
        (self.root / "console").mkdir()
        self._spawned: list[int] = []
        self._subnets = 0

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
        """Define a guest; by default start it and wait until it runs (GUEST-READY on its console, its agent).

        acpi=False: it ignores its power button. agent: it runs qemu-ga. max_memory_mib: DIMM slots up to that size
        (memory_mib must be 128 at least). devices: more elements, as domain.disk_xml makes. wait=False: QEMU runs.
        """
        shape = Shape(
            name=name,
            memory_mib=memory_mib,
            vcpus=vcpus,
            vcpus_max=vcpus_max,
            max_memory_mib=max_memory_mib,
            agent=agent,
            network=network,
            acpi=acpi,
            on_crash=on_crash,
            devices=tuple(devices),
            metadata=tuple(metadata),
        )
        log = self.root / "console" / f"{uuid.uuid4()}.log"
        xml = domain.guest_xml(shape, guest_image(agent=agent), self.emulator, log)
        made = self.define(xml, start=start, autostart=autostart)
        if start and wait:
            self.wait_ready(name)
        if start and wait and agent:
            self.wait_agent(name)
        return made

    def define_blank(
        self,
        name: str,
        *,
        machine: str = "pc",
        memory_mib: int = 16,
        vcpus: int = 1,
        start: bool = False,
        paused: bool = False,
    ) -> LabDomain:
        """Define a domain with no operating system, off, running or paused (0.4 s): for states and for numbers."""
        shape = Shape(name=name, memory_mib=memory_mib, vcpus=vcpus, machine=machine)
        return self.define(domain.blank_xml(shape, self.emulator), start=start or paused, paused=paused)

    def define(
        self, xml: ET.Element, *, start: bool = False, paused: bool = False, autostart: bool = False
    ) -> LabDomain:
        """Define a domain of one's own XML, and start it if asked to."""
        with self.connect() as connection:
            made = connection.defineXML(domain.text(xml))
            if autostart:
                made.setAutostart(1)
            if start:
                made.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
            return LabDomain(made.name(), made.UUIDString(), made.XMLDesc(0))

    def define_network(self, name: str, *, bridge: str, forward: str | None = None) -> int:
        """Define and start a network with DHCP, isolated or forwarded (nat, route, open); the N of its 10.77.N.0/24."""
        self._subnets += 1
        xml = domain.network_xml(name, bridge, self._subnets, forward=forward)
        with self.connect() as connection:
            connection.networkDefineXML(domain.text(xml)).create()
        return self._subnets

    def define_pool(self, name: str, path: Path, *, start: bool = True, autostart: bool = False) -> str:
        """Define a pool of a directory, which is made for it, and start it if asked to; its UUID."""
        path.mkdir(parents=True, exist_ok=True)
        root = domain.element("pool", domain.element("name", text=name), type="dir")
        root.append(domain.element("target", domain.element("path", text=str(path))))
        with self.connect() as connection:
            made = connection.storagePoolDefineXML(domain.text(root), 0)
            if autostart:
                made.setAutostart(1)
            if start:
                made.create(0)
            return str(made.UUIDString())

    def create_image(self, name: str, *, size_mib: int = 16, kind: str = "qcow2") -> Path:
        """The path of a new disk image in the images folder."""
        path = self.images / name
        run(["qemu-img", "create", "-q", "-f", kind, str(path), f"{size_mib}M"])
        return path

    def spawn(self, argv: Sequence[str]) -> int:
        """The process id of a program started inside in the background; it ends with the test (reset) or the lab."""
        pid = self.namespaces.spawn(argv, self.root / "log" / f"{Path(argv[0]).name}.log")
        self._spawned.append(pid)
        return pid

    def spawn_unmanaged(self, name: str, *, memory_mib: int = 16, vcpus: int = 1, arguments: Sequence[str] = ()) -> int:
        """The process id of a QEMU started by hand inside, which libvirt does not know; it has nothing to boot."""
        argv = [self.emulator, "-name", f"guest={name},debug-threads=on", "-machine", "pc,accel=tcg"]
        sizes = ["-m", str(memory_mib), "-smp", str(vcpus)]
        return self.spawn([*argv, *sizes, "-nodefaults", "-display", "none", *arguments])

    def qemu_pid(self, name: str) -> int:
        """The process id of a running domain's QEMU; RuntimeError when it has none."""
        try:
            return int((self.sockets / "qemu" / f"{name}.pid").read_text())
        except OSError as error:
            raise RuntimeError(f"{name} has no QEMU") from error

    def state(self, name: str) -> tuple[int, int]:
        """The domain's state and reason as libvirt numbers them (virDomainGetState)."""
        with self.connect() as connection:
            state, reason = connection.lookupByName(name).state(0)
            return state, reason

    def wait_state(self, name: str, state: int, *, timeout: float = 30) -> None:
        """Wait until the domain's state is 1 running, 3 paused, 5 off, 6 crashed; TimeoutError when it never is."""
        with self.connect() as connection:
            found = connection.lookupByName(name)
            wait_until(lambda: found.state(0)[0] == state, f"state {state} of {name}", timeout=timeout)

    def console(self, name: str) -> Console:
        """A new session on the running guest's serial console, a context manager; RuntimeError when it has none."""
        source = self._serial(name).find("source")
        if source is None or "path" not in source.attrib:
            raise RuntimeError(f"{name} has no console: it does not run")
        return Console(Path(source.attrib["path"]), name)

    def console_log(self, name: str) -> str:
        """All that the guest wrote to its console since its QEMU started; a session is not needed."""
        return self._console_file(name).read_text(errors="replace")

    def wait_console(self, name: str, text: str, *, count: int = 1, timeout: float = 60) -> None:
        """Wait until the console log has a text that many times; TimeoutError with the log's end when it never does."""
        path = self._console_file(name)
        end = time.monotonic() + timeout
        while (log := path.read_text(errors="replace")).count(text) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"waited {timeout:g} s for {text!r} from {name}, which said: {log[-500:]!r}")
            time.sleep(0.02)

    def wait_ready(self, name: str, *, boots: int = 1, timeout: float = 60) -> None:
        """Wait until the guest has booted that many times since its QEMU started (a reboot keeps its QEMU)."""
        self.wait_console(name, READY, count=boots, timeout=timeout)

    def wait_agent(self, name: str, *, timeout: float = 30) -> None:
        """Wait until the guest's agent has opened its channel."""
        target = "devices/channel/target[@state='connected']"
        with self.connect() as connection:
            found = connection.lookupByName(name)
            what = f"the agent of {name}"
            wait_until(lambda: ET.fromstring(found.XMLDesc(0)).find(target) is not None, what, timeout=timeout)

    def reset(self) -> None:
        """Leave nothing behind: libvirtd up; no domains, networks, pools, namespaces, links or spawned programs."""
        self.continue_daemon()
        self.start_daemon()
        for pid in self._spawned:
            end_process(pid, signal.SIGKILL)
        self._spawned.clear()
        with self.connect() as connection:
            self._remove_domains(connection)
            _remove_networks_and_pools(connection)
        # libvirt takes the chains that it once made for there; a test that flushed them has it make them anew.
        if self._subnets and self.run(["iptables", "-w", "-n", "-L", "LIBVIRT_INP"], check=False).returncode:
            self.restart_daemon()
        self.run(["ip", "-all", "netns", "delete"])
        for line in self.run(["ip", "-br", "link"]).stdout.splitlines():
            name = line.split()[0].partition("@")[0]
            if name != "lo":
                self.run(["ip", "link", "delete", name], check=False)

    def _remove_domains(self, connection: Any) -> None:
        """Kill every QEMU (destroying one that is stopped takes libvirt 10 s) and undefine every domain."""
        for found in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            with suppress(RuntimeError, ProcessLookupError):
                os.kill(self.qemu_pid(found.name()), signal.SIGKILL)
        wait_until(lambda: connection.numOfDomains() == 0, "libvirt to see that every QEMU is gone")
        for found in connection.listAllDomains():
            found.undefineFlags(_UNDEFINE_ALL)

    def _serial(self, name: str) -> ET.Element:
        """The domain's serial port as its XML has it now; RuntimeError for one without."""
        with self.connect() as connection:
            found = ET.fromstring(connection.lookupByName(name).XMLDesc(0)).find("devices/serial")
        if found is None:
            raise RuntimeError(f"{name} has no serial port")
        return found

    def _console_file(self, name: str) -> Path:
        """Where the domain's serial console is logged; RuntimeError when it is not."""
        log = self._serial(name).find("log")
        if log is None:
            raise RuntimeError(f"{name} keeps no console log")
        return Path(log.attrib["file"])


def _remove_networks_and_pools(connection: Any) -> None:
    """Stop and undefine every network and pool; volumes stay until the lab's folder goes."""
    for found in [*connection.listAllNetworks(), *connection.listAllStoragePools()]:
        if found.isActive():
            found.destroy()
        with suppress(libvirt.libvirtError):
            found.undefine()
