"""The configuration of a domain: what its XML says, and what differs for the next boot."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui.model.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Disk:
    """A `<disk>` of a domain; `source` is a path, volume (`pool/volume`) or network URL, cleaned."""

    target: str
    bus: str
    device: str
    source_kind: str
    source: str
    raw_source: str
    format: str
    read_only: bool
    shareable: bool
    cache: str
    serial: str
    raw_backing: tuple[str, ...] = ()
    """The images below, nearest first, as libvirt tells of a running domain (`<backingStore>`)."""
    discard: str = ""
    io: str = ""
    iothread: int | None = None
    iotune: tuple[tuple[str, int], ...] = ()
    """Its limits by libvirt's names, as ("total_bytes_sec", 1048576); bytes and requests a second; no zeros."""
    iotune_group: str = ""
    """The group of disks that share these limits; "" for its own."""
    raw_mirror: str = ""
    """Where a copy or a commit of its own image is being written to (`<mirror>`); "" while there is none."""
    xml: str = ""
    """The `<disk>` as it was read, for putting it back."""


@dataclass(frozen=True, slots=True)
class Nic:
    """An `<interface>` of a domain; `target` is the host-side device (tap), "" while it has none."""

    mac: str
    kind: str
    source: str
    model: str
    target: str
    link_up: bool
    virtualport: str
    vlan: str
    raw_source: str = ""
    raw_target: str = ""
    portgroup: str = ""
    mode: str = ""
    """Of a macvtap: bridge, vepa, private or passthrough."""
    bandwidth: tuple[tuple[str, int], ...] = ()
    """Its limits by libvirt's names, as ("inbound.average", 1000): KiB/s, of bursts KiB; no zeros."""
    mtu: int | None = None
    xml: str = ""
    """The `<interface>` as it was read, for putting it back."""


@dataclass(frozen=True, slots=True)
class AgentChannel:
    """The guest agent's channel: configured, and whether the agent in the guest has it open (None: not said)."""

    connected: bool | None


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """What virtdeck uses of one domain XML, live or persistent; sizes in KiB."""

    title: str
    raw_title: str
    description: str
    raw_description: str
    vcpus: int
    vcpus_max: int
    vcpu_pins: tuple[tuple[str, str], ...]
    """(thread, CPU set) pairs of `<cputune>`: `vcpu 0`, `emulator`, `iothread 1`."""
    memory_kib: int
    memory_max_kib: int
    virt_type: str
    architecture: str
    machine: str
    emulator: str
    firmware: str
    nvram: str
    raw_nvram: str
    cpu_mode: str
    iothreads: int
    balloon: str
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    graphics: tuple[str, ...]
    agent: AgentChannel | None
    tpm: bool
    tuning: Tuning = field(default_factory=Tuning)
    free_slots: int | None = None
    """How many virtio disks and NICs can yet be plugged in while it runs (model.pcie.free_ports): PCIe root ports of
    q35, PCI slots of i440fx; None: they are not counted on this machine."""
    controllers: frozenset[str] = frozenset()
    """The types of its controllers, as scsi, sata, usb."""
    pcie_buses: frozenset[int] | None = None
    """The numbers of its PCI buses, where its machine takes PCIe root ports; None: it takes none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the running domain has otherwise than its persistent configuration."""

    what: str
    live: str
    persistent: str
    raw_persistent: str | None = None
    """What `persistent` is when not made safe to show; only of title and description."""
