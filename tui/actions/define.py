"""Define, create, undefine, rename and describe domains."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, Values, flag, is_on
from tui.actions.lifecycle import as_domain
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import domain_word, virsh
from tui.ops import define as ops
from tui.ops.lifecycle import SetAutostart

if TYPE_CHECKING:
    from tui.model.domain import Domain


def _xml_path(values: Values) -> str:
    path = values["path"].strip()
    if not path:
        raise FieldError("path", "give the XML file")
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as error:
        raise FieldError("path", str(error)) from error


@dataclass(frozen=True, slots=True)
class _Head:
    """Who a domain XML is of; `uuid` is "" when libvirt has to make one up, `nvram` whether it may get UEFI
    variables."""

    name: str
    uuid: str
    nvram: bool


def _head(path: str) -> _Head:
    """What is needed of a domain XML file before libvirt has read it; raises FieldError."""
    try:
        # To open a FIFO would wait for whoever writes into it.
        if not stat.S_ISREG((found := os.stat(path)).st_mode):
            raise FieldError("path", f"{path} is not a file")
        if found.st_size > ops.LARGEST_XML_BYTES:
            raise FieldError("path", f"{path} is larger than 4 MiB; that is no domain XML")
        root = ET.parse(path).getroot()
    # LookupError is for an encoding that Python does not know.
    except (OSError, ValueError, LookupError) as error:
        raise FieldError("path", str(error)) from error
    except ET.ParseError as error:
        raise FieldError("path", f"not XML: {error}") from error
    if root.tag != "domain":
        raise FieldError("path", f"not a domain but a <{root.tag}>")
    uefi = root.find("os[@firmware='efi']") is not None or root.find("os/nvram") is not None
    return _Head(root.findtext("name") or "", (root.findtext("uuid") or "").strip().lower(), uefi)


def _existing(context: Context, head: _Head) -> Domain | None:
    domains = context.snapshot.domains
    return domains.get(head.uuid) or next((d for d in domains.values() if d.raw_name == head.name), None)


def kept_path(context: Context, name: str) -> str:
    """Return where the XML of a domain is kept before it is changed or removed; unique to this instant."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80] or "domain"
    stamp = time.strftime("%Y%m%dT%H%M%S")
    return str(context.kept_dir / f"{stamp}-{time.time_ns() % 1_000_000_000:09d}-{safe}.xml")


