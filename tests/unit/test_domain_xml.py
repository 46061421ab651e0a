"""What is read out of domain XML, and what two of them differ in."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import ParseError

import pytest

from tui.model.domain_config import AgentChannel, Difference
from tui.model.domain_xml import differences, parse_domain_xml

XML = """
<domain type='kvm' id='7'>
  <name>web1</name>
  <title>front  end</title>
  <description>line one
line two</description>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu placement='static' current='2'>4</vcpu>
  <iothreads>1</iothreads>
  <cputune><vcpupin vcpu='0' cpuset='0-1'/><emulatorpin cpuset='3'/><iothreadpin iothread='1' cpuset='2'/></cputune>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><nvram>/var/lib/web1_VARS.fd</nvram></os>
  <cpu mode='host-passthrough'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/img/web1.qcow2'/>
      <target dev='vda' bus='virtio'/><serial>S1</serial></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='volume' device='disk'><source pool='fast' volume='data'/><target dev='vdb' bus='virtio'/><shareable/>
    </disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/img'><host name='ceph1'/></source>
      <target dev='vdc' bus='virtio'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><target dev='vnet3'/>
      <model type='virtio'/></interface>
    <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><link state='down'/>
      <virtualport type='openvswitch'/><vlan><tag id='10'/><tag id='20'/></vlan></interface>
    <graphics type='vnc' port='5901' listen='127.0.0.1'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
    <tpm model='tpm-crb'/>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""


def test_everything_that_is_used_is_found() -> None:
    config = parse_domain_xml(XML)
    assert (config.vcpus, config.vcpus_max, config.iothreads) == (2, 4, 1)
    assert (config.memory_kib, config.memory_max_kib) == (1048576, 2097152)
    assert config.vcpu_pins == (("vcpu 0", "0-1"), ("emulator", "3"), ("iothread 1", "2"))
    assert (config.firmware, config.nvram, config.tpm) == ("uefi", "/var/lib/web1_VARS.fd", True)
    assert (config.virt_type, config.architecture, config.machine) == ("kvm", "x86_64", "pc-q35-7.2")
    assert config.agent == AgentChannel(connected=True)
    assert config.graphics == ("vnc 127.0.0.1:5901",)
    assert config.description == "line one␊line two"


def test_disks_of_every_kind() -> None:
    disks = {disk.target: disk for disk in parse_domain_xml(XML).disks}
    assert (disks["vda"].source, disks["vda"].format, disks["vda"].cache) == ("/img/web1.qcow2", "qcow2", "none")
    assert (disks["sda"].device, disks["sda"].source, disks["sda"].read_only) == ("cdrom", "", True)
    assert (disks["vdb"].source, disks["vdb"].shareable) == ("fast/data", True)
    assert disks["vdc"].source == "rbd://ceph1/pool/img"


def test_nics_of_every_kind() -> None:
    first, second = parse_domain_xml(XML).nics
    assert (first.kind, first.source, first.model, first.target) == ("network", "default", "virtio", "vnet3")
    assert (second.source, second.link_up, second.virtualport, second.vlan) == ("br0", False, "openvswitch", "10,20")


def test_a_domain_with_almost_nothing_has_defaults() -> None:
    config = parse_domain_xml("<domain><memory>1024</memory></domain>")
    assert (config.vcpus, config.vcpus_max, config.memory_kib, config.disks, config.agent) == (1, 1, 1024, (), None)


@pytest.mark.parametrize(("unit", "kib"), [("b", 1), ("KB", 1000), ("MiB", 1048576), ("GB", 976562500), ("T", 2**40)])
def test_memory_units(unit: str, kib: int) -> None:
    amount = 1024 if unit in ("b", "KB", "MiB", "T") else 1000
    expected = {"b": 1, "KB": 1000, "MiB": 1048576, "GB": 976562500, "T": 1024 * 2**30}[unit]
    config = parse_domain_xml(f"<domain><memory unit='{unit}'>{amount}</memory></domain>")
    assert config.memory_max_kib == expected


def test_hostile_text_is_cleaned_and_kept_raw_where_calls_need_it() -> None:
    config = parse_domain_xml(
        "<domain><title>a\u202eb</title><devices><disk><source file='/x\u009b'/></disk></devices></domain>"
    )
    assert config.title == "a�b"
    assert (config.disks[0].source, config.disks[0].raw_source) == ("/x�", "/x\u009b")


def test_what_is_not_xml_says_so() -> None:
    with pytest.raises(ParseError):
        parse_domain_xml("<domain")


def test_the_same_configuration_has_no_differences() -> None:
    config = parse_domain_xml(XML)
    # libvirt adds tap names and connection states to the live XML alone.
    assert differences(config, parse_domain_xml(re.sub(r" state='connected'|<target dev='vnet3'/>", "", XML))) == ()


def test_differences_name_what_the_next_boot_changes() -> None:
    live = parse_domain_xml(XML)
    later = replace(live, vcpus=4, memory_max_kib=4194304, disks=live.disks[1:], nics=live.nics[:1])
    found = {difference.what: difference for difference in differences(live, later)}
    assert found["vCPUs"] == Difference("vCPUs", "2", "4")
    assert found["maximum memory"] == Difference("maximum memory", "2.0G", "4.0G")
    assert found["disk vda"].persistent == "none"
    assert found["NIC 52:54:00:00:00:02"].persistent == "none"
    assert len(found) == 4
