"""Domain XML as libvirt writes it, to what virtdeck uses of it, and the differences of two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tui.model.domain_config import AgentChannel, Difference, DomainConfig
from tui.model.domain_xml import differences, parse_domain_xml

FULL = """
<domain type='kvm' id='7'>
  <name>db</name>
  <title>Data\u009bbase</title>
  <description>
    two
    lines</description>
  <memory unit='GiB'>4</memory>
  <currentMemory unit='MiB'>2048</currentMemory>
  <vcpu placement='static' current='2'>8</vcpu>
  <iothreads>2</iothreads>
  <cputune>
    <vcpupin vcpu='0' cpuset='4-5'/>
    <emulatorpin cpuset='0'/>
    <iothreadpin iothread='1' cpuset='1'/>
    <shares>1024</shares>
  </cputune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram>/var/lib/nvram/db\u202e.fd</nvram>
  </os>
  <cpu mode='host-passthrough'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/images/db.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <serial>abc</serial>
      <shareable/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='volume' device='disk'><source pool='nvme' volume='data'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='block' device='disk'><source dev='/dev/sdz'/><target dev='vdc' bus='virtio'/></disk>
    <disk type='network' device='disk'>
      <source protocol='rbd' name='pool/image'><host name='mon1'/></source><target dev='vdd' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default' portid='x' bridge='virbr0'/>
      <target dev='vnet7'/><model type='virtio'/><link state='down'/>
      <vlan><tag id='10'/><tag id='20'/></vlan><virtualport type='openvswitch'/>
    </interface>
    <interface type='direct'><mac address='52:54:00:00:00:02'/><source dev='eno1' mode='bridge'/></interface>
    <interface type='user'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
    <graphics type='vnc' port='5907' listen='127.0.0.1'/>
    <graphics type='spice' port='-1'><listen type='address' address='::1'/></graphics>
    <memballoon model='virtio'/>
    <tpm model='tpm-crb'/>
  </devices>
