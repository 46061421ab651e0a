"""Twin pools: virtdeck changes one, the real tools change the other, and libvirt tells the same of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import libvirt

from tests.lab.actions import Deck, run_commands
from tests.lab.host import LabHost
from tests.lab.namespaces import run
from tui.actions import BY_ID
from tui.model.journal import Status
from tui.model.kind import Kind
from tui.model.plan import Plan, Step
from tui.model.snapshot import HostSnapshot
from tui.model.storage import PoolState
from tui.ops.pools import DefinePool, UndefinePool
from tui.runtime.jobs import Job


class StorageDeck(Deck):
    """virtdeck without its screen, which also reads pools and volumes, and plans for them by name (a volume as
    POOL/VOLUME)."""

    def __enter__(self) -> Self:
        return self

    def read(self, *parts: str, processes: bool = False) -> HostSnapshot:
        """The host with its storage as it is now."""
        return super().read("storage", *parts, processes=processes)


@dataclass(frozen=True, slots=True)
class PoolTwin:
    """One of two pools that differ in name, path and UUID alone."""

    lab: LabHost
    name: str
    folder: Path

    @property
    def path(self) -> Path:
        """The directory of the pool."""
        return self.folder / "pool"

    @property
    def device(self) -> Path:
        """A file in the place of its device."""
        return self.folder / "device"

    def virsh(self, verb: str, *words: str) -> None:
        """Have the real virsh do something to it."""
        self.lab.virsh(verb, self.name, *words)

    def seen(self) -> SeenPool:
        """What there is of it now."""
        return look(self)


@dataclass(frozen=True, slots=True)
class SeenPool:
    """All that libvirt and its files tell of one pool, without what two pools can never share."""

    state: PoolState | None = None
    persistent: bool = False
    autostart: bool = False
    live: str = ""
    config: str = ""
    volumes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    device: str = ""
    """The filesystem that its device was formatted with."""


_UNLIKE = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    # What others write to the same filesystem meanwhile.
    (re.compile(r"<(capacity|allocation|available) unit='bytes'>\d+<"), r"<\1 unit='bytes'>N<"),
    (re.compile(r"<(atime|mtime|ctime)>[\d.]+<"), r"<\1>T<"),
)


def look(twin: PoolTwin) -> SeenPool:
    """What there is of a pool now."""

    def alike(text: str) -> str:
        text = text.replace(str(twin.folder), "FOLDER").replace(twin.name, "NAME")
        for pattern, word in _UNLIKE:
            text = pattern.sub(word, text)
        return text

    own = [f"own/{path.relative_to(twin.folder)}" for path in twin.folder.rglob("*") if path.suffix != ".xml"]
    theirs = [str(path.relative_to(twin.lab.root)) for path in (twin.lab.root / "etc").rglob(f"*{twin.name}*")]
    files, device = tuple(sorted(map(alike, own + theirs))), _format(twin.device)
    with twin.lab.connect() as connection:
        try:
            found = connection.storagePoolLookupByName(twin.name)
        except libvirt.libvirtError:
            return SeenPool(files=files, device=device)
        persistent, active = bool(found.isPersistent()), bool(found.isActive())
        xml = partial(found.XMLDesc, libvirt.VIR_STORAGE_XML_INACTIVE)
        return SeenPool(
            state=tuple(PoolState)[found.info()[0]],
            persistent=persistent,
            autostart=bool(found.autostart()),
            live=alike(found.XMLDesc(0)) if active else "",
            config=alike(xml()) if persistent else "",
            volumes=tuple(sorted(found.listVolumes())) if active else (),
            files=files,
            device=device,
        )


def _format(device: Path) -> str:
    """What a file holds by its first bytes, without what is made up at random."""
    return run(["blkid", "-o", "value", "-s", "TYPE", str(device)], check=False).stdout if device.exists() else ""


Make = Callable[[PoolTwin], None]


def as_written(seen: SeenPool) -> SeenPool:
    """All but the permissions, which libvirt adds to the configuration when it first looks at the directory."""
    return replace(seen, config=re.sub(r"\s*<permissions>.*?</permissions>", "", seen.config, flags=re.DOTALL))


@dataclass(frozen=True, slots=True)
class PoolCase:
    """What is there before, what is done, and what both twins must have come to."""

    action: str
    what: str
    make: Make
    reached: Callable[[SeenPool], bool]
    values: Mapping[str, str] = field(default_factory=dict)
    own: Callable[[PoolTwin], Mapping[str, str]] = lambda _twin: {}
    """Field values that differ between the twins."""
    undo: bool = False
    forgiven: Callable[[SeenPool], SeenPool] = as_written
    """What undo need not bring back is made alike."""
    changes: bool = True
    """Whether it shows at all."""

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.action.partition('.')[2]}-{self.what}"


def try_case(lab: LabHost, deck: StorageDeck, folder: Path, case: PoolCase) -> None:
    """Make the twins, change both, compare; take both back, compare."""
    pair = [PoolTwin(lab, f"pooltwin{letter}", folder / letter) for letter in "ab"]
    for twin in pair:
        twin.folder.mkdir()
        case.make(twin)
    ours, theirs = pair
    before = _same(ours, theirs, lambda _seen: True)
    reading = deck.read()
    targets = [[] if BY_ID[case.action].kind is Kind.HOST else [twin.name] for twin in pair]
    plan, by_hand = (
        deck.plan_of(reading, case.action, target, {**case.values, **case.own(twin)})
        for twin, target in zip(pair, targets, strict=True)
    )
    job = _change(deck, theirs, plan, by_hand.steps)
    after = _same(ours, theirs, case.reached)
    assert (after != before) is case.changes
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        entry = deck.entry(job)
        assert entry.undo == plan.undo_steps()
        _change(deck, theirs, Plan("undo", f"Undo: {entry.title}", entry.undo), by_hand.undo_steps(), entry.id)
        back = _same(ours, theirs, lambda seen: case.forgiven(seen) == case.forgiven(before))
        assert back != after


def _same(ours: PoolTwin, theirs: PoolTwin, reached: Callable[[SeenPool], bool]) -> SeenPool:
    one, other = ours.seen(), theirs.seen()
    assert one == other, f"what virtdeck did is not what the command did: {one}\n{other}"
    assert reached(one), f"both came to {one}"
    return one


def _change(deck: StorageDeck, theirs: PoolTwin, plan: Plan, by_hand: Sequence[Step], undoes: str = "") -> Job:
    """Carry out our plan, and the commands for the other twin."""
    for step in by_hand:
        request = step.request
        # As our op does before it changes anything; virsh would write it to standard output.
        if isinstance(request, (DefinePool, UndefinePool)) and request.backup:
            Path(request.backup).parent.mkdir(parents=True, exist_ok=True)
            xml = theirs.lab.virsh("pool-dumpxml", theirs.name, "--inactive", check=False).stdout
            Path(request.backup).write_text(xml)
        run_commands([step])
    job = deck.run(plan, undoes)
    assert job.status is Status.DONE, job.results
    assert [result.step for result in job.results] == list(plan.steps)
    return job
