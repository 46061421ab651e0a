"""Records rtnetlink messages of kinds of links that this machine's kernel may lack, in a guest whose kernel has them.

    .venv/bin/python -m tests.tools.record_netlink

boots the distribution's kernel for virtual machines with its modules and iproute2, makes one link of every kind, and
writes what the kernel said, and what `ip -j -d` made of it, to tests/unit/netlink_fixtures/kinds.json. It takes 20 s
and wants apt, gcc, busybox-static, iproute2 and QEMU. What the guest needs is in kernel.py and guest.py of the lab.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import guest, kernel
from tests.lab.cpio import Archive
from tests.lab.kernel import tool
from tui.sources.netlink import addresses, links, routes, rules, settings, vlans
from tui.sources.netlink.sockets import NetlinkSocket
from tui.sources.netlink.wire import attribute

TARGET = Path(__file__).parents[1] / "unit" / "netlink_fixtures" / "kinds.json"
_RECORDER = Path(__file__).parent / "netlink_recorder.c"
_MODULES = (
    "dummy", "veth", "tun", "bridge", "8021q", "bonding", "team", "vxlan", "geneve", "ipip", "sit", "ip_gre", "ip6_gre",
    "ip6_tunnel", "ip_vti", "ip6_vti", "vrf", "macvlan", "macvtap", "ipvlan", "ipvtap", "wireguard", "openvswitch",
)  # fmt: skip
_LIMIT_S = 180

COMMANDS = """
ip link set lo up
for n in 0 1 2 3 4 5 6 7; do ip link add d$n type dummy; done
ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 5 stp_state 1 forward_delay 200 priority 8192
ip link set d0 master br0
ip link set d0 up
ip link set br0 up
bridge vlan add dev d0 vid 10-20
bridge vlan add dev d0 vid 30 pvid untagged
bridge vlan add dev d0 vid 40 untagged
bridge vlan add dev br0 vid 10 self
bridge link set dev d0 isolated on hairpin on guard on learning off flood off cost 17 priority 9
ip link add link d1 name v100 type vlan id 100
ip link add link d1 name q200 type vlan protocol 802.1ad id 200
ip link add bond8 type bond mode active-backup miimon 100
ip link set d2 master bond8
ip link set d3 master bond8
ip link set bond8 up
ip link add bond9 type bond mode 802.3ad
ip link add gre1 type gre local 192.0.2.1 remote 192.0.2.2 key 42
ip link add gre2 type gre remote 192.0.2.3 dev d1
ip link add gt1 type gretap local 192.0.2.1 remote 192.0.2.4 key 10.0.0.7
ip link add gt2 type gretap external
ip link add er1 type erspan seq key 9 local 192.0.2.1 remote 192.0.2.5 erspan_ver 1 erspan 5
ip link add g61 type ip6gre local 2001:db8::1 remote 2001:db8::2 key 43
ip link add gt61 type ip6gretap local 2001:db8::1 remote 2001:db8::3
ip link add ipip1 type ipip local 192.0.2.1 remote 192.0.2.6
ip link add sit1 type sit local 192.0.2.1 remote 192.0.2.7
ip link add t61 type ip6tnl mode ip6ip6 local 2001:db8::1 remote 2001:db8::4 dev d1
ip link add vti1 type vti local 192.0.2.1 remote 192.0.2.8 key 11
ip link add vti61 type vti6 local 2001:db8::1 remote 2001:db8::5 key 12
ip link add ge1 type geneve id 55 remote 192.0.2.9
ip link add ge6 type geneve id 56 remote 2001:db8::9 dstport 6082
ip link add ge0 type geneve external dstport 6083
ip link add vx1 type vxlan id 100 group 239.1.1.1 dev d1 dstport 4789
ip link add vx0 type vxlan external dstport 4790
ip link add vrf10 type vrf table 10
ip link set d4 master vrf10
ip link add mv1 link d5 type macvlan mode vepa
ip link add mv2 link d5 type macvlan mode bridge
ip link add mt1 link d5 type macvtap mode bridge
ip link add iv1 link d6 type ipvlan mode l3
ip link add it1 link d6 type ipvtap mode l2
ip link add wg0 type wireguard
ip link add team0 type team
ip tuntap add tap0 mode tap user 1000 multi_queue
ip tuntap add tun0 mode tun
ip netns add n1
ip link add ve0 type veth peer name ve1 netns n1
ip link add ve2 type veth peer name ve3
ip link property add dev ve2 altname another-name
ip link set ve2 alias 'an alias'
ip addr add 10.1.0.1/24 dev d0
ip addr add 10.2.0.1 peer 10.2.0.2/32 dev gre1
ip link set gre1 up
ip rule add from 10.0.0.0/8 fwmark 5/0xff table 100
"""
"""What is made in the guest, one shell command a line; Open vSwitch's datapath beside it, which no tool there makes."""

