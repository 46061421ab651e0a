"""Disks and their images: missing, shared without a word, written below others, unsafe, in chains too long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tui.checks.base import (
    CRITICAL,
    ERROR,
    INFO,
    WARNING,
    AnyCheck,
    Check,
    DomainCheck,
    Rule,
    Scene,
    domain_subject,
    run,
)
from tui.model.domain import DomainState
from tui.model.text import clean
from tui.model.used_by import chain

if TYPE_CHECKING:
    from tui.model.domain import Domain
    from tui.model.finding import Finding
    from tui.model.process import QemuProcess
    from tui.model.used_by import Use

LONG_CHAIN = 10
"""Layers from which on each read may go through many files, and each backup through all."""

_SHARED = Rule("image.shared", CRITICAL, "Two guests that do not know of each other destroy the filesystem on it.")
_BELOW = Rule(
    "image.written-below",
    CRITICAL,
    "What lies above it holds only the differences: each write below makes rubbish of them.",
)
_MISSING = Rule("image.missing", WARNING, "It cannot be started.")
_DELETED = Rule("image.deleted", ERROR, "It goes on while it runs; when it stops, the disk and all on it are gone.")
_READ_ONLY = Rule("image.read-only", WARNING, "It cannot be started while the image cannot be written.")
_BROKEN = Rule("image.chain-broken", WARNING, "The images above hold only the differences: it cannot be started.")
_LONG = Rule("image.chain-long", INFO, "Each read may go through all of them, and losing one of them loses the disk.")
_UNSAFE = Rule(
    "disk.cache-unsafe", WARNING, "What the guest believes to be on disk is lost when this host loses power or crashes."
)


def _shared(scene: Scene) -> Iterable[Finding]:
    for path, uses in scene.uses.items():
        if not path:
            continue
        running = [use for use in uses if use.running and use.live]
        writers = [use for use in running if not use.read_only and not use.shareable]
        if len({use.domain for use in writers}) > 1:
            yield from (_of_writer(scene, path, use, writers) for use in writers)
        elif writers and (above := [use for use in running if use.layer > 0 and use.domain != writers[0].domain]):
            words = f"{writers[0].target} writes to {clean(path)}, which lies below {_named(above[0])}"
            domain = scene.snapshot.domains[writers[0].domain]
            yield _BELOW.of(domain_subject(domain), words, run("shut one of them down now"), part=writers[0].target)


def _of_writer(scene: Scene, path: str, use: Use, writers: list[Use]) -> Finding:
    other = next(one for one in writers if one.domain != use.domain)
    words = f"{use.target} is {clean(path)}, which {_named(other)} writes to as well"
    remedy = run("shut one of the two down now, and check the filesystem")
    return _SHARED.of(domain_subject(scene.snapshot.domains[use.domain]), words, remedy, part=use.target)


def _named(use: Use) -> str:
    return f"{use.name} ({use.target})"


def _files(scene: Scene) -> Iterable[Finding]:
    """Of domains that are off: libvirt's word on those that run is their QEMU's own."""
    images = scene.snapshot.images
    for domain in scene.snapshot.domains.values() if images else ():
        if domain.state is not DomainState.SHUTOFF or domain.config is None:
            continue
        for disk in domain.config.disks:
            # An empty or missing medium does not keep it from starting where its policy says so.
            if disk.device != "disk" or disk.source_kind not in ("file", "block"):
                continue
            state = images.get(disk.raw_source)
            if state is None:
                continue
            subject, severity = domain_subject(domain), ERROR if domain.autostart else WARNING
            if state.missing and state.layer:
                words = f"an image {state.layer} below {disk.target} ({disk.source}) is missing"
                yield _BROKEN.of(subject, words, run("put it back"), severity=severity, part=disk.target)
            elif state.missing:
                remedy = run("put it back, start its pool, or detach the disk")
                yield _MISSING.of(
                    subject, f"{disk.target} ({disk.source}) is not there", remedy, severity=severity, part=disk.target
                )
            elif state.read_only and not disk.read_only:
                yield _READ_ONLY.of(
                    subject,
                    f"{disk.target} ({disk.source}) is on a filesystem mounted read-only",
                    run("see why, then mount it writable"),
                    severity=severity,
                    part=disk.target,
                )


def _deleted(scene: Scene) -> Iterable[Finding]:
    domains = scene.snapshot.domains
    for process in scene.snapshot.processes.values():
        domain = domains.get(process.uuid or "")
        paths = _image_paths(domain, process)
        for path in process.deleted:
            if path in paths and domain is not None and domain.active:
                copy = run(
                    "copy it while it runs: a block copy to a new file, or a backup",
                    "virsh",
                    "blockcopy",
                    domain.raw_name,
                    paths[path],
                    "--dest",
                    "NEW-FILE",
                    "--pivot",
                    "--transient-job",
                )
                yield _DELETED.of(
                    domain_subject(domain),
                    f"the image of {paths[path]} ({clean(path)}) was deleted",
                    copy,
                    part=paths[path],
                )


def _image_paths(domain: Domain | None, process: QemuProcess) -> Mapping[str, str]:
    """The disk of each image of a running domain, by raw path."""
    if domain is None or domain.config is None or not process.deleted:
        return {}
    return {
        path: disk.target
        for disk in reversed(domain.config.disks)
        if not disk.read_only
        for path in (disk.raw_source, *disk.raw_backing)
    }


def _chains(scene: Scene) -> Iterable[Finding]:
    storage = scene.snapshot.storage
    below = {} if storage is None else {v.raw_path: v.raw_backing_path for v in storage.volumes.values()}
    for domain in scene.snapshot.domains.values():
        for disk in domain.config.disks if domain.config is not None else ():
            layers = len(chain(disk, storage, below))
            if layers >= LONG_CHAIN:
                severity = WARNING if layers >= 3 * LONG_CHAIN else INFO
                yield _LONG.of(
                    domain_subject(domain),
                    f"{disk.target} lies on {layers} images, one above the other",
                    run("commit or pull layers that nobody goes back to"),
                    severity=severity,
                    part=disk.target,
                )


def _unsafe(_scene: Scene, domain: Domain) -> Iterable[Finding]:
    configs = [config for config in (domain.config, domain.persistent_config) if config is not None]
    disks = {disk.target: disk for config in configs for disk in config.disks if disk.cache == "unsafe"}
    for target, disk in disks.items():
        if disk.device == "disk" and not disk.read_only and "<transient" not in disk.xml:
            remedy = run(
                "set its cache to none or writeback for the next boot",
                "virt-xml",
                domain.raw_name,
                "--edit",
                f"target.dev={target}",
                "--disk",
                "driver.cache=none",
            )
            yield _UNSAFE.of(
                domain_subject(domain), f"{target} ignores the guest's flushes (cache=unsafe)", remedy, part=target
            )


CHECKS: tuple[AnyCheck, ...] = (
    Check(_shared, ("domains", "storage")),
    Check(_files, ("domains", "images")),
    Check(_deleted, ("domains", "processes"), calm=("processes",)),
    Check(_chains, ("domains", "storage")),
    DomainCheck(_unsafe),
)
