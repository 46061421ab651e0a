"""A domain with all that is tuned, as libvirt 9.0 wrote it, and what actions look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tui.actions.base import Context
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_detail import DomainDetail, Enforced
from tui.model.domain_xml import parse_domain_xml
from tui.model.host import Connection, ConnectionState, Host
from tui.model.snapshot import HostSnapshot

TUNED = """<domain type='qemu'>
  <name>tuned</name>
  <uuid>5e1c1f0a-2d1c-4a59-9f6e-6a3b0c1d2e3f</uuid>
  <maxMemory slots='4' unit='KiB'>4194304</maxMemory>
  <memory unit='KiB'>655360</memory>
  <currentMemory unit='KiB'>458752</currentMemory>
  <memtune>
    <hard_limit unit='KiB'>1048576</hard_limit>
    <soft_limit unit='KiB'>614400</soft_limit>
    <swap_hard_limit unit='KiB'>2097152</swap_hard_limit>
  </memtune>
  <memoryBacking>
    <hugepages>
      <page size='2048' unit='KiB' nodeset='0'/>
      <page size='1048576' unit='KiB' nodeset='1'/>
    </hugepages>
    <locked/>
  </memoryBacking>
  <vcpu placement='static' cpuset='0-1' current='2'>4</vcpu>
  <vcpus>
    <vcpu id='0' enabled='yes' hotpluggable='no'/>
    <vcpu id='1' enabled='yes' hotpluggable='yes'/>
    <vcpu id='2' enabled='no' hotpluggable='yes'/>
    <vcpu id='3' enabled='no' hotpluggable='yes'/>
  </vcpus>
  <iothreads>4</iothreads>
  <iothreadids>
    <iothread id='2' thread_pool_min='1' thread_pool_max='8'/>
    <iothread id='7'/>
    <iothread id='1'/>
    <iothread id='3'/>
  </iothreadids>
  <cputune>
    <shares>2048</shares>
    <period>50000</period>
    <quota>75000</quota>
    <global_period>100000</global_period>
    <global_quota>-1</global_quota>
    <emulator_period>20000</emulator_period>
    <emulator_quota>10000</emulator_quota>
    <iothread_period>10000</iothread_period>
    <iothread_quota>2500</iothread_quota>
    <vcpupin vcpu='0' cpuset='0'/>
    <emulatorpin cpuset='1'/>
    <iothreadpin iothread='7' cpuset='0-1'/>
    <iothreadsched iothreads='1' scheduler='batch'/>
  </cputune>
  <numatune>
    <memory mode='strict' nodeset='0'/>
    <memnode cellid='0' mode='preferred' nodeset='0'/>
  </numatune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
    <topology sockets='2' dies='1' cores='2' threads='1'/>
    <numa>
      <cell id='0' cpus='0-1' memory='262144' unit='KiB'/>
      <cell id='1' cpus='2-3' memory='262144' unit='KiB'/>
    </numa>
  </cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' iothread='7'/>
      <source file='/images/a.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='scsi' index='0' model='virtio-scsi'>
      <driver iothread='2'/>
    </controller>
    <memballoon model='virtio'>
      <stats period='5'/>
    </memballoon>
    <memory model='dimm'>
      <target>
        <size unit='KiB'>131072</size>
        <node>0</node>
      </target>
      <address type='dimm' slot='0'/>
    </memory>
  </devices>
</domain>
"""

UUID = "5e1c1f0a-2d1c-4a59-9f6e-6a3b0c1d2e3f"
HOST = Host("here", "QEMU", "9", "7", "x86_64", 1, 1, 1, local=True)
CONFIG = parse_domain_xml(TUNED)
PLAIN = parse_domain_xml("<domain type='qemu'><name>a</name><memory>1048576</memory><vcpu>2</vcpu></domain>")


def context_at(path: Path) -> Context:
    """A live connection to a host without domains."""
    connection = Connection("qemu:///system", ConnectionState.LIVE, 0, read_only=False)
    return Context(HostSnapshot(0, 0, connection, HOST), path)


def domain(live: DomainConfig | None, persistent: DomainConfig | None) -> Domain:
    """A domain with these sides: off without the first, transient without the second."""
    state = DomainState.SHUTOFF if live is None else DomainState.RUNNING
    ident = None if live is None else 7
    return Domain(
        UUID,
        "a",
        "a",
        ident,
        state,
        "",
        persistent is not None,
        config=live or persistent,
        persistent_config=persistent,
    )


def enforced(context: Context, found: Enforced) -> Context:
    """The context with the detail of the domain read."""
    detail = DomainDetail(UUID, None, None, (), (), "", 0, found)
    return replace(context, snapshot=replace(context.snapshot, detail=detail))
