"""What stands in the way of a memory device, said before anything is tried; and which device a word means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui.actions.base import FieldError, Values, amount_error
from tui.model import units
from tui.model.amount import parse_amount
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.tuning import MemoryDevice

LAST = "last"
"""The word for the device that was plugged last."""

UNREAD = "its configuration is not read yet"
VIRTIO_MEM = "virtio-mem"
UNPLUGGABLE = ("dimm", VIRTIO_MEM)
"""The models that are plugged and unplugged here; nvdimm and the like are storage as much as memory."""

_ARCHITECTURES = ("x86_64", "i686", "aarch64", "ppc64", "ppc64le", "loongarch64")
_MACHINES_WITHOUT = re.compile(r"isapc|microvm|none|xen.*")


def machine_reason(config: DomainConfig) -> str | None:
    """Return why this machine never takes memory devices; None when it may. Of QEMU: pc-dimm is there for these
    architectures, but for boards without ACPI hot-plug (hw/i386/microvm.c)."""
    if config.architecture not in _ARCHITECTURES:
        return f"QEMU plugs no memory on {config.architecture}"
    if _MACHINES_WITHOUT.fullmatch(config.machine):
        return f"its machine type {config.machine} takes no memory devices"
    return None


def slots_reason(config: DomainConfig) -> str | None:
    """Return why nothing can be plugged into one side of a domain; None when something can. libvirt counts devices
    of every model, and what `<memory>` says includes them."""
    tuning = config.tuning
    if tuning.memory_ceiling_kib is None or not tuning.slots:
        return "it has no memory slots"
    if not tuning.cells:
        return "it has no guest NUMA cell, which a memory device belongs to"
    if len(tuning.memory_devices) >= tuning.slots:
        return f"all {tuning.slots} memory slots are taken"
    if room_kib(config) < guest_block_kib(config):
        block, ceiling = units.size(guest_block_kib(config)), units.size(tuning.memory_ceiling_kib)
        return f"it is less than {block} below its maximum of {ceiling}, and guests take no less"
    return None


def room_kib(config: DomainConfig) -> int:
    """Return how much can be plugged yet, in KiB."""
    return (config.tuning.memory_ceiling_kib or 0) - config.memory_max_kib


def guest_block_kib(config: DomainConfig) -> int:
    """Return the unit, in KiB, in which guests bring plugged memory online: what is not a multiple of it QEMU takes
    and the guest leaves alone, and whatever is plugged after it. Linux: SECTION_SIZE_BITS of x86 and arm64, LMBs of
    pseries."""
    return (256 if config.architecture.startswith("ppc64") else 128) * 1024


def known_sides(domain: Domain) -> list[DomainConfig]:
    """Return the live configuration, where it runs, and the persistent one, where it has one, as far as read."""
    live = domain.config if domain.active else None
    persistent = domain.persistent_config if domain.persistent is not False else None
    return [side for side in (live, persistent) if side is not None]


def amount(values: Values, name: str, now_kib: int | None = None, whole_kib: int | None = None) -> int:
    """Return the KiB that a field says; raises FieldError."""
    try:
        return parse_amount(values[name], now_kib, whole_kib)
    except ValueError as error:
        raise amount_error(values[name])(name, str(error)) from error


def number(values: Values, name: str) -> int:
    """Return the whole number that a field says; raises FieldError."""
    text = values[name].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FieldError(name, f"{text!r} is no number")
    return int(text)


@dataclass(frozen=True, slots=True)
class Named:
    """A memory device with what it is called: its alias, or the one that libvirt gives it at the next boot."""

    name: str
    device: MemoryDevice

    @property
    def user_alias(self) -> str:
        """The alias that names it on both sides; "" when libvirt made up what it is called."""
        return self.device.alias if self.device.alias.startswith("ua-") else ""

    @property
    def words(self) -> str:
        """What it is, for the user."""
        return f"{self.name} ({units.size(self.device.size_kib)})"


def named(config: DomainConfig, models: Sequence[str]) -> list[Named]:
    """Return the devices of one side that are of these models."""
    return [found for found in _named(config) if found.device.model in models]


def _named(config: DomainConfig) -> Iterator[Named]:
    virtio = 0
    for device in config.tuning.memory_devices:
        stem = device.model.replace("-", "")
        count = virtio if device.slot is None else device.slot
        virtio += device.slot is None
        yield Named(device.alias or f"{stem}{count}", device)


def find(devices: Sequence[Named], word: str) -> Named | None:
    """Return the device that a word means: what it is called, the number of its slot, or the last one."""
    if word == LAST:
        return devices[-1] if devices else None
    by_name = next((found for found in devices if found.name == word), None)
    return by_name or next((found for found in devices if word == str(found.device.slot)), None)


def counterpart(devices: Sequence[Named], live: Named) -> Named | None:
    """Return the device of the next boot that is the running one: that of the same user alias, else one of the same
    kind, size and node; of several such, which are as good as one another, the one of the same name."""
    if live.user_alias:
        return next((found for found in devices if found.user_alias == live.user_alias), None)
    alike = [found for found in devices if not found.user_alias and _shape(found) == _shape(live)]
    return next((found for found in alike if found.name == live.name), alike[-1] if alike else None)


def _shape(found: Named) -> tuple[str, int, int | None, int | None]:
    device = found.device
    return device.model, device.size_kib, device.node, device.block_kib
