"""The maximum of vCPUs from the next boot on, with the topology and all else that has to fit to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.define import kept_path
from tui.actions.lifecycle import as_domain
from tui.model import units
from tui.model.cpuset import format_cpus, parse_cpus
from tui.model.domain import Domain
from tui.model.domain_config import DomainConfig
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.tuning import NumaCell, Topology
from tui.model.virsh import domain_word, virsh
from tui.ops.define import Define
from tui.ops.vcpu_layout import ReshapeVcpus, SetVcpusMax
from tui.ops.vcpus import SetVcpus

_MOST = 8192


def _reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if domain.persistent is False:
        return "it is transient: it has no next boot"
    return "its configuration is not read yet" if domain.persistent_config is None else None


def _config(domain: Domain) -> DomainConfig:
    if domain.persistent_config is None:
        raise TargetError("maximum", "its configuration is not read yet")
    return domain.persistent_config


def _number(text: str, field: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= _MOST:
        raise FieldError(field, f"must be a number from 1 to {_MOST}")
    return int(text)


def propose(maximum: int, old: Topology) -> Topology:
    """Return a topology whose product is `maximum` and that is as much as the old one as it can be: more or fewer
    sockets, else cores, else sockets alone."""
    for kept in ("sockets", "cores"):
        rest = replace(old, **{kept: 1}).product
        if maximum % rest == 0:
            return replace(old, **{kept: maximum // rest})
    threads = old.threads if maximum % old.threads == 0 else 1
    return Topology(maximum // threads, 1, 1, threads)


def _topology(values: Values, maximum: int, old: Topology | None) -> Topology | None:
    """What was typed, or proposed; raises FieldError when it does not make the maximum."""
    text = values["topology"].strip()
    if not text:
        return propose(maximum, old) if old is not None else None
    parts = [_number(part, "topology") for part in text.split(":")]
    if len(parts) != 4:
        raise FieldError("topology", "must be sockets:dies:cores:threads, as in 2:1:4:1")
    sockets, dies, cores, threads = parts
    typed = Topology(sockets, dies, cores, threads, clusters=old.clusters if old is not None else 1)
    if typed.product != maximum:
        raise FieldError("topology", f"{text} makes {typed.product} vCPUs, not {maximum}; left empty, one is proposed")
    return typed


def _cut_cells(config: DomainConfig, maximum: int) -> list[tuple[NumaCell, str]]:
    """The guest's NUMA cells that lose vCPUs, and what is left to each."""
    cut = []
    for cell in config.tuning.cells:
        cpus = parse_cpus(cell.cpus) if cell.cpus else ()
        if left := [cpu for cpu in cpus if cpu >= maximum]:
            cut.append((cell, format_cpus(set(cpus) - set(left))))
    return cut


def _beyond(config: DomainConfig, maximum: int) -> list[str]:
    """The pins of vCPUs that go."""
    threads = (thread for thread, _cpus in config.vcpu_pins)
    return [thread for thread in threads if thread.startswith("vcpu ") and int(thread[5:]) >= maximum]


def _count(config: DomainConfig, maximum: int) -> int:
    """How many of those that are left are plugged at the next boot."""
    slots = config.tuning.vcpu_slots
    plugged = sum(slot.enabled and slot.number < maximum for slot in slots)
    return plugged if slots else min(config.vcpus, maximum)


