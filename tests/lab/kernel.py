"""The guest's kernel: a distribution's package, unpacked and not installed, and the modules that the guest needs."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-kvm")
"""Small kernels for virtual machines: Debian's, then Ubuntu's two names for theirs."""

BOOT_MODULES = (
    "virtio_pci", "button", "evdev", "virtio_balloon", "virtio_console", "virtio_blk", "virtio_net",
    "virtio_scsi", "sd_mod", "sr_mod", "pvpanic_mmio",
)  # fmt: skip
"""Modules that init loads in this order, each after what it needs; one that is built in has no file and is left out."""

LATER_MODULES = ("ext4", "isofs", "vfat", "nls_ascii", "nls_utf8", "8021q", "virtio_mem", "virtio_rng")
"""Modules that are in the guest's file system for `modload NAME`."""

_APT_TIMEOUT_S = 600


class BuildError(RuntimeError):
    """The guest cannot be built here; the text says what is missing."""


def tool(argv: Sequence[str], *, cwd: Path | None = None, stdin: bytes | None = None) -> bytes:
    """The standard output of a program; BuildError with its standard error when it is missing or fails."""
    try:
        done = subprocess.run(argv, cwd=cwd, input=stdin, capture_output=True, timeout=_APT_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise BuildError(f"{argv[0]} is not installed") from error
    if done.returncode:
        raise BuildError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _versioned_kernel() -> str | None:
    """The versioned package that the first known kernel metapackage depends on, None when apt's lists know none."""
    for meta in META_PACKAGES:
        try:
            text = tool(["apt-cache", "depends", meta]).decode()
        except BuildError:
            continue
        if found := re.search(r"Depends: (linux-image-(?:unsigned-)?\d\S*)", text):
            return found[1]
    return None


def _is_known(package: str) -> bool:
    """Whether apt's lists have the package."""
    done = subprocess.run(["apt-cache", "show", package], capture_output=True, timeout=_APT_TIMEOUT_S, check=False)
    return done.returncode == 0


def download(packages: Iterable[str], into: Path) -> list[Path]:
    """The .deb files of the packages, fetched with apt-get; apt's lists are refreshed once when the download fails."""
    argv = ["apt-get", "download", "-q", *packages]
    try:
        tool(argv, cwd=into)
    except BuildError:
        tool(["apt-get", "update", "-q"])
        tool(argv, cwd=into)
    return sorted(into.glob("*.deb"))


def unpack(debs: Iterable[Path], into: Path) -> None:
    """Unpack the packages' files below a folder; nothing is installed and no maintainer script runs."""
    for deb in debs:
        tool(["dpkg-deb", "-x", str(deb), str(into)])


def _kernel_packages() -> list[str]:
    """The package with the kernel image, and the one with its modules where that is another (Ubuntu)."""
    image = _versioned_kernel()
    if image is None:
        tool(["apt-get", "update", "-q"])
        image = _versioned_kernel()
    if image is None:
        raise BuildError(f"apt knows none of {', '.join(META_PACKAGES)}")
    modules = re.sub(r"^linux-image-(unsigned-)?", "linux-modules-", image)
    return [image, modules] if _is_known(modules) else [image]


def build_kernel(into: Path, wanted: Iterable[str] = (*BOOT_MODULES, *LATER_MODULES)) -> str:
    """Fetch the kernel (30-80 MB) and leave it as `image`, and the wanted modules with all that they need as
    `modules/*.ko`, uncompressed in a folder; return the file name of its package."""
    packed = into / "packages"
    packed.mkdir(parents=True)
    debs = download(_kernel_packages(), packed)
    unpack(debs, packed)
    _write_image(packed, into / "image")
    modules = into / "modules"
    modules.mkdir()
    for source in [*packed.glob("lib/modules/*/kernel"), *packed.glob("usr/lib/modules/*/kernel")]:
        _copy_modules(source, modules, wanted)
    shutil.rmtree(packed)
    return debs[0].name


def _write_image(packed: Path, target: Path) -> None:
    """The uncompressed kernel where it can boot directly (PVH, half a second faster), else the kernel as packed."""
    vmlinuz = next(packed.glob("boot/vmlinuz-*"), None)
    if vmlinuz is None:
        raise BuildError("the kernel package holds no boot/vmlinuz")
    config = "".join(path.read_text() for path in packed.glob("boot/config-*"))
    data = vmlinuz.read_bytes()
    target.write_bytes(extract_vmlinux(data) if "CONFIG_PVH=y" in config else data)


def extract_vmlinux(vmlinuz: bytes) -> bytes:
    """The ELF kernel inside a bzImage; the x86 boot protocol's setup header says where it is and how long."""
    if vmlinuz[0x202:0x206] != b"HdrS":
        raise BuildError("not a bzImage")
    protected_mode = (vmlinuz[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", vmlinuz, 0x248)
    payload = vmlinuz[protected_mode + offset : protected_mode + offset + length]
    (size,) = struct.unpack("<I", payload[-4:])
    elf = decompress(payload if payload.startswith(_GZIP) else payload[:-4])
    if len(elf) != size or not elf.startswith(b"\x7fELF"):
        raise BuildError(f"the kernel unpacked to {len(elf)} bytes, its header says {size}")
    return elf


_GZIP, _XZ, _LZ4, _ZSTD = b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd"


def decompress(data: bytes) -> bytes:
    """The content of a gzip, xz, legacy lz4 or zstd stream by its magic; the last two take the command of that name."""
    if data.startswith(_GZIP):
        return gzip.decompress(data)
    if data.startswith(_XZ):
        return lzma.decompress(data)
    if data.startswith(_LZ4):
        return tool(["lz4", "-d", "-c", "-q"], stdin=data)
    if data.startswith(_ZSTD):
        return tool(["zstd", "-d", "-c", "-q"], stdin=data)
    raise BuildError(f"unknown compression, first bytes {data[:8].hex()}")


def _copy_modules(kernel: Path, into: Path, wanted: Iterable[str]) -> None:
    """Copy the wanted modules and all that they need; a name without a file is built in or not offered."""
    files = {_module_name(path): path for path in kernel.rglob("*.ko*")}
    for name in load_order(wanted, lambda name: _dependencies(files.get(name))):
        if name in files:
            (into / f"{name}.ko").write_bytes(without_signature(_read_module(files[name])))


def _read_module(path: Path) -> bytes:
    """A module's content, decompressed."""
    return path.read_bytes() if path.suffix == ".ko" else decompress(path.read_bytes())


def without_signature(module: bytes) -> bytes:
    """The module without its appended signature (struct module_signature): checking it takes the guest milliseconds."""
    trailer = b"~Module signature appended~\n"
    if not module.endswith(trailer):
        return module
    end = len(module) - len(trailer)
    (signature,) = struct.unpack(">I", module[end - 4 : end])
    return module[: end - 12 - signature]


def _module_name(path: Path) -> str:
    """The name as lsmod shows it."""
    return path.name.split(".ko")[0].replace("-", "_")


def _dependencies(path: Path | None) -> list[str]:
    """The modules that a module's own `depends=` record names."""
    found = re.search(rb"\0depends=([^\0]*)\0", _read_module(path)) if path else None
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def load_order(names: Iterable[str], dependencies: Callable[[str], Iterable[str]]) -> list[str]:
    """The names with all that they need, each after its needs."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for needed in dependencies(name):
                visit(needed)
            order[name] = None

    for name in names:
        visit(name)
    return list(order)


def order_in(modules: Path, names: Iterable[str]) -> list[str]:
    """The load order of modules in a folder that build_kernel filled."""
    files = {path.stem: path for path in modules.glob("*.ko")}
    order = load_order(names, lambda name: _dependencies(files.get(name)))
    return [name for name in order if name in files]
