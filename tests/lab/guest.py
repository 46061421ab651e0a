"""The lab's guest: a distribution kernel and an initramfs of busybox, built once and kept in a cache folder.

The cache is $VIRTDECK_LAB_CACHE, else virtdeck-lab in $XDG_CACHE_HOME (~/.cache). What is in it is named by a hash of
what it was built from, so a changed recipe builds anew and an unchanged one costs a few milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import kernel
from tests.lab.cpio import Archive
from tests.lab.kernel import BuildError, tool

COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=3 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on "
    "cryptomgr.notests rcupdate.rcu_expedited=1 noreplace-smp audit=0 nowatchdog "
    "memhp_default_state=online_movable panic=0"
)
"""What makes a boot under emulation short, and hot-plugged memory usable at once."""

NO_ACPI = "virtdeck.noacpi"
"""On the command line: the guest starts no acpid, so it ignores its power button."""

READY = "GUEST-READY"
"""What init prints on the console once everything runs."""

_ROOTFS = Path(__file__).parent / "rootfs"
_SCRIPTS = {
    "init": "init",
    "hotplug": "sbin/hotplug",
    "address": "sbin/address",
    "lease": "sbin/lease",
    "modload": "sbin/modload",
    "shutdown": "sbin/shutdown",
    "power": "etc/acpi/PWRF/00000080",
}
LOADER = "/lib64/ld-linux-x86-64.so.2"
"""What loads programs that are not static."""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What QEMU boots directly: the uncompressed kernel and the initramfs."""

    kernel: Path
    initrd: Path


def cache_folder() -> Path:
    """Where built guests and QEMU's probed capabilities are kept between runs; made when missing."""
    own = os.environ.get("VIRTDECK_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(own) if own else Path(base) / "virtdeck-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def guest_image(*, agent: bool = False) -> GuestImage:
    """The guest from the cache, built first when it is not there (5 s); BuildError says what is missing."""
    cache = cache_folder()
    with _locked(cache):
        kernel_dir = cache / f"kernel-{_kernel_key()}"
        _once(kernel_dir, kernel.build_kernel)
        initrd = cache / f"initrd-{_initramfs_key(kernel_dir)}{'-agent' if agent else ''}"
        _once(initrd, lambda folder: _write_initramfs(folder, kernel_dir / "modules", agent=agent))
    return GuestImage(kernel_dir / "image", initrd / "initrd")


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Hold the cache's lock, so that two test runs build one guest."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _once(folder: Path, build: Callable[[Path], object]) -> None:
    """Have a folder built beside its place and renamed into it, so that it is there whole or not at all."""
    if folder.exists():
        return
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    scratch.chmod(0o755)
    try:
        build(scratch)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _digest(*parts: bytes) -> str:
    """A short hash of the parts."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _kernel_key() -> str:
    """What the kernel folder is built from: the distribution's release and the recipe."""
    release = Path("/etc/os-release")
    return _digest(release.read_bytes() if release.exists() else b"", Path(kernel.__file__).read_bytes())


def _initramfs_key(kernel_dir: Path) -> str:
    """What the initramfs is built from: the kernel, busybox, the scripts and this recipe."""
    scripts = [(_ROOTFS / name).read_bytes() for name in sorted(_SCRIPTS)]
    return _digest(kernel_dir.name.encode(), _busybox().read_bytes(), Path(__file__).read_bytes(), *scripts)


def _busybox() -> Path:
    """The static busybox; BuildError when there is none or it is linked dynamically."""
    found = shutil.which("busybox")
    if found is None:
        raise BuildError("busybox-static is not installed")
    path = Path(found).resolve()
    if b"/lib64/ld-linux" in path.read_bytes()[:65536]:
        raise BuildError(f"{path} is not static: install busybox-static")
    return path


def _write_initramfs(folder: Path, modules: Path, *, agent: bool) -> None:
    """Leave the uncompressed archive as `initrd` in the folder."""
    archive = Archive()
    for path in ("proc", "sys", "dev", "run", "tmp", "root", "mnt", "var"):
        archive.directory(path)
    archive.character_device("dev/console", 5, 1)
    archive.link("var/run", "/run")
    add_busybox(archive)
    _add_modules(archive, modules)
    for source, target in _SCRIPTS.items():
        archive.file(target, (_ROOTFS / source).read_bytes())
    if agent:
        _add_agent(archive, folder / "agent")
    (folder / "initrd").write_bytes(archive.content())


def add_busybox(archive: Archive, *, without: Container[str] = ()) -> None:
    """Add busybox and a link for each of its applets but some; BuildError when there is no static one."""
    busybox = _busybox()
    archive.file("bin/busybox", busybox.read_bytes())
    for applet in tool([str(busybox), "--list"]).decode().split():
        if applet != "busybox" and applet not in without:
            archive.link(f"bin/{applet}", "busybox")


def _add_modules(archive: Archive, modules: Path) -> None:
    """The modules, `boot` with what init loads in order, and `needs` with what each one needs, for modload."""
    names = sorted(path.stem for path in modules.glob("*.ko"))
    for name in names:
        archive.file(f"lib/modules/{name}.ko", (modules / f"{name}.ko").read_bytes(), mode=0o644)
    boot = kernel.order_in(modules, kernel.BOOT_MODULES)
    needs = [" ".join([name, *kernel.order_in(modules, [name])[:-1]]) for name in names]
    archive.file("lib/modules/boot", "".join(f"{name}\n" for name in boot).encode(), mode=0o644)
    archive.file("lib/modules/needs", "".join(f"{line}\n" for line in needs).encode(), mode=0o644)


def _add_agent(archive: Archive, folder: Path) -> None:
    """The distribution's qemu-ga, unpacked and not installed, with this machine's shared libraries that it needs."""
    folder.mkdir()
    kernel.unpack(kernel.download(["qemu-guest-agent"], folder), folder)
    binary = next(path for path in folder.glob("usr/*bin/qemu-ga"))
    archive.file("usr/bin/qemu-ga", binary.read_bytes())
    archive.link("bin/qemu-ga", "/usr/bin/qemu-ga")
    text = tool([LOADER, "--list", str(binary)]).decode()
    if missing := re.findall(r"(\S+) => not found", text):
        raise BuildError(f"qemu-ga needs {', '.join(missing)}")
    for name, path in re.findall(r"(\S+) => (/\S+)", text):
        archive.file(f"lib/x86_64-linux-gnu/{name}", Path(path).read_bytes())
    archive.file(LOADER.lstrip("/"), Path(LOADER).read_bytes())
    shutil.rmtree(folder)