def _steps(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    config, maximum = _config(domain), _number(values["maximum"], "maximum")
    old = config.tuning.topology
    topology = _topology(values, maximum, old)
    if maximum == config.vcpus_max and topology == old:
        raise TargetError("maximum", f"{domain.name} can have {maximum} already")
    dropped = bool(config.tuning.vcpu_slots or _beyond(config, maximum)) and maximum < config.vcpus_max
    if topology is None and not config.tuning.cells and not dropped:
        return [_plain(context, domain, config, maximum)]
    return [_edit(context, domain, config, maximum, topology)]


def _plain(context: Context, domain: Domain, config: DomainConfig, maximum: int) -> Step:
    back = [_max_step(context, domain, config.vcpus_max)]
    if maximum < config.vcpus:
        words = ["setvcpus", domain_word(domain), str(config.vcpus), "--config"]
        request = SetVcpus(domain.key, config.vcpus, live=False)
        title = f"{units.counted(config.vcpus, 'vCPU')} for {domain.name} from the next boot on"
        back.append(Step(title, virsh(context.uri, *words), request, domain.key))
    return replace(_max_step(context, domain, maximum), undo=tuple(back))


def _max_step(context: Context, domain: Domain, maximum: int) -> Step:
    command = virsh(context.uri, "setvcpus", domain_word(domain), str(maximum), "--config", "--maximum")
    return Step(_title(domain, maximum), command, SetVcpusMax(domain.key, maximum), domain.key)


def _title(domain: Domain, maximum: int) -> str:
    return f"at most {units.counted(maximum, 'vCPU')} for {domain.name} from the next boot on"


def _edit(context: Context, domain: Domain, config: DomainConfig, maximum: int, topology: Topology | None) -> Step:
    backup = kept_path(context, domain.raw_name)
    command = ("env", f"EDITOR={_sed(config, maximum, topology)}", *virsh(context.uri, "edit", domain_word(domain)))
    shape = () if topology is None else _parts(topology)
    request = ReshapeVcpus(domain.key, maximum, _count(config, maximum), shape, backup)
    back = Step(
        f"define {domain.name} as it was",
        virsh(context.uri, "define", backup),
        Define(backup, validate=False),
        domain.key,
    )
    return Step(_title(domain, maximum), command, request, domain.key, (back,))


def _parts(topology: Topology) -> tuple[int, ...]:
    return topology.sockets, topology.dies, topology.clusters, topology.cores, topology.threads


def _sed(config: DomainConfig, maximum: int, topology: Topology | None) -> str:
    """The editor that does in libvirt's own XML what the op does (`virsh edit` runs it by a shell); a dot stands for
    a quote, and elements of libvirt's are a line each."""
    count = _count(config, maximum)
    edits = [
        r"/<\/vcpu>/s| current=.[0-9]*.||",
        rf's|\(<vcpu[^>]*\)>[0-9]*</vcpu>|\1 current="{count}">{maximum}</vcpu>|',
        *(f"/<vcpu id=.{slot.number}. /d" for slot in config.tuning.vcpu_slots if slot.number >= maximum),
    ]
    for cell, left in _cut_cells(config, maximum):
        new = f' cpus="{left}"' if left else ""
        edits.append(rf"s|\(<cell id=.{cell.number}.\) cpus=.[0-9,^-]*.|\1{new}|")
    if topology != config.tuning.topology and topology is not None:
        edits += _topology_edits(config, topology)
    return "sed -i " + " ".join(f"-e '{edit}'" for edit in edits)


def _topology_edits(config: DomainConfig, topology: Topology) -> list[str]:
    names = ("sockets", "dies", "clusters", "cores", "threads")
    given = zip(names, _parts(topology), strict=True)
    words = " ".join(f'{name}="{number}"' for name, number in given if name != "clusters" or number != 1)
    element = f"<topology {words}/>"
    if not (config.cpu_mode or config.tuning.topology or config.tuning.cells):
        return [f"s|</domain>|<cpu>{element}</cpu></domain>|"]
    return [
        "/<topology /d",
        rf"s|<cpu\( [^>]*[^/]\)\{{0,1\}}>|&{element}|",
        rf"s|<cpu\( [^>]*\)/>|<cpu\1>{element}</cpu>|",
    ]


def _notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    config, maximum = _config(domain), _number(values["maximum"], "maximum")
    topology = _topology(values, maximum, config.tuning.topology)
    notes = []
    if topology is not None:
        words = ("sockets", "dies", "clusters", "cores", "threads")
        parts = ", ".join(f"{n} {word}" for word, n in zip(words, _parts(topology), strict=True) if n > 1)
        notes.append(f"{domain.name}: topology {parts or '1 of each'}, which makes {maximum}")
    if (count := _count(config, maximum)) != config.vcpus:
        notes.append(f"{domain.name}: {count} of its {config.vcpus} vCPUs are left")
    for cell, left in _cut_cells(config, maximum):
        notes.append(f"{domain.name}: NUMA cell {cell.number} keeps vCPUs {left or 'none'} of {cell.cpus}")
    if maximum > config.vcpus_max and config.tuning.cells:
        notes.append(f"{domain.name}: libvirt puts the new vCPUs into NUMA cell 0")
    if pins := _beyond(config, maximum):
        notes.append(f"{domain.name}: the pins of {', '.join(pins)} go")
    return [*notes, *([f"{domain.name} runs: it changes at its next boot"] if domain.active else [])]


def _default(_context: Context, targets: Sequence[Target]) -> str:
    config = as_domain(targets[0]).persistent_config if targets else None
    return str(config.vcpus_max) if config else ""


ACTION = Action(
    "domain.vcpus-max", "Set maximum vCPUs", "max vCPUs", "C", Kind.DOMAIN,
    "Set how many vCPUs there can be from the next boot on, with a topology that fits.", _steps, _reason,
    (
        Field("maximum", "Maximum", FieldKind.TEXT, _default),
        Field(
            "topology", "Topology", FieldKind.TEXT, help="sockets:dies:cores:threads; empty: one that fits",
            optional=True,
        ),
    ),
    notes=_notes,
)  # fmt: skip
"""C."""