</domain>
"""


@pytest.fixture
def config() -> DomainConfig:
    return parse_domain_xml(FULL)


def test_sizes_are_kib_whatever_their_unit(config: DomainConfig) -> None:
    assert (config.memory_max_kib, config.memory_kib) == (4 * 1024**2, 2 * 1024**2)
    for text, kib in (
        ("<memory>2048</memory>", 2048),
        ("<memory unit='b'>2048</memory>", 2),
        ("<memory unit='KB'>1024</memory>", 1000),
        ("<memory unit='M'>1</memory>", 1024),
        ("<memory unit='TiB'>1</memory>", 1024**3),
        ("<memory unit='GB'>1</memory>", 976562),
        ("<memory unit='nonsense'>5</memory>", 5),
        ("<memory>many</memory>", 0),
        ("", 0),
    ):
        assert parse_domain_xml(f"<domain>{text}</domain>").memory_max_kib == kib, text


def test_current_memory_of_nothing_means_all_of_it() -> None:
    for current in ("", "<currentMemory>0</currentMemory>"):
        assert parse_domain_xml(f"<domain><memory>8</memory>{current}</domain>").memory_kib == 8


def test_vcpus_and_pins(config: DomainConfig) -> None:
    assert (config.vcpus, config.vcpus_max, config.iothreads) == (2, 8, 2)
    assert config.vcpu_pins == (("vcpu 0", "4-5"), ("emulator", "0"), ("iothread 1", "1"))
    assert parse_domain_xml("<domain><vcpu>3</vcpu></domain>").vcpus == 3
    assert parse_domain_xml("<domain/>").vcpus == 1


def test_texts_are_clean_and_the_raw_ones_are_beside_them(config: DomainConfig) -> None:
    assert config.title == "Data�base"
    assert config.raw_title == "Data\u009bbase"
    assert config.description == "two␊    lines"
    assert config.raw_description == "\n    two\n    lines"
    assert (config.nvram, config.raw_nvram) == ("/var/lib/nvram/db�.fd", "/var/lib/nvram/db\u202e.fd")


def test_disks(config: DomainConfig) -> None:
    assert [(d.target, d.bus, d.device, d.source_kind, d.source) for d in config.disks] == [
        ("vda", "virtio", "disk", "file", "/images/db.qcow2"),
        ("sda", "sata", "cdrom", "file", ""),
        ("vdb", "virtio", "disk", "volume", "nvme/data"),
        ("vdc", "virtio", "disk", "block", "/dev/sdz"),
        ("vdd", "virtio", "disk", "network", "rbd://mon1/pool/image"),
    ]
    first = config.disks[0]
    assert (first.format, first.cache, first.serial) == ("qcow2", "none", "abc")
    assert (first.shareable, first.read_only) == (True, False)
    assert config.disks[1].read_only


def test_nics(config: DomainConfig) -> None:
    assert [(n.mac, n.kind, n.source, n.target, n.link_up) for n in config.nics] == [
        ("52:54:00:00:00:01", "network", "default", "vnet7", False),
        ("52:54:00:00:00:02", "direct", "eno1", "", True),
        ("?", "user", "", "", True),
    ]
    assert (config.nics[0].vlan, config.nics[0].virtualport, config.nics[0].model) == ("10,20", "openvswitch", "virtio")


def test_the_rest(config: DomainConfig) -> None:
    assert (config.virt_type, config.architecture, config.machine) == ("kvm", "x86_64", "pc-q35-7.2")
    assert (config.firmware, config.cpu_mode) == ("uefi", "host-passthrough")
    assert (config.balloon, config.tpm) == ("virtio", True)
    assert config.graphics == ("vnc 127.0.0.1:5907", "spice ::1")
    assert config.agent == AgentChannel(connected=True)
    bare = parse_domain_xml("<domain/>")
    assert (bare.firmware, bare.agent, bare.tpm, bare.graphics, bare.disks) == ("bios", None, False, (), ())


@pytest.mark.parametrize(("state", "connected"), [("", None), (" state='disconnected'", False)])
def test_an_agent_that_is_not_heard_of(state: str, connected: bool | None) -> None:
    target = f"<target type='virtio' name='org.qemu.guest_agent.0'{state}/>"
    config = parse_domain_xml(f"<domain><devices><channel>{target}</channel></devices></domain>")
    assert config.agent == AgentChannel(connected)


def test_what_is_no_xml_raises() -> None:
    with pytest.raises(ET.ParseError):
        parse_domain_xml("<domain>")


def test_no_difference_is_none(config: DomainConfig) -> None:
    assert differences(config, config) == ()


def test_differences_name_what_the_next_boot_changes(config: DomainConfig) -> None:
    other_disk = replace(config.disks[0], source="/images/new.qcow2")
    more, port = "cache none shareable serial abc", "vlan 10,20 openvswitch"
    later = replace(
        config,
        vcpus=4,
        memory_kib=4 * 1024**2,
        vcpu_pins=(*config.vcpu_pins[1:], ("vcpu 1", "6")),
        disks=(other_disk, *config.disks[1:4]),
        nics=(replace(config.nics[0], link_up=True), *config.nics[1:]),
    )
    assert differences(config, later) == (
        Difference("vCPUs", "2", "4"),
        Difference("memory", "2.0G", "4.0G"),
        Difference("pin vcpu 0", "4-5", "none"),
        Difference("pin vcpu 1", "none", "6"),
        Difference("disk vda", f"virtio qcow2 /images/db.qcow2 {more}", f"virtio qcow2 /images/new.qcow2 {more}"),
        Difference("disk vdd", "virtio rbd://mon1/pool/image", "none"),
        Difference(
            f"NIC {config.nics[0].mac}", f"network default virtio link down {port}", f"network default virtio {port}"
        ),
    )


def test_a_tap_that_only_the_running_domain_has_is_no_difference(config: DomainConfig) -> None:
    later = replace(config, nics=(replace(config.nics[0], target=""), *config.nics[1:]))
    assert differences(config, later) == ()


@pytest.mark.parametrize(
    ("changed", "what", "now", "then"),
    [
        ({"firmware": "bios"}, "firmware", "uefi", "bios"),
        ({"tpm": False}, "TPM", "present", "none"),
        ({"agent": None}, "agent channel", "present", "none"),
        ({"graphics": ("vnc 127.0.0.1",)}, "graphics", "spice ::1", "none"),
        ({"graphics": ("vnc 0.0.0.0", "spice ::1")}, "graphics", "vnc 127.0.0.1:5907", "vnc 0.0.0.0"),
        ({"title": "new", "raw_title": "new"}, "title", "Data\ufffdbase", "new"),
        ({"nvram": "/other.fd"}, "nvram", "/var/lib/nvram/db\ufffd.fd", "/other.fd"),
    ],
)
def test_one_difference(config: DomainConfig, changed: dict[str, Any], what: str, now: str, then: str) -> None:
    (found,) = differences(config, replace(config, **changed))
    assert (found.what, found.live, found.persistent) == (what, now, then)


@pytest.mark.parametrize("changed", [{"cache": ""}, {"read_only": True}, {"shareable": False}, {"serial": "other"}])
def test_how_a_disk_is_used_is_a_difference(config: DomainConfig, changed: dict[str, Any]) -> None:
    later = replace(config, disks=(replace(config.disks[0], **changed), *config.disks[1:]))
    assert [found.what for found in differences(config, later)] == ["disk vda"]


def test_undo_gets_the_text_as_it_was() -> None:
    live, later = (parse_domain_xml(f"<domain><description>{text}</description></domain>") for text in ("a\nb", "c\nd"))
    (found,) = differences(live, later)
    assert (found.persistent, found.raw_persistent) == ("c\u240ad", "c\nd")


# What libvirt 9.0 says of one domain: running, and when it is started again.
RUNNING = """<domain id='1'><os><type>hvm</type><loader type='pflash'>/c</loader><nvram>/v</nvram></os><devices>
  <disk type='file' device='cdrom'><driver name='qemu'/><target dev='sda' bus='sata'/></disk>
  <interface type='bridge'><mac address='52:54:00:00:00:01'/><vlan><tag id='7'/></vlan>
    <source network='lan' portgroup='seven' portid='x' bridge='br0'/><virtualport type='openvswitch'/>
    <target dev='vnet1'/><alias name='net1'/></interface>
  <channel type='unix'><source mode='bind' path='/x'/><target name='org.qemu.guest_agent.0' state='disconnected'/>
    </channel>
  <graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/>
    </graphics></devices></domain>"""
AGAIN = """<domain><os firmware='efi'><type>hvm</type></os><devices>
  <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/></disk>
  <interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan' portgroup='seven'/></interface>
  <channel type='unix'><target name='org.qemu.guest_agent.0'/></channel>
  <graphics type='vnc' port='-1' autoport='yes'><listen type='address'/></graphics></devices></domain>"""


def test_what_the_start_fills_in_is_no_difference() -> None:
    live, later = parse_domain_xml(RUNNING), parse_domain_xml(AGAIN)
    assert differences(live, later) == ()
    tagged = parse_domain_xml(AGAIN.replace("<source network", "<vlan><tag id='8'/></vlan><source network"))
    assert [found.persistent for found in differences(live, tagged)] == ["network lan vlan 8"]
