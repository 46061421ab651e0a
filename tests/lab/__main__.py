"""Keep a lab host running to play with: python -m tests.lab, until ctrl+C, SIGTERM or the end of standard input."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.lab.daemon import missing_requirements
from tests.lab.domain import disk_xml
from tests.lab.host import LabHost
from tests.lab.kernel import BuildError
from tests.lab.namespaces import LabUnavailable

NETWORK = "lab"


def main() -> int:
    """The exit status: 0 after a clean end, 1 when the lab cannot run here."""
    signal.signal(signal.SIGTERM, _leave)
    if reasons := missing_requirements():
        print(f"no lab here: {', '.join(reasons)}", file=sys.stderr)
        return 1
    try:
        print("starting a private libvirtd and its guests ...", flush=True)
        with LabHost("lab1") as lab:
            _populate(lab)
            print(_manual(lab), flush=True)
            while sys.stdin.readline():
                pass
    except KeyboardInterrupt:
        print()
    except (BuildError, LabUnavailable) as error:
        print(f"no lab here: {error}", file=sys.stderr)
        return 1
    print("the lab is gone", flush=True)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Take SIGTERM as ctrl+C."""
    raise KeyboardInterrupt


def _populate(lab: LabHost) -> None:
    """Two running guests, a paused one, one that is off, and a QEMU that libvirt does not know."""
    lab.define_network(NETWORK, bridge="virbr0", forward="nat")
    disk = lab.create_image("db1.qcow2", size_mib=64)
    lab.define_guest("web1", agent=True, network=NETWORK, vcpus_max=2, memory_mib=128, max_memory_mib=512, wait=False)
    lab.define_guest("db1", network=NETWORK, devices=[disk_xml(disk, "vda")], autostart=True, wait=False)
    lab.define_guest("batch1", acpi=False, wait=False)
    lab.define_guest("spare1", start=False)
    lab.spawn_unmanaged("by-hand", vcpus=2)
    for name in ("web1", "db1", "batch1"):
        lab.wait_ready(name)
    lab.virsh("suspend", "batch1")


def _manual(lab: LabHost) -> str:
    """How to use the running lab."""
    program = Path(sys.executable).with_name("virtdeck")
    # By its whole path: sudo looks for programs where root does.
    inside = shlex.join(lab.namespaces.inside([str(program), "-c", lab.uri]))
    return f"""
A private libvirtd with real QEMU guests (emulated, no KVM): web1 with its agent and db1 run, batch1 is paused and
ignores its power button, spare1 is off; beside them runs "by-hand", a QEMU that libvirt does not know.

  {program} -c '{lab.uri}'
  virsh    -c '{lab.uri}' console web1
  sudo {inside}  # the same inside
  sudo nsenter -t {lab.namespaces.pid} -m -u -n        # its mounts, hostname and network: ip link, ping a guest
  sudo kill -9 {lab.daemon_pid}                          # its libvirtd

Its files are in {lab.root}. All of it ends with ctrl+C here.
"""


if __name__ == "__main__":
    sys.exit(main())
