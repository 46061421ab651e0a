"""QEMU argument lists as people and libvirt write them, and as nobody should."""

from __future__ import annotations

import random
import string

import pytest

from tui.model.process import QemuDrive, QemuNic
from tui.model.qemu_args import DEFAULT_MEMORY_KIB, QemuArgs, QmpSocket, parse_qemu_args, show_args
from tui.model.qemu_nics import join_taps

QEMU = "/usr/bin/qemu-system-x86_64"


def parse(*args: str) -> QemuArgs:
    return parse_qemu_args((QEMU, *args))


def drive(*args: str) -> QemuDrive:
    (only,) = parse(*args).drives
    return only


def nic(*args: str) -> QemuNic:
    (only,) = parse(*args).nics
    return only.nic


def test_an_empty_command_line_has_qemus_defaults() -> None:
    facts = parse()
    assert (facts.vcpus, facts.vcpus_max, facts.memory_kib) == (1, 1, DEFAULT_MEMORY_KIB)
    assert (facts.name, facts.uuid, facts.machine, facts.drives, facts.nics) == (None, None, None, (), ())
    assert facts.accelerators == ("tcg",)
    assert parse_qemu_args(()).accelerators == ("tcg",)


def test_the_name_has_parts() -> None:
    assert parse("-name", "web").name == "web"
    assert parse("-name", "web").libvirt_name is None
    libvirt = parse("-name", "guest=db,,1,debug-threads=on")
    assert (libvirt.name, libvirt.libvirt_name) == ("db,1", "db,1")
    assert parse("-name", "process=vm7").name == "vm7"
    assert parse("--name", "long", "-uuid", "u-1").uuid == "u-1"


def test_names_are_cleaned() -> None:
    assert parse("-name", "a\x1b[31mb").name == "a␛[31mb"


@pytest.mark.parametrize(
    ("args", "machine", "accelerators"),
    [
        (("-machine", "q35,accel=kvm:tcg"), "q35", ("kvm", "tcg")),
        (("-M", "type=pc,accel=xen"), "pc", ("xen",)),
        (("-M", "virt", "-accel", "tcg,thread=multi"), "virt", ("tcg",)),
        (("-machine", "accel=kvm"), None, ("kvm",)),
        (("-enable-kvm",), None, ("kvm",)),
        (("-accel", "kvm", "-accel", "tcg"), None, ("kvm", "tcg")),
        (("-machine", "q35", "-machine", "usb=off"), "q35", ("tcg",)),
    ],
)
def test_machine_and_accelerators(args: tuple[str, ...], machine: str | None, accelerators: tuple[str, ...]) -> None:
    facts = parse(*args)
    assert (facts.machine, facts.accelerators) == (machine, accelerators)


def test_a_program_called_kvm_tries_kvm_first() -> None:
    assert parse_qemu_args(("/usr/bin/kvm",)).accelerators == ("kvm", "tcg")


@pytest.mark.parametrize(
    ("smp", "vcpus"),
    [
        ("4", (4, 4)),
        ("2,maxcpus=8", (2, 8)),
        ("cpus=2,maxcpus=8,sockets=2,cores=2,threads=2", (2, 8)),
        ("sockets=2,cores=3,threads=2", (12, 12)),
        ("maxcpus=6", (6, 6)),
        ("sockets=2,dies=2,clusters=2,cores=2", (16, 16)),
        ("8,sockets=1,cores=4,threads=2", (8, 8)),
        ("0x10", (16, 16)),
        ("cores=4,maxcpus=8", (8, 8)),
        ("", (1, 1)),
        ("many", (1, 1)),
        ("99999999999", (65536, 65536)),
    ],
)
def test_vcpus_follow_the_product_rules(smp: str, vcpus: tuple[int, int]) -> None:
    facts = parse("-smp", smp)
    assert (facts.vcpus, facts.vcpus_max) == vcpus


def test_smp_may_stand_in_machine_or_come_in_pieces() -> None:
    assert parse("-machine", "q35,smp.cpus=3").vcpus == 3
    assert parse("-smp", "cores=2", "-smp", "sockets=2").vcpus == 4