_TOLD = ("ip -j -d link", "ip -j addr", "bridge -j vlan", "ip -j -d rule", "ip -j -d route")


class _Asking(NetlinkSocket):
    """Notes what a reader would ask, so that the very same is asked in the guest."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bytes]] = []

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        self.asked.append((kind, body))
        return []


def requests() -> dict[str, list[tuple[int, bytes]]]:
    """The dumps that are recorded: message types and bodies, by name."""
    found = {}
    for name, read in (
        ("links", lambda asking: links.read_links(asking, None)),
        ("addresses", lambda asking: addresses.read_addresses(asking, None)),
        ("vlans", vlans.read_vlans),
        ("fdb", addresses.read_fdb),
        ("confs", settings.read_settings),
        ("rules", lambda asking: rules.read_rules(asking, "")),
        ("routes", lambda asking: routes.read_routes(asking, "")),
    ):
        asking = _Asking()
        read(asking)
        found[name] = asking.asked
    return found


def _datapath() -> list[str]:
    """The requests that make a kernel datapath with a bridge port and a netdev port (linux/openvswitch.h), as words for
    the recorder: OVS_DP_CMD_NEW and OVS_VPORT_CMD_NEW."""
    nobody = attribute(2, struct.pack("=I", 0))
    datapath = bytes((1, 2, 0, 0)) + struct.pack("=i", 0) + attribute(1, b"ovs-system\0") + nobody
    asked = [f"ovs_datapath {datapath.hex()}"]
    for name, kind in ((b"br-int\0", 2), (b"d7\0", 1)):
        port = attribute(2, struct.pack("=I", kind)) + attribute(3, name) + attribute(5, struct.pack("=I", 0))
        asked.append(f"ovs_vport {(bytes((1, 1, 0, 0)) + b'@DP@' + port).hex()}")
    return asked


def _init() -> bytes:
    """The guest's init: modules, links, then everything recorded on the console between marks."""
    lines = [
        "#!/bin/sh", "export PATH=/bin:/sbin", "mount -t proc proc /proc", "mount -t sysfs sysfs /sys",
        "mount -t devtmpfs dev /dev", "mount -t tmpfs tmpfs /run", "mkdir -p /run/netns",
        # The shell of busybox prefers its own applets to what lies in the path.
        'ip() { /bin/ip "$@"; }',

        'while read -r module; do insmod "/lib/modules/$module.ko"; done < /lib/modules/order',
        *COMMANDS.strip().split("\n"),
    ]  # fmt: skip
    datapath, *ports = _datapath()
    lines.append(f"recorder ask {datapath}")
    # A vport names its datapath by the ifindex that it got just now.
    lines.append("dp=$(printf '%08x' $(cat /sys/class/net/ovs-system/ifindex))")
    lines.append('dp="$(echo $dp | sed "s/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/\\4\\3\\2\\1/")"')
    lines += [f"recorder ask $(echo {port} | sed s/{b'@DP@'.hex()}/$dp/)" for port in ports]
    lines += ["sleep 6", "echo RELEASE $(uname -r)", "echo IPROUTE $(ip -V)"]
    lines += [f"recorder dump {name} {kind} {body.hex()}" for name, asked in requests().items() for kind, body in asked]
    lines += [f'echo "TOLD {words}"; {words}; echo' for words in _TOLD]
    lines += ["echo RECORDED", "poweroff -f"]
    return "\n".join(lines).encode() + b"\n"


