"""What Open vSwitch does with a frame: ofproto/trace asked of ovs-vswitchd (ovs-appctl(8), ovs-vswitchd(8))."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from tui.model.route import FlowAnswer, FlowQuestion
from tui.model.text import clean
from tui.sources.qemu_proc import list_pids, read_file, read_link, read_name

_DEADLINE_S = 5.0
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_DAEMON = "ovs-vswitchd"
_SOCKET = "--unixctl="


def ask_switch(question: FlowQuestion) -> FlowAnswer:
    """Return what it answers; waits 6 s at most."""
    program = shutil.which("ovs-appctl", path=_PATH)
    if program is None:
        return FlowAnswer(problem="ovs-appctl is not installed")
    flow = f"in_port={question.port},dl_src={question.source_mac},dl_dst={question.destination_mac},arp"
    words = [f"--timeout={_DEADLINE_S:.0f}", f"--target={_control()}", "ofproto/trace", question.bridge, flow]
    try:
        done = subprocess.run(
            [program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_DEADLINE_S + 1, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return FlowAnswer(problem=clean(str(error)))
    found = _ACTIONS.search(done.stdout)
    if done.returncode or found is None:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return FlowAnswer(problem=clean(lines[-1]) if lines else f"ovs-appctl ended with {done.returncode}")
    return FlowAnswer(actions=clean(found[1]))


def _control() -> str:
    """The control socket of the daemon, where its arguments name one of our own mount namespace; else its name, by
    which ovs-appctl finds it."""
    mounts = read_link("/proc/self/ns/mnt")
    for pid in list_pids():
        if read_name(pid) != _DAEMON or read_link(f"/proc/{pid}/ns/mnt") != mounts:
            continue
        words = os.fsdecode(read_file(f"/proc/{pid}/cmdline") or b"").split("\0")
        path = next((word.removeprefix(_SOCKET) for word in words if word.startswith(_SOCKET)), "")
        if path.startswith("/"):
            return path
    return _DAEMON