def _define(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    path = _xml_path(values)
    head = _head(path)
    old, name = _existing(context, head), clean(head.name)
    command = virsh(context.uri, "define", path, "--validate")
    if old is None or old.persistent is False:
        undo = _undo_new(context, head) if old is None else ()
        return [Step(f"define {name}", command, ops.Define(path), head.uuid or head.name, undo)]
    backup = kept_path(context, old.raw_name)
    back = Step(
        f"define {old.name} as it was",
        virsh(context.uri, "define", backup),
        ops.Define(backup, validate=False),
        old.key,
    )
    return [Step(f"redefine {old.name}", command, ops.Define(path, True, old.key, backup), old.key, (back,))]


def _undo_new(context: Context, head: _Head) -> tuple[Step, ...]:
    """Without a UUID in the file libvirt makes one up that nobody knows yet; then there is no undo to offer."""
    if not head.uuid:
        return ()
    request = ops.Undefine(head.uuid, kept_path(context, head.name), nvram="keep" if head.nvram else "")
    words = ["undefine", head.uuid, *(["--keep-nvram"] if head.nvram else [])]
    return (Step(f"undefine {clean(head.name)}", virsh(context.uri, *words), request, head.uuid),)


def _define_notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    old = _existing(context, _head(_xml_path(values)))
    if old is None:
        return ()
    when = "; the running one changes at its next boot" if old.active else ""
    return (f"{old.name} exists: its configuration is replaced{when}",)


def _create(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    path, paused = _xml_path(values), is_on(values, "paused")
    head = _head(path)
    words = ["create", path, "--validate", *(["--paused"] if paused else [])]
    request = ops.Create(path, paused)
    return [Step(f"create {clean(head.name)}", virsh(context.uri, *words), request, head.uuid or head.name)]


def _create_notes(_context: Context, _target: Target, _values: Values) -> Sequence[str]:
    return ("transient: libvirt forgets it when it stops",)


def _undefine_reason(_context: Context, target: Target) -> Reason:
    return "it is transient: it has no persistent configuration" if as_domain(target).persistent is False else None


def _has_nvram(_context: Context, targets: Sequence[Target]) -> bool:
    return any(domain.config is not None and bool(domain.config.nvram) for domain in map(as_domain, targets))


def _has_tpm(_context: Context, targets: Sequence[Target]) -> bool:
    return any(domain.config is not None and domain.config.tpm for domain in map(as_domain, targets))


def _undefine(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    nvram = values["nvram"] if _has_nvram(context, [domain]) else ""
    tpm = values["tpm"] if _has_tpm(context, [domain]) else ""
    words = ["undefine", domain_word(domain)]
    words += ["--managed-save"] if domain.managed_save else []
    words += ["--snapshots-metadata"] if domain.snapshots else []
    words += ["--checkpoints-metadata"] if domain.checkpoints else []
    words += {"remove": ["--nvram"], "keep": ["--keep-nvram"]}.get(nvram, [])
    words += {"remove": ["--tpm"], "keep": ["--keep-tpm"]}.get(tpm, [])
    backup = kept_path(context, domain.raw_name)
    request = ops.Undefine(
        domain.key, backup, bool(domain.managed_save), bool(domain.snapshots), bool(domain.checkpoints), nvram, tpm
    )
    return [
        Step(
            f"undefine {domain.name}",
            virsh(context.uri, *words),
            request,
            domain.key,
            _undo_undefine(context, domain, backup),
            loses=_undefine_loses(domain, nvram, tpm),
        )
    ]


def _undo_undefine(context: Context, domain: Domain, backup: str) -> tuple[Step, ...]:
    back = Step(
        f"define {domain.name} again",
        virsh(context.uri, "define", backup),
        ops.Define(backup, validate=False),
        domain.key,
    )
    if not domain.autostart:
        return (back,)
    command = virsh(context.uri, "autostart", domain_word(domain))
    return back, Step(f"autostart {domain.name} on", command, SetAutostart(domain.key, True), domain.key)


def _undefine_loses(domain: Domain, nvram: str, tpm: str) -> str:
    parts = ["the configuration (its XML is kept for undo)"]
    parts += ["the saved state"] if domain.managed_save else []
    parts += [f"the list of its {what}" for what in _lists(domain)]
    parts += ["its UEFI variables"] if nvram == "remove" else []
    parts += ["its TPM state"] if tpm == "remove" else []
    return ", ".join(parts)


def _undefine_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    notes = []
    if domain.active:
        notes.append(f"{domain.name} goes on running, as a transient domain that is gone when it stops")
    images = [disk.source for disk in domain.config.disks if disk.source] if domain.config else []
    if images:
        notes.append(f"{domain.name}: disk images stay: {', '.join(images)}")
    if domain.config and domain.config.nvram and values["nvram"] == "keep":
        notes.append(f"{domain.name}: UEFI variables stay: {domain.config.nvram}")
    notes += [f"{domain.name}: undo does not bring back the list of its {what}" for what in _lists(domain)]
    return notes


def _lists(domain: Domain) -> list[str]:
    return [what for what, there in (("snapshots", domain.snapshots), ("checkpoints", domain.checkpoints)) if there]


def _rename_reason(_context: Context, target: Target) -> Reason:
    domain = as_domain(target)
    if domain.active:
        return f"it is {domain.state.value}; libvirt renames only domains that are off"
    if domain.persistent is False:
        return "it is transient"
    if domain.managed_save:
        return "it has a saved state; libvirt renames no domain that has one"
    return next((f"it has {what}; libvirt renames no domain that has any" for what in _lists(domain)), None)


def _rename(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain, name = as_domain(target), values["name"].strip()
    _check_name(context, domain, name)
    undo = Step(
        f"rename {name} back",
        # Joined with "=" an old name that begins with a dash is not taken for an option.
        virsh(context.uri, "domrename", domain.key, f"--new-name={domain.raw_name}"),
        ops.Rename(domain.key, domain.raw_name),
        domain.key,
    )
    command = virsh(context.uri, "domrename", domain_word(domain), name)
    return [Step(f"rename {domain.name} to {name}", command, ops.Rename(domain.key, name), domain.key, (undo,))]


def _check_name(context: Context, domain: Domain, name: str) -> None:
    if not name:
        raise FieldError("name", "give the new name")
    if "/" in name or not name.isprintable():
        raise FieldError("name", "must be printable and hold no /")
    if name.startswith("-"):
        raise FieldError("name", "must not begin with -")
    taken = any(other.raw_name == name and other.key != domain.key for other in context.snapshot.domains.values())
    if taken or name == domain.raw_name:
        raise FieldError("name", f"{name} exists already")


def _describe(context: Context, target: Target, values: Values) -> Sequence[Step]:
    domain = as_domain(target)
    sides = _Sides(domain.active, domain.persistent is not False)
    steps = []
    for what, text in _new_texts(domain, values).items():
        if what == "title" and not text.isprintable():
            raise FieldError("title", "a title is one line of printable characters")
        undo = _undo_describe(context, domain, what, sides)
        loses = None if undo else f"the {what} as it is now: it could not be put back exactly"
        steps.append(replace(_describe_step(context, domain, what, text, sides, undo), loses=loses))
    if not steps:
        raise FieldError(_TEXTS[0], f"change it or the {_TEXTS[1]}; {_REMOVES} alone removes")
    return steps


_TEXTS = ("title", "description")
_REMOVES = "-"


def _new_texts(domain: Domain, values: Values) -> dict[str, str]:
    """The texts that were changed; "" is for removal."""
    changed = {}
    for what in _TEXTS:
        text = values[what].strip()
        if text and values[what] != _raw_text(domain, what):
            changed[what] = "" if text == _REMOVES else text
    return changed


def _raw_text(domain: Domain, what: str) -> str:
    if domain.config is None:
        return ""
    return domain.config.raw_title if what == "title" else domain.config.raw_description


def _text_default(what: str) -> Callable[[Context, Sequence[Target]], str]:
    """What can be edited as it is: one line of nothing but characters that can be shown."""

    def default(_context: Context, targets: Sequence[Target]) -> str:
        raw = _raw_text(as_domain(targets[0]), what) if targets and targets[0] is not None else ""
        return raw if clean(raw) == raw else ""

    return default


def _describe_notes(_context: Context, target: Target, values: Values) -> Sequence[str]:
    domain = as_domain(target)
    notes = []
    for what in _new_texts(domain, values):
        raw = _raw_text(domain, what)
        if raw and clean(raw) != raw:
            notes.append(f"{domain.name}: the {what} that goes is not shown above: {clean(raw)[:_SHOWN]}")
    return notes


_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Sides:
    """Which configurations a change is for."""

    live: bool
    persistent: bool


def _undo_describe(context: Context, domain: Domain, what: str, sides: _Sides) -> tuple[Step, ...]:
    """Give each side its own text back; nothing is offered where the old text is not known as it was."""
    if domain.config is None or domain.differences is None:
        return ()
    now = _raw_text(domain, what)
    later = next((d.raw_persistent for d in domain.differences if d.what == what), None)
    if _STAND_IN in now or _STAND_IN in (later or ""):
        return ()
    if later is None:
        return (_describe_step(context, domain, what, now, sides),)
    back = ((now, _Sides(True, False)), (later, _Sides(False, True)))
    return tuple(_describe_step(context, domain, what, text, side) for text, side in back)


# What is in the place of characters that libvirt writes and XML does not have.
_STAND_IN = "\ufffd"


def _describe_step(
    context: Context, domain: Domain, what: str, text: str, sides: _Sides, undo: tuple[Step, ...] = ()
) -> Step:
    words = ["desc", domain_word(domain)]
    words += ["--title"] if what == "title" else []
    words += ["--live"] if sides.live else []
    words += ["--config"] if sides.persistent else []
    words += ["--new-desc", text]
    request = ops.Describe(domain.key, what, text, sides.live, sides.persistent)
    title = f"set the {what} of {domain.name}" if text else f"remove the {what} of {domain.name}"
    return Step(title, virsh(context.uri, *words), request, domain.key, undo)


def _rename_default(_context: Context, targets: Sequence[Target]) -> str:
    return as_domain(targets[0]).name if targets and targets[0] is not None else ""


def _keep(name: str, label: str, applies: Callable[[Context, Sequence[Target]], bool]) -> Field:
    return Field(
        name,
        label,
        FieldKind.CHOICE,
        lambda _context, _targets: "keep",
        ("keep", "remove"),
        applies=applies,
    )


_XML = Field("path", "XML file on this machine", FieldKind.PATH)

ACTIONS: tuple[Action, ...] = (
    Action(
        "domain.define", "Define from file", "define", "n", Kind.HOST,
        "Define a persistent domain from an XML file, or redefine one.", _define, fields=(_XML,), notes=_define_notes,
    ),
    Action(
        "domain.create", "Create transient from file", "create", "N", Kind.HOST,
        "Start a transient domain from an XML file.", _create, fields=(_XML, flag("paused", "Paused")),
        notes=_create_notes,
    ),
    Action(
        "domain.undefine", "Undefine", "undefine", "D", Kind.DOMAIN,
        "Remove the persistent configuration; disk images stay.", _undefine, _undefine_reason,
        (_keep("nvram", "UEFI variables", _has_nvram), _keep("tpm", "TPM state", _has_tpm)), notes=_undefine_notes,
    ),
    Action(
        "domain.rename", "Rename", "rename", "e", Kind.DOMAIN, "Give a domain that is off another name.", _rename,
        _rename_reason, (Field("name", "New name", FieldKind.TEXT, _rename_default),), bulk=False,
    ),
    Action(
        "domain.describe", "Describe", "describe", "t", Kind.DOMAIN,
        "Set title and description, live and persistent.", _describe,
        fields=tuple(
            Field(what, what.capitalize(), FieldKind.TEXT, _text_default(what), optional=True,
                  help=f"empty leaves it as it is, {_REMOVES} removes it")
            for what in _TEXTS
        ),
        bulk=False, notes=_describe_notes,
    ),
)  # fmt: skip
