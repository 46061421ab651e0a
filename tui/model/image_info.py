"""What qemu-img tells of an image (`qemu-img info` and `check`, docs/tools/qemu-img.rst; qapi/block-core.json)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui.model import units
from tui.model.text import clean

FORMATS = frozenset({"raw", "qcow2", "qed", "vmdk", "vdi", "vpc", "vhdx"})
# libvirt's word for volumes whose bytes are the disk's, whatever is in them.
_ISO = "iso"


def form_of(libvirt_format: str) -> str:
    """Return QEMU's word for a format that libvirt tells of; "" for what is not worked on by qemu-img here."""
    form = "raw" if libvirt_format == _ISO else libvirt_format
    return form if form in FORMATS else ""


@dataclass(frozen=True, slots=True)
class InternalSnapshot:
    """A snapshot inside an image."""

    name: str
    taken_s: int | None
    """Seconds since 1970."""
    state_bytes: int | None
    """What the guest's memory takes of it; 0 for a snapshot of the disk alone."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One image of a chain; sizes in bytes, None: its format has no such thing, or qemu-img does not tell."""

    path: str
    raw_path: str
    form: str
    virtual_bytes: int | None
    actual_bytes: int | None
    cluster_bytes: int | None = None
    compat: str = ""
    compression: str = ""
    refcount_bits: int | None = None
    lazy_refcounts: bool | None = None
    extended_l2: bool | None = None
    corrupt: bool | None = None
    dirty: bool | None = None
    """Whether it was not closed in good order; its reference counts are then made anew when it is next written to."""
    encryption: str = ""
    """luks, aes ...; "" for none."""
    data_file: str = ""
    raw_backing: str = ""
    """The image below as QEMU opens it, "" for none."""
    backing_form: str = ""
    """As what the header says that the image below is read; "" when it does not say."""
    snapshots: tuple[InternalSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class VolumeImage:
    """What was read of the image of the volume that is looked at."""

    key: str
    """The volume's key."""
    read_ns: int
    chain: tuple[ImageInfo, ...] = ()
    """It and those below it."""
    problem: str = ""
    """Why it cannot be read; "" when it was."""


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What a check of an image found, as counts of clusters; `errors` could not be looked at."""

    corruptions: int = 0
    leaks: int = 0
    errors: int = 0
    corruptions_fixed: int = 0
    leaks_fixed: int = 0
    total: int | None = None
    allocated: int | None = None
    fragmented: int = 0
    compressed: int = 0

    def found(self) -> str:
        """Return what is wrong with it; "" when nothing is."""
        parts = [_count(self.corruptions, "corruption")] if self.corruptions else []
        parts += [_count(self.leaks, "leaked cluster")] if self.leaks else []
        parts += [f"{_count(self.errors, 'error')} of the check itself"] if self.errors else []
        return " and ".join(parts)

    def fixed(self) -> str:
        """Return what was repaired; "" when nothing was."""
        parts = [_count(self.corruptions_fixed, "corruption")] if self.corruptions_fixed else []
        parts += [_count(self.leaks_fixed, "leaked cluster")] if self.leaks_fixed else []
        return " and ".join(parts)

    def layout(self) -> str:
        """Return how much of it is allocated, and how."""
        if self.allocated is None or not self.total:
            return ""
        percent = 100 / max(1, self.allocated)
        return (
            f"{self.allocated:,} of {self.total:,} clusters allocated ({100 * self.allocated / self.total:.0f} %), "
            f"{percent * self.fragmented:.0f} % of them fragmented, {percent * self.compressed:.0f} % compressed"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def parse_chain(text: str | bytes) -> tuple[ImageInfo, ...]:
    """Return the images that `qemu-img info --output=json` tells of, the top one first; raises ValueError."""
    told = json.loads(text)
    images = tuple(_image(item) for item in (told if isinstance(told, list) else [told]) if isinstance(item, dict))
    if not images:
        raise ValueError("qemu-img tells of no image")
    return images


def _image(told: dict[str, Any]) -> ImageInfo:
    specific = told.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    data = data if isinstance(data, dict) else {}
    path, snapshots = _text(told, "filename"), told.get("snapshots")
    return ImageInfo(
        path=clean(path),
        raw_path=path,
        form=clean(_text(told, "format")),
        virtual_bytes=_number(told, "virtual-size"),
        actual_bytes=_number(told, "actual-size"),
        cluster_bytes=_number(told, "cluster-size"),
        compat=clean(_text(data, "compat")),
        compression=clean(_text(data, "compression-type")),
        refcount_bits=_number(data, "refcount-bits"),
        lazy_refcounts=_flag(data, "lazy-refcounts"),
        extended_l2=_flag(data, "extended-l2"),
        corrupt=_flag(data, "corrupt"),
        dirty=_flag(told, "dirty-flag"),
        encryption=_encryption(told, data),
        data_file=clean(_text(data, "data-file")),
        raw_backing=_text(told, "full-backing-filename") or _text(told, "backing-filename"),
        backing_form=clean(_text(told, "backing-filename-format")),
        snapshots=tuple(_snapshot(item) for item in snapshots or () if isinstance(item, dict)),
    )


def _encryption(told: dict[str, Any], data: dict[str, Any]) -> str:
    kind = data.get("encrypt")
    named = clean(_text(kind, "format")) if isinstance(kind, dict) else ""
    return named or ("yes" if told.get("encrypted") is True else "")


def _snapshot(told: dict[str, Any]) -> InternalSnapshot:
    name = _text(told, "name") or _text(told, "id")
    return InternalSnapshot(clean(name), _number(told, "date-sec"), _number(told, "vm-state-size"))


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) else ""


def _number(told: dict[str, Any], key: str) -> int | None:
    value = told.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _flag(told: dict[str, Any], key: str) -> bool | None:
    value = told.get(key)
    return value if isinstance(value, bool) else None


def parse_check(text: str | bytes) -> ImageCheck:
    """Return what `qemu-img check --output=json` found; raises ValueError."""
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("qemu-img tells of no check")

    def count(key: str) -> int:
        return _number(told, key) or 0

    return ImageCheck(
        corruptions=count("corruptions"),
        leaks=count("leaks"),
        errors=count("check-errors"),
        corruptions_fixed=count("corruptions-fixed"),
        leaks_fixed=count("leaks-fixed"),
        total=_number(told, "total-clusters"),
        allocated=_number(told, "allocated-clusters"),
        fragmented=count("fragmented-clusters"),
        compressed=count("compressed-clusters"),
    )


Fact = tuple[str, str, str]
"""A label, its value, and how grave it is: "", "warn" or "bad"."""


def facts(image: ImageInfo) -> list[Fact]:
    """Return what is worth knowing of one image, line by line."""
    found: list[Fact] = [
        ("Format", image.form + (f" {image.compat}" if image.compat else ""), ""),
        ("Virtual size", units.byte_size(image.virtual_bytes), ""),
        ("On disk", units.byte_size(image.actual_bytes), ""),
    ]
    if image.corrupt:
        found.append(("Corrupt", "yes: QEMU marked it so, and writes to it no more", "bad"))
    if image.dirty:
        found.append(("Dirty", "yes: in use, or not closed in good order", "warn"))
    found += [("Encrypted", image.encryption, "")] if image.encryption else []
    found += [("Data file", image.data_file, "")] if image.data_file else []
    if image.form == "qcow2":
        found += _qcow2_facts(image)
    if image.raw_backing:
        found.append(("Read as", image.backing_form or "not said: QEMU guesses", "" if image.backing_form else "warn"))
    return found


def _qcow2_facts(image: ImageInfo) -> list[Fact]:
    refcounts = f"{image.refcount_bits} bits" if image.refcount_bits is not None else "?"
    found: list[Fact] = [
        ("Cluster", units.byte_size(image.cluster_bytes), ""),
        ("Refcounts", refcounts + (", lazy" if image.lazy_refcounts else ""), ""),
    ]
    # Images of compat 0.10 cannot have it.
    found += [("Extended L2", "yes" if image.extended_l2 else "no", "")] if image.extended_l2 is not None else []
    return [*found, ("Compression", image.compression or "zlib", "")]


def snapshot_words(snapshot: InternalSnapshot) -> str:
    """Return an internal snapshot in one line: name, local time, the guest's memory where it has that."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(snapshot.taken_s)) if snapshot.taken_s else ""
    memory = f"with {units.byte_size(snapshot.state_bytes)} of memory" if snapshot.state_bytes else ""
    return "  ".join(filter(None, (snapshot.name, when, memory)))


def described(chain: Sequence[ImageInfo]) -> str:
    """Return all of a chain as text, an image after the other."""
    lines: list[str] = []
    for number, image in enumerate(chain):
        lines += ["", f"on {image.path}"] if number else [image.path]
        lines += [f"  {label:<13}{value}" for label, value, _style in facts(image)]
        lines += [f"  {'Snapshot':<13}{snapshot_words(snapshot)}" for snapshot in image.snapshots]
    return "\n".join(lines) + "\n"
