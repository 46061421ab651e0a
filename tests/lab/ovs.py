"""Open vSwitch in the lab: an ovsdb-server and an ovs-vswitchd of its own, with the datapath in userspace.

    with OpenVswitch(lab) as ovs:
        ovs.add_bridge("br-int")
        ovs.vsctl("add-port", "br-int", "tap1", "tag=10")

Database, sockets and pid files are below the lab's own /run; a machine's Open vSwitch is not touched. What runs ends
with the test (LabHost.reset) or the lab.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.host import LabHost
from tests.lab.namespaces import Completed, end_process, find_program, run, wait_until

PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl", "ovs-appctl")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_INSIDE = "/run/openvswitch"


def missing_programs() -> list[str]:
    """Why there can be no Open vSwitch here, empty when there can."""
    missing = [f"{name} is not installed" for name in PROGRAMS if find_program(name) is None]
    return missing + ([] if _SCHEMA.exists() else [f"{_SCHEMA} is missing"])


class OpenVswitch:
    """The two daemons; a context manager that starts and ends them."""

    def __init__(self, lab: LabHost) -> None:
        """Nothing runs before start()."""
        self._lab = lab
        self._folder = lab.root / "run" / "openvswitch"
        self._pids: dict[str, int] = {}

    @property
    def socket(self) -> Path:
        """The socket of ovsdb-server as it is seen outside of the lab."""
        return self._folder / "db.sock"

    @property
    def version(self) -> str:
        """What ovs-vswitchd says its version is; ovs-ctl writes it into the database, so we do."""
        return self._lab.run(["ovs-vswitchd", "--version"]).stdout.split("\n")[0].split()[-1]

    def start(self) -> None:
        """Make an empty database and start both daemons; returns when they answer (0.2 s)."""
        self._folder.mkdir(exist_ok=True)
        database = self._folder / "conf.db"
        database.unlink(missing_ok=True)
        run(["ovsdb-tool", "create", str(database), str(_SCHEMA)])
        self.start_database()
        self.vsctl("--no-wait", "init")
        self.start_switch()

    def start_database(self) -> None:
        """Start ovsdb-server on the database there is; returns when it answers."""
        remotes = ["--remote=punix:/run/openvswitch/db.sock", "--unixctl=/run/openvswitch/ovsdb.ctl"]
        self._spawn("ovsdb-server", f"{_INSIDE}/conf.db", *remotes)
        wait_until(lambda: self._answers("ovsdb.ctl"), "ovsdb-server to answer")

    def start_switch(self) -> None:
        """Start ovs-vswitchd; returns when it has taken in the database."""
        arguments = ["unix:/run/openvswitch/db.sock", "--unixctl=/run/openvswitch/vswitchd.ctl", "--disable-system"]
        self._spawn("ovs-vswitchd", *arguments)
        self.vsctl("--timeout=20", "set", "Open_vSwitch", ".", f"ovs_version={self.version}")

    def stop(self) -> None:
        """End both daemons and take away what they leave."""
        for pid in self._pids.values():
            end_process(pid, signal.SIGKILL)
        self._pids.clear()
        for left in self._folder.iterdir() if self._folder.exists() else ():
            left.unlink()
        with suppress(FileNotFoundError):
            self._folder.rmdir()

    def kill(self, daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to `ovsdb-server` or `ovs-vswitchd`; a killed one is gone when this returns."""
        if number in (signal.SIGKILL, signal.SIGTERM):
            end_process(self._pids.pop(daemon), number)
        else:
            os.kill(self._pids[daemon], number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def vsctl(self, *arguments: str, check: bool = True) -> Completed:
        """What the real ovs-vsctl says; it waits until ovs-vswitchd has done as it was told."""
        return self._lab.run(["ovs-vsctl", f"--db=unix:{_INSIDE}/db.sock", *arguments], check=check)

    def add_bridge(self, name: str) -> None:
        """Add a bridge whose packets are forwarded in userspace; the kernel here need not have openvswitch."""
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")

    def add_patch(self, bridge: str, port: str, other_bridge: str, other_port: str) -> None:
        """Join two bridges by a pair of patch ports."""
        for here, name, peer in ((bridge, port, other_port), (other_bridge, other_port, port)):
            self.vsctl("add-port", here, name, "--", "set", "interface", name, "type=patch", f"options:peer={peer}")

    def add_tunnel(self, bridge: str, port: str, kind: str, remote: str, key: int) -> None:
        """Add a tunnel port of a kind (gre, vxlan, geneve) to a far end."""
        options = [f"options:remote_ip={remote}", f"options:key={key}"]
        self.vsctl("add-port", bridge, port, "--", "set", "interface", port, f"type={kind}", *options)

    def _spawn(self, program: str, *arguments: str) -> None:
        """Start a daemon in the foreground, its pid file where its package has it."""
        path = find_program(program) or program
        pidfile = f"--pidfile={_INSIDE}/{program}.pid"
        self._pids[program] = self._lab.spawn([path, *arguments, pidfile, "--overwrite-pidfile"])

    def _answers(self, control: str) -> bool:
        """Whether a daemon answers on its control socket."""
        return self._lab.run(["ovs-appctl", f"--target={_INSIDE}/{control}", "version"], check=False).returncode == 0
