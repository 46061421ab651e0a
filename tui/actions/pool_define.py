"""A new storage pool, out of a form or an XML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from tui.actions import pool_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Target, Values, flag, is_on
from tui.actions.define import kept_path
from tui.actions.pool_form import FIELDS, form_of, pools_of
from tui.actions.pool_steps import Named, pool_step
from tui.actions.xml_file import file_path, read_root
from tui.model.kind import Kind
from tui.model.plan import Step
from tui.model.text import clean
from tui.model.virsh import virsh
from tui.ops import pools as ops


def _define(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    if values["xml"].strip():
        first, pool, active = _of_file(context, values)
    else:
        first, pool, active = *_of_form(context, values), False
    later = [steps.build_step(context, pool)] if is_on(values, "build") else []
    later += [steps.start_step(context, pool)] if is_on(values, "start") else []
    if active and later:
        raise FieldError("build" if is_on(values, "build") else "start", f"{pool.name} is active; say no")
    later += [steps.autostart_step(context, pool, True)] if is_on(values, "autostart") else []
    return [first, *later]


def _of_form(context: Context, values: Values) -> tuple[Step, Named]:
    """The step that defines a pool of what was typed. Its UUID is made up here, so that undo knows it."""
    form = form_of(context, values)
    pool = Named(str(uuid4()), form.name, form.name)
    request = ops.DefinePoolAs(pool.key, form.name, form.xml(pool.key))
    undo = (steps.undefine_step(context, pool),)
    return pool_step(context, pool, f"define {form.name}", ("pool-define-as", *form.words()), request, undo), pool


@dataclass(frozen=True, slots=True)
class _Head:
    """Who a pool XML is of; `uuid` is "" when libvirt has to make one up."""

    name: str
    uuid: str


def _of_file(context: Context, values: Values) -> tuple[Step, Named, bool]:
    """The step that defines the pool of an XML file, and whether that pool is active already."""
    path = _path(values)
    head = _head(path)
    old = next((p for p in pools_of(context) if p.key == head.uuid), None)
    if any(pool.raw_name == head.name and pool is not old for pool in pools_of(context)):
        raise FieldError("xml", f"{clean(head.name)} exists already, with another UUID")
    name = clean(head.name)
    pool = Named(head.uuid or head.name, name, head.name if steps.plain_name(head.name) else head.uuid)
    command = virsh(context.uri, "pool-define", path, "--validate")
    if old is None or not old.persistent:
        undo = (steps.undefine_step(context, pool),) if head.uuid and old is None else ()
        active = old is not None and old.state.active
        return Step(f"define {name}", command, ops.DefinePool(path), pool.key, undo), pool, active
    backup = kept_path(context, old.raw_name)
    back = steps.define_again_step(context, steps.named(old), backup, f"define {old.name} as it was")
    request = ops.DefinePool(path, True, old.key, backup)
    return Step(f"redefine {old.name}", command, request, old.key, (back,)), steps.named(old), old.state.active


def _path(values: Values) -> str:
    return file_path("xml", values["xml"].strip())


def _head(path: str) -> _Head:
    """What is needed of a pool XML file before libvirt has read it; raises FieldError."""
    root = read_root("xml", path, "pool", ops.LARGEST_XML_BYTES)
    return _Head(root.findtext("name") or "", (root.findtext("uuid") or "").strip().lower())


def _notes(context: Context, _target: Target, values: Values) -> Sequence[str]:
    if not values["xml"].strip():
        built = is_on(values, "build") or not is_on(values, "start") or values["type"] != "dir"
        return () if built else ("its directory must be there, unless it is built",)
    head = _head(_path(values))
    notes = ["name, type, path and source are those of the file"]
    old = next((p for p in pools_of(context) if p.key == head.uuid), None)
    if old is not None and old.persistent:
        later = "; it changes when it is started again" if old.state.active else ""
        notes.append(f"{old.name} exists: its configuration is replaced{later}")
    return notes


ACTION = Action(
    "pool.define", "Define pool", "pool", "P", Kind.HOST, "Define a storage pool, and build and start it if asked to.",
    _define,
    fields=(
        *FIELDS,
        flag("build", "Build", "make its directory, volume group or partition table"),
        flag("start", "Start", "start it at once", default="yes"),
        flag("autostart", "Autostart", "start it with the host"),
        Field("xml", "XML file on this machine", FieldKind.PATH, optional=True, help="in place of all of the above"),
    ),
    notes=_notes, reads=("storage",),
)  # fmt: skip


def _create(context: Context, _target: Target, values: Values) -> Sequence[Step]:
    """Its undo stops it, which is all that a transient pool needs to be forgotten."""
    form, build = form_of(context, values), is_on(values, "build")
    pool = Named(str(uuid4()), form.name, form.name)
    words = ["pool-create-as", *form.words(), *(["--build"] if build else [])]
    request = ops.CreatePoolAs(pool.key, form.name, form.xml(pool.key), build)
    undo = (steps.stop_step(context, pool),)
    return [pool_step(context, pool, f"create {form.name}", words, request, undo)]


def _create_notes(_context: Context, _target: Target, values: Values) -> Sequence[str]:
    built = is_on(values, "build") or values["type"] != "dir"
    notes = ["transient: libvirt forgets it when it stops, and when the host boots; what is in it stays"]
    return notes if built else [*notes, "its directory must be there, unless it is built"]


CREATE = Action(
    "pool.create", "Create transient pool", "transient", "T", Kind.HOST,
    "Start a storage pool that libvirt forgets when it stops.", _create,
    fields=(*FIELDS, flag("build", "Build", "make its directory, volume group or partition table")),
    notes=_create_notes, reads=("storage",),
)  # fmt: skip