@pytest.mark.parametrize(
    ("args", "mib"),
    [
        (("-m", "64"), 64),
        (("-m", "1G"), 1024),
        (("-m", "1.5g"), 1536),
        (("-m", "size=2048,slots=2,maxmem=8G"), 2048),
        (("-m", "524288k"), 512),
        (("-m", "slots=2,maxmem=8G"), 128),
        (("-m", "lots"), 128),
        (("-m", "0"), 128),
        (("-object", "memory-backend-ram,id=ram,size=3G", "-machine", "q35,memory-backend=ram"), 3072),
        (("-m", "1G", "-object", "memory-backend-ram,id=d,size=1G", "-device", "pc-dimm,memdev=d"), 2048),
        (("-object", '{"qom-type":"memory-backend-ram","id":"r","size":268435456}', "-M", "memory-backend=r"), 256),
    ],
)
def test_memory(args: tuple[str, ...], mib: int) -> None:
    assert parse(*args).memory_kib == mib << 10


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("disk.img",), ("disk.img", None, None, "disk", False)),
        (("-hda", "/a.qcow2"), ("/a.qcow2", None, None, "disk", False)),
        (("-cdrom", "/a.iso"), ("/a.iso", None, None, "cdrom", True)),
        (("-fda", "/f.img"), ("/f.img", None, "floppy", "floppy", False)),
        (("-drive", "file=/a,,b,if=virtio,format=qcow2"), ("/a,b", "qcow2", "virtio", "disk", False)),
        (("-drive", "file=/cd.iso,media=cdrom"), ("/cd.iso", None, None, "cdrom", True)),
        (("-drive", "file=/r,readonly=on,format=raw"), ("/r", "raw", None, "disk", True)),
        (("-drive", "file=/r,readonly"), ("/r", None, None, "disk", True)),
        (("-drive", "driver=qcow2,file.filename=/q"), ("/q", "qcow2", None, "disk", False)),
        (("-drive", "file=/x,if=none,id=d", "-device", "virtio-blk,drive=d"), ("/x", None, "virtio", "disk", False)),
        (("-drive", "file=/x,if=none,id=c", "-device", "scsi-cd,drive=c"), ("/x", None, "scsi", "cdrom", True)),
        (("-pflash", "/OVMF.fd"), ("/OVMF.fd", None, "pflash", "disk", False)),
        (
            ("-drive", "if=none,file.driver=nbd,file.host=nas,file.export=vol"),
            ("nbd:nas/vol", None, None, "disk", False),
        ),
        (("-drive", "file=rbd:pool/img"), ("rbd:pool/img", None, None, "disk", False)),
    ],
)
def test_drives(args: tuple[str, ...], expected: tuple[str, str | None, str | None, str, bool]) -> None:
    found = drive(*args)
    assert (found.raw_path, found.format, found.interface, found.media, found.read_only) == expected


def test_a_drive_without_an_image_is_none() -> None:
    assert parse("-drive", "if=ide,media=cdrom,index=2").drives == ()


def test_a_block_graph_is_one_drive_each() -> None:
    facts = parse(
        "-blockdev",
        '{"driver":"file","filename":"/base.raw","node-name":"b-storage","read-only":true}',
        "-blockdev",
        '{"driver":"raw","file":"b-storage","node-name":"b-format","read-only":true}',
        "-blockdev",
        '{"driver":"file","filename":"/over.qcow2","node-name":"o-storage"}',
        "-blockdev",
        '{"node-name":"o-format","read-only":false,"driver":"qcow2","file":"o-storage","backing":"b-format"}',
        "-device",
        '{"driver":"virtio-blk-pci","drive":"o-format","id":"virtio-disk0"}',
        "-blockdev",
        "driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename=/my,,cd.iso",
        "-device",
        "ide-cd,drive=cd",
    )
    assert facts.drives == (
        QemuDrive("/over.qcow2", "/over.qcow2", "qcow2", "virtio", "disk", False),
        QemuDrive("/my,cd.iso", "/my,cd.iso", "raw", "ide", "cdrom", True),
    )


