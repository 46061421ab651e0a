"""A new network, persistent or transient, out of a form or an XML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4
from xml.etree import ElementTree as ET

from tui.actions import network_form as form
from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Target, Values, flag, is_on
from tui.actions.define import kept_path
from tui.actions.network_steps import Named, all_networks, network_step
from tui.actions.pool_steps import plain_name
from tui.actions.xml_file import file_path, read_root
from tui.model.kind import Kind
from tui.model.network import Network
from tui.model.network_new import NewNetwork
from tui.model.network_xml import Subnet, parse_network_xml
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import virsh
from tui.ops import networks as ops


def _define(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    if values["xml"].strip():
        first, network, active = _of_file(context, values)
    else:
        first, network, active = *_of_form(context, values), False
    later = [steps.start_step(context, network)] if is_on(values, "start") else []
    if active and later:
        raise FieldError("start", f"{network.name} is active; say no")
    later += [steps.autostart_step(context, network, True)] if is_on(values, "autostart") else []
    return [first, *later]


def _of_form(context: Context, values: Values) -> tuple[Step, Named]:
    """The step that defines a network of what was typed. Its UUID is made up here, so that undo knows it."""
    made = form.form_network(context, values, str(uuid4()))
    network, file = Named(made.uuid, made.name, made.name), kept_path(context, made.name)
    request = ops.DefineNetwork(file, made.xml())
    words = ("net-define", file, "--validate")
    undo = (steps.undefine_step(context, network),)
    return network_step(context, network, f"define {made.name}", words, request, undo), network


@dataclass(frozen=True, slots=True)
class _Head:
    """Who a network XML is of; `uuid` is "" when libvirt has to make one up."""

    name: str
    uuid: str


def _of_file(context: Context, values: Values) -> tuple[Step, Named, bool]:
    """The step that defines the network of an XML file, and whether that network is active already."""
    path = _path(values)
    head = _head(path)
    old, network = _existing(context, head), _named(head)
    command = virsh(context.uri, "net-define", path, "--validate")
    if old is None or not old.persistent:
        undo = (steps.undefine_step(context, network),) if head.uuid and old is None else ()
        step = Step(f"define {network.name}", command, ops.DefineNetwork(path), network.key, undo)
        return step, network, old is not None and old.active
    backup = kept_path(context, old.raw_name)
    back = steps.define_again_step(context, steps.named(old), backup, f"define {old.name} as it was")
    request = ops.DefineNetwork(path, backup_key=old.key, backup=backup)
    return Step(f"redefine {old.name}", command, request, old.key, (back,)), steps.named(old), old.active


def _named(head: _Head) -> Named:
    return Named(head.uuid or head.name, clean(head.name), head.name if plain_name(head.name) else head.uuid)


def _existing(context: Context, head: _Head) -> Network | None:
    """The network that a file is of, by its UUID, and by its name where it has none; raises FieldError when another
    one has its name."""
    named = next((network for network in all_networks(context) if network.raw_name == head.name), None)
    if not head.uuid:
        return named
    old = next((network for network in all_networks(context) if network.key == head.uuid), None)
    if named is not None and named is not old:
        raise FieldError("xml", f"{clean(head.name)} exists already, with another UUID")
    return old


def _path(values: Values) -> str:
    return file_path("xml", values["xml"].strip())


def _read(path: str) -> ET.Element:
    return read_root("xml", path, "network", ops.LARGEST_XML_BYTES)


def _head(path: str) -> _Head:
    """What is needed of a network XML file before libvirt has read it; raises FieldError."""
    root = _read(path)
    return _Head(root.findtext("name") or "", (root.findtext("uuid") or "").strip().lower())


def _define_notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    if not values["xml"].strip():
        return _form_notes(context, values)
    path = _path(values)
    old = _existing(context, _head(path))
    notes = ["all but start and autostart is that of the file"]
    if old is not None and old.persistent:
        later = "; it changes when it is started again" if old.active else ""
        notes.append(f"{old.name} exists: its configuration is replaced{later}")
    return [*notes, *_file_notes(context, path, old)]


def _form_notes(context: Context, values: Values) -> Sequence[str]:
    """What the fields left open came to."""
    made = form.form_network(context, values, "")
    notes = [f"{a.address}/{a.prefix}: DHCP gives out {a.first} to {a.last}" for a in made.addresses if a.first]
    notes += [f"{a.address}/{a.prefix}: no DHCP" for a in made.addresses if not a.first]
    return [*notes, *form.overlap_notes(context, _subnets(made))]


def _subnets(made: NewNetwork) -> list[Subnet]:
    return [form.interface_of("address", f"{a.address}/{a.prefix}", 6 if ":" in a.address else 4)[1]
            for a in made.addresses]  # fmt: skip


def _file_notes(context: Context, path: str, old: Network | None) -> Sequence[str]:
    """What a file is warned of that a form is refused for: it was meant so, or it is the same network."""
    config = parse_network_xml(ET.tostring(_read(path), encoding="unicode"))
    notes = []
    for subnet in steps.subnets(config).values():
        try:
            form.refuse_overlap(context, "xml", subnet, old.key if old is not None else "")
        except FieldError as error:
            notes.append(error.reason)
    return [*notes, *form.overlap_notes(context, steps.subnets(config).values(), config.bridge)]


def _create(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    """A transient network: libvirt forgets it when it stops, so undo stops it."""
    if values["xml"].strip():
        path, xml = _path(values), ""
        head = _head(path)
        if (old := _existing(context, head)) is not None and old.active:
            raise FieldError("xml", f"{old.name} is active already")
        network, undone = _named(head), old is None
    else:
        made = form.form_network(context, values, str(uuid4()))
        path, xml, undone = kept_path(context, made.name), made.xml(), True
        network = Named(made.uuid, made.name, made.name)
    undo = (steps.stop_step(context, network),) if undone else ()
    words = ("net-create", path, "--validate")
    request = ops.CreateNetwork(path, xml)
    return [network_step(context, network, f"create {network.name}", words, request, undo)]


def _create_notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    transient = "transient: libvirt forgets it when it stops"
    if not values["xml"].strip():
        return [transient, *_form_notes(context, values)]
    path = _path(values)
    return [transient, *_file_notes(context, path, _existing(context, _head(path)))]


_XML = Field("xml", "XML file on this machine", FieldKind.PATH, optional=True, help="in place of all of the above")

DEFINE = Action(
    "network.define", "Define network", "network", "n", Kind.HOST,
    "Define a network of a form or an XML file, or redefine one, and start it if asked to.", _define,
    fields=(
        *form.FIELDS,
        flag("start", "Start", "start it at once", default="yes"),
        flag("autostart", "Autostart", "start it with the host"),
        _XML,
    ),
    notes=_define_notes, reads=steps.READS,
)  # fmt: skip
"""The action; it is one of the family networks."""

CREATE = Action(
    "network.create", "Create transient network", "transient", "N", Kind.HOST,
    "Start a transient network of a form or an XML file.", _create, fields=(*form.FIELDS, _XML),
    notes=_create_notes, reads=steps.READS,
)  # fmt: skip
"""The action; it is one of the family networks."""