def _with_libraries(archive: Archive, name: str) -> None:
    """A program of this machine and the shared libraries that it needs."""
    path = Path(shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") or "").resolve()
    archive.file(f"bin/{name}", path.read_bytes())
    for found, library in re.findall(r"(\S+) => (/\S+)", tool([guest.LOADER, "--list", str(path)]).decode()):
        if f"lib/x86_64-linux-gnu/{found}" not in _added:
            _added.add(f"lib/x86_64-linux-gnu/{found}")
            archive.file(f"lib/x86_64-linux-gnu/{found}", Path(library).read_bytes())


_added: set[str] = set()


def _initramfs(folder: Path, modules: Path) -> Path:
    recorder = folder / "recorder"
    tool(["gcc", "-static", "-O1", "-Wall", "-o", str(recorder), str(_RECORDER)])
    archive = Archive()
    for path in ("proc", "sys", "dev", "run", "tmp", "var", "etc"):
        archive.directory(path)
    archive.character_device("dev/console", 5, 1)
    archive.file("init", _init())
    guest.add_busybox(archive, without=("ip",))
    archive.file("bin/recorder", recorder.read_bytes())
    for name in ("ip", "bridge"):
        _with_libraries(archive, name)
    archive.file(guest.LOADER.lstrip("/"), Path(guest.LOADER).read_bytes())
    order = kernel.order_in(modules, _MODULES)
    for name in order:
        archive.file(f"lib/modules/{name}.ko", (modules / f"{name}.ko").read_bytes(), mode=0o644)
    archive.file("lib/modules/order", "".join(f"{name}\n" for name in order).encode(), mode=0o644)
    initrd = folder / "initrd"
    initrd.write_bytes(archive.content())
    return initrd


def _boot(image: Path, initrd: Path) -> str:
    """What the guest wrote on its console."""
    argv = [
        "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "384", "-display", "none", "-no-reboot", "-nic", "none",
        "-serial", "stdio", "-monitor", "none", "-kernel", str(image), "-initrd", str(initrd),
        "-append", guest.COMMAND_LINE,
    ]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=True)
    return done.stdout.decode(errors="replace").replace("\r", "")


def _parsed(console: str, package: str) -> dict[str, object]:
    if "\nRECORDED" not in console:
        raise RuntimeError(f"the guest did not come to its end:\n{console[-3000:]}")
    messages: dict[str, list[str]] = {name: [] for name in requests()}
    for name, body in re.findall(r"^MESSAGE (\S+) ([0-9a-f]+)$", console, re.MULTILINE):
        messages[name].append(body)
    told = {words: json.loads(text) for words, text in re.findall(r"^TOLD (.+)\n(.*)$", console, re.MULTILINE)}
    release, iproute = (re.search(rf"^{word} (.+)$", console, re.MULTILINE) for word in ("RELEASE", "IPROUTE"))
    origin = {
        "package": package,
        "kernel": release[1] if release else "",
        "iproute2": iproute[1] if iproute else "",
        "recorded with": "python -m tests.tools.record_netlink",
        "commands": COMMANDS.strip().split("\n"),
        "refused": re.findall(r"^(?:RTNETLINK answers|Error|Cannot|ovs_\w+): .*$", console, re.MULTILINE),
    }
    return {"origin": origin, "messages": messages, "told": told}


def main() -> int:
    """Record and write the fixture; return 0."""
    with tempfile.TemporaryDirectory(prefix="virtdeck-record-", dir="/tmp") as name:
        folder = Path(name)
        package = kernel.build_kernel(folder / "kernel", _MODULES)
        initrd = _initramfs(folder, folder / "kernel" / "modules")
        found = _parsed(_boot(folder / "kernel" / "image", initrd), package)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(_lines(found))
    print(json.dumps(found["origin"], indent=1))
    return 0


def _lines(found: dict[str, object]) -> str:
    """JSON with one message or thing a line, for diffs that can be read."""

    def text(value: object, indent: int) -> str:
        pad = "\n" + " " * indent
        if isinstance(value, dict) and indent < 3:
            items = [f"{json.dumps(name)}: {text(item, indent + 1)}" for name, item in value.items()]
            return "{" + ",".join(pad + item for item in items) + pad[:-1] + "}"
        if isinstance(value, list) and value:
            return "[" + ",".join(pad + json.dumps(item, separators=(",", ":")) for item in value) + pad[:-1] + "]"
        return json.dumps(value, separators=(",", ":"))

    return text(found, 1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
