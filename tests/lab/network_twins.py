"""Twin networks: virtdeck changes one, the real tools change the other, and libvirt tells the same of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from tests.lab.actions import run_commands
from tests.lab.domain import element, text
from tests.lab.host import LabHost
from tests.lab.network_words import NetworkDeck, master, tap_of
from tui.actions import BY_ID
from tui.model.journal import Status
from tui.model.kind import Kind
from tui.model.plan import Plan, Step
from tui.ops.networks import CreateNetwork, DefineNetwork, EditNetwork, UndefineNetwork
from tui.ops.nics import ReplugNic
from tui.runtime.jobs import Job


@dataclass(frozen=True, slots=True)
class NetworkTwin:
    """One of two networks that differ in name, UUID, bridge and subnet alone."""

    lab: LabHost
    letter: str
    folder: Path

    @property
    def name(self) -> str:
        """The network's name."""
        return f"nettwin{self.letter}"

    @property
    def bridge(self) -> str:
        """The name of its bridge."""
        return f"brtwin{self.letter}"

    @property
    def subnet(self) -> str:
        """What its IPv4 addresses begin with, a /24."""
        return f"10.66.{ord(self.letter)}"

    @property
    def subnet6(self) -> str:
        """What its IPv6 addresses begin with, a /64."""
        return f"fd66:{ord(self.letter)}:"

    @property
    def guest(self) -> str:
        """The name of a domain in it."""
        return f"gueststwin{self.letter}"

    @property
    def mac(self) -> str:
        """The MAC of the domain's NIC."""
        return f"52:54:00:66:00:{ord(self.letter):02x}"

    def xml(self, *more: ET.Element, dhcp: Sequence[ET.Element] = (), uuid: str = "") -> ET.Element:
        """An isolated network with a range of DHCP; more goes in at its end."""
        range_ = element("range", start=f"{self.subnet}.10", end=f"{self.subnet}.200")
        ip = element("ip", element("dhcp", range_, *dhcp), address=f"{self.subnet}.1", prefix="24")
        parts = [element("uuid", text=uuid)] if uuid else []
        bridge = element("bridge", name=self.bridge, stp="off", delay="0")
        return element("network", element("name", text=self.name), *parts, bridge, *more, ip)

    def virsh(self, verb: str, *words: str) -> None:
        """Have the real virsh do something to it."""
        self.lab.virsh(verb, self.name, *words)

    def define(self, root: ET.Element, *, start: bool = True) -> None:
        """Define a network, and start it if asked to."""
        with self.lab.connect() as connection:
            made = connection.networkDefineXML(text(root))
            if start:
                made.create()

    def seen(self) -> SeenNetwork:
        """What there is of it now."""
        return look(self)


@dataclass(frozen=True, slots=True)
class SeenNetwork:
    """All that libvirt and the kernel tell of one network, without what two networks can never share."""

    there: bool = False
    active: bool = False
    persistent: bool = False
    autostart: bool = False
    live: str = ""
    config: str = ""
    plugged: str = ""
    """The bridge of the guest's tap, where there is one."""
    others: tuple[str, ...] = ()
    """Networks besides the twins."""


_UNLIKE = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b52:54:00(:[0-9a-f]{2}){3}\b"), "MAC"),
    (re.compile(r"virbr\d+"), "virbrN"),
    (re.compile(r" connections='\d+'"), ""),
)