def test_filters_and_firmware_in_a_block_graph() -> None:
    throttled = drive(
        "-blockdev",
        "throttle,node-name=x",  # no implied key here: QEMU refuses it, and so the node is none
        "-blockdev",
        "driver=throttle,throttle-group=g,node-name=t,file.driver=qcow2,file.file.driver=file,file.file.filename=/t",
    )
    assert (throttled.raw_path, throttled.format) == ("/t", "qcow2")
    firmware = drive("-machine", "q35,pflash0=fw", "-blockdev", "driver=file,node-name=fw,filename=/f.fd,read-only=on")
    assert (firmware.interface, firmware.format, firmware.read_only) == ("pflash", "raw", True)


def test_a_block_graph_that_bites_its_tail_ends() -> None:
    loop = ("-blockdev", "driver=raw,node-name=a,file=b", "-blockdev", "driver=raw,node-name=b,file=a")
    assert parse(*loop).drives == ()
    assert parse("-blockdev", "driver=raw,node-name=a,file=a").drives == ()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            ("-netdev", "tap,id=n0,ifname=tap0,script=no", "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:AB:00:01"),
            QemuNic("n0", "tap", "tap0", None, "52:54:00:ab:00:01", "virtio-net-pci"),
        ),
        (("-netdev", "bridge,id=b,br=br-lan"), QemuNic("b", "bridge", None, "br-lan", None, None)),
        (("-netdev", "bridge,id=b"), QemuNic("b", "bridge", None, "br0", None, None)),
        (("-netdev", "user,id=u,hostfwd=tcp::2222-:22"), QemuNic("u", "user", None, None, None, None)),
        (("-netdev", '{"type":"tap","id":"j","ifname":"t9"}'), QemuNic("j", "tap", "t9", None, None, None)),
        (
            ("-nic", "tap,ifname=tap3,model=e1000,mac=52:54:00:00:00:03"),
            QemuNic(None, "tap", "tap3", None, "52:54:00:00:00:03", "e1000"),
        ),
        (
            ("-net", "nic,model=rtl8139,macaddr=52:54:00:00:00:09", "-net", "tap,ifname=tap9"),
            QemuNic(None, "tap", "tap9", None, "52:54:00:00:00:09", "rtl8139"),
        ),
        (
            ("-netdev", "socket,id=s,connect=:1234", "-net", "nic,netdev=s,model=virtio"),
            QemuNic("s", "socket", None, None, None, "virtio"),
        ),
        (("-netdev", "vhost-user,id=v,chardev=c"), QemuNic("v", "vhost-user", None, None, None, None)),
    ],
)
def test_nics(args: tuple[str, ...], expected: QemuNic) -> None:
    assert nic(*args) == expected


def test_no_nic_is_no_nic() -> None:
    assert parse("-nic", "none").nics == ()
    assert parse("-net", "none").nics == ()


def joined(taps: dict[int, str], *args: str) -> list[str | None]:
    return [item.ifname for item in join_taps(parse(*args).nics, taps)]


def test_taps_go_to_the_nics_that_hold_them() -> None:
    by_fd = ("-netdev", "tap,id=a,fds=12:13,vhost=on", "-netdev", "tap,id=b,fd=9")
    assert joined({9: "vnet4", 12: "vnet3", 13: "vnet3"}, *by_fd) == ["vnet3", "vnet4"]
    by_pattern = ("-netdev", "tap,id=a,ifname=vm%d", "-netdev", "tap,id=b,ifname=ext")
    assert joined({5: "ext", 6: "vm17"}, *by_pattern) == ["vm17", "ext"]
    by_order = ("-netdev", "tap,id=a", "-netdev", "user,id=u", "-netdev", "tap,id=b")
    assert joined({5: "tap0", 6: "tap1"}, *by_order) == ["tap0", None, "tap1"]