def look(twin: NetworkTwin) -> SeenNetwork:
    """What there is of a network now."""

    def alike(words: str) -> str:
        for own, word in ((twin.name, "NAME"), (twin.bridge, "BRIDGE"), (twin.subnet, "NET"), (twin.subnet6, "NET6"),
                          (twin.guest, "GUEST")):  # fmt: skip
            words = words.replace(own, word)
        for pattern, word in _UNLIKE:
            words = pattern.sub(word, words)
        return words

    with twin.lab.connect() as connection:
        running = twin.guest in [found.name() for found in connection.listAllDomains(0) if found.isActive()]
        plugged = alike(master(twin.lab, tap_of(twin.lab, twin.guest, twin.mac))) if running else ""
        names = [found.name() for found in connection.listAllNetworks(0)]
        others = tuple(sorted(name for name in names if not name.startswith("nettwin")))
        if twin.name not in names:
            return SeenNetwork(plugged=plugged, others=others)
        found = connection.networkLookupByName(twin.name)
        persistent, active = bool(found.isPersistent()), bool(found.isActive())
        return SeenNetwork(
            there=True,
            active=active,
            persistent=persistent,
            autostart=persistent and bool(found.autostart()),
            live=alike(found.XMLDesc(0)) if active else "",
            config=alike(found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)) if persistent else "",
            plugged=plugged,
            others=others,
        )


Make = Callable[[NetworkTwin], None]
Own = Callable[[NetworkTwin], Mapping[str, str]]


def in_order(seen: SeenNetwork) -> SeenNetwork:
    """All but the order of static hosts and names: what was taken away and comes back comes last."""
    return replace(seen, live=_sorted(seen.live), config=_sorted(seen.config))


def _sorted(words: str) -> str:
    lines = words.splitlines()
    return "\n".join(sorted(line.strip() for line in lines))


@dataclass(frozen=True, slots=True)
class NetworkCase:
    """What is there before, what is done, and what both twins must have come to."""

    action: str
    what: str
    make: Make
    reached: Callable[[SeenNetwork], bool]
    values: Mapping[str, str] = field(default_factory=dict)
    own: Own = lambda _twin: {}
    """Field values that differ between the twins."""
    undo: bool = False
    forgiven: Callable[[SeenNetwork], SeenNetwork] = lambda seen: seen
    """What undo need not bring back is made alike."""

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.action.partition('.')[2]}-{self.what}"


def try_case(lab: LabHost, deck: NetworkDeck, folder: Path, case: NetworkCase) -> None:
    """Make the twins, change both, compare; take both back, compare."""
    pair = [NetworkTwin(lab, letter, folder / letter) for letter in "ab"]
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
    assert after != before
    assert bool(job.entry.undo) is case.undo
    if case.undo:
        entry = deck.entry(job)
        assert entry.undo == plan.undo_steps()
        _change(deck, theirs, Plan("undo", f"Undo: {entry.title}", entry.undo), by_hand.undo_steps(), entry.id)
        back = _same(ours, theirs, lambda seen: case.forgiven(seen) == case.forgiven(before))
        assert back != after


def _same(ours: NetworkTwin, theirs: NetworkTwin, reached: Callable[[SeenNetwork], bool]) -> SeenNetwork:
    one, other = ours.seen(), theirs.seen()
    assert one == other, f"what virtdeck did is not what the command did: {one}\n{other}"
    assert reached(one), f"both came to {one}"
    return one


def _change(
    deck: NetworkDeck, theirs: NetworkTwin, plan: Plan, by_hand: Sequence[Step], undoes: str = ""
) -> Job:  # fmt: skip
    """Carry out our plan, and the commands for the other twin."""
    for step in by_hand:
        _keep_xml(theirs, step)
        run_commands([step])
    job = deck.run(plan, undoes)
    assert job.status is Status.DONE, job.results
    assert [result.step for result in job.results] == list(plan.steps)
    return job


def _keep_xml(theirs: NetworkTwin, step: Step) -> None:
    """Write the files that a command reads, as our op does before it changes anything."""
    request, files = step.request, {}
    persistent = theirs.lab.virsh("net-dumpxml", theirs.name, "--inactive", check=False).stdout
    if isinstance(request, (DefineNetwork, UndefineNetwork, EditNetwork)) and request.backup:
        files[request.backup] = persistent
    if isinstance(request, (DefineNetwork, CreateNetwork)) and request.xml:
        files[request.path] = request.xml
    if isinstance(request, EditNetwork):
        files[request.file] = request.edited(persistent)
    if isinstance(request, ReplugNic):
        files[request.file] = request.edited(theirs.lab.virsh("dumpxml", request.domain).stdout)
    for path, xml in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(xml)