def test_a_tap_is_not_guessed() -> None:
    assert joined({}, "-netdev", "tap,id=a") == [None]
    assert joined({4: "tap8"}, "-netdev", "tap,id=a", "-netdev", "tap,id=b") == [None, None, "tap8"]
    assert joined({4: "hot"}, "-netdev", "user,id=u") == [None, "hot"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("-qmp", "unix:/q,server,nowait"), (QmpSocket("/q", False),)),
        (("-qmp", "unix:/q,server=on,wait=off"), (QmpSocket("/q", False),)),
        (("-qmp", "unix:/q,server=on"), (QmpSocket("/q", True),)),
        (("-qmp", "unix:/q"), ()),
        (("-qmp", "tcp:localhost:4444,server=on"), ()),
        (("-qmp", "stdio"), ()),
        (
            ("-chardev", "socket,id=m,path=/a,,b,server=on,wait=off", "-mon", "chardev=m,mode=control"),
            (QmpSocket("/a,b", False),),
        ),
        (("-mon", "m,mode=control", "-chardev", "socket,id=m,path=/a,server,nowait"), (QmpSocket("/a", False),)),
        (("-chardev", "socket,id=m,path=/hmp,server=on,wait=off", "-mon", "chardev=m,mode=readline"), ()),
        (("-monitor", "unix:/hmp,server,nowait"), ()),
        (("-chardev", "socket,id=m,path=/a,server=on,wait=off", "-qmp", "chardev:m"), (QmpSocket("/a", False),)),
    ],
)
def test_qmp_sockets(args: tuple[str, ...], expected: tuple[QmpSocket, ...]) -> None:
    assert parse(*args).qmp_sockets == expected


def test_displays_and_the_rest() -> None:
    facts = parse("-vnc", ":1", "-display", "none", "-spice", "port=5900,password=secret", "-nographic", "-S")
    assert facts.displays == ("vnc :1", "none", "spice port=5900,password=…", "nographic")
    rest = parse("-daemonize", "-pidfile", "/run/q.pid", "-cpu", "host,+vmx", "-readconfig", "/etc/vm.cfg")
    assert (rest.daemonized, rest.pidfile, rest.cpu_model, rest.drives) == (True, "/run/q.pid", "host,+vmx", ())


def test_flags_do_not_swallow_the_image_behind_them() -> None:
    assert [item.raw_path for item in parse("-snapshot", "a.img", "-no-reboot", "-enable-kvm", "b.img").drives] == [
        "a.img",
        "b.img",
    ]


def test_secrets_are_not_shown() -> None:
    shown = show_args(["-object", "secret,id=s,data=hunter2", "-spice", "password=a,,b,port=1", "-append", "data=1"])
    assert shown == ("-object", "secret,id=s,data=…", "-spice", "password=…,port=1", "-append", "data=1")


OPTIONS = (
    "name",
    "uuid",
    "machine",
    "accel",
    "smp",
    "m",
    "hda",
    "drive",
    "blockdev",
    "netdev",
    "nic",
    "net",
    "device",
    "qmp",
    "mon",
    "chardev",
    "object",
    "spice",
)
DEEP = "[" * 5000 + "]" * 5000
GARBAGE = (
    "",
    ",",
    ",,,",
    "=",
    "=,=",
    "{",
    "{}",
    "[1]",
    "\ud800\x1b",
    "id=",
    "no",
    "9" * 5000,
    '{"driver":' + DEEP + "}",
    '{"node-name":{"a":1}}',
    '{"file":"x","node-name":"x"}',
    "type=,netdev=",
    "socket,path",
    "unix:",
    "unix:,",
)


@pytest.mark.parametrize("option", OPTIONS)
def test_garbage_is_survived(option: str) -> None:
    parse("-" + option)
    for value in GARBAGE:
        parse("-" + option, value)
    noise = random.Random(option)
    for _ in range(150):
        text = "".join(noise.choices(string.printable + ",,,===::%d", k=noise.randint(0, 30)))
        parse("-" + option, text, "-" + noise.choice(OPTIONS), text[::-1])
