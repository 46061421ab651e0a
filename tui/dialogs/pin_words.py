"""What the pin matrix says in words: the thread and the CPU under the cursor, the side that is edited, the keys."""

from __future__ import annotations

from collections.abc import Sequence

from tui.model.cpuset import format_cpus
from tui.model.host_cpus import HostCpu
from tui.model.pin_table import PinRow, PinTable
from tui.model.text import cells
from tui.widgets.lines import FILL, Span, SpanLine

Wish = tuple[int, ...] | None

BOTH, LIVE, PERSISTENT = "both", "live", "persistent"
SIDES = (BOTH, LIVE, PERSISTENT)
"""As the field `where` spells them."""
_SIDE_WORDS = {BOTH: "now and from the next boot on", LIVE: "now", PERSISTENT: "from the next boot on"}
_MOST_NAMES = 4

LEGEND: SpanLine = [
    Span("■ pinned", "dim"), Span("  "), Span("▫ no pin", "dim"), Span("  "), Span("◆ runs there", "good"), Span("  "),
    Span("◇ runs there, not wished", "warn"), Span("  "), Span("+ □ drift", "warn"), Span("  "), Span("× off", "dim"),
]  # fmt: skip

_KEYS: tuple[tuple[tuple[str, str, str], ...], ...] = (
    (
        ("space", "toggle", "space"), ("v", "range", "v"), ("a", "all", "a"), ("u", "unpin", "u"),
        ("U", "unpin all", "U"), ("y", "row to all vCPUs", "y"), ("w", "side", "w"),
    ),
    (
        ("s", "spread", "s"), ("c N", "compact", ""), ("m", "follow memory", "m"), ("[ ]", "node", ""),
        ("enter", "preview", "enter"), ("esc", "leave", "escape"),
    ),
)  # fmt: skip


def _key_lines() -> list[SpanLine]:
    out: list[SpanLine] = []
    for line in _KEYS:
        spans: list[Span] = []
        for key, what, action in line:
            spans += [
                Span("  " if spans else ""),
                Span(key, "key", action or None),
                Span(f" {what}", "", action or None),
            ]
        out.append(spans)
    return out


KEY_LINES: Sequence[SpanLine] = tuple(_key_lines())
"""The two lines that teach the keys; a click on one does what it does."""


def here(table: PinTable, side: str) -> tuple[str, ...]:
    """Return the sides ("live", "persistent") that `side` means of what there is, live first."""
    found = (LIVE,) * table.live + (PERSISTENT,) * table.persistent
    return tuple(one for one in found if side in (BOTH, one))


def side_words(table: PinTable, side: str) -> str:
    """Return when a change on that side holds."""
    found = here(table, side)
    return _SIDE_WORDS[BOTH if len(found) > 1 else found[0] if found else side]


def row_lines(table: PinTable, row: PinRow, wish: Wish, edited: bool, side: str) -> tuple[SpanLine, SpanLine]:
    """Return the thread in words: its wish as shown and what else holds, then what the kernel does with it."""
    first = [Span(f"{row.thread}: ", "title"), Span(_may_run(wish), "key" if edited else "")]
    if (other := _other_wish(table, row, edited, side)) is not None:
        first += [Span(" (", "dim"), other, Span(")", "dim")]
    indent = Span(" " * (cells(row.thread) + 2))
    if not row.there:
        return first, [indent, Span("not plugged now" if table.live else "not running", "dim")]
    on = "" if row.on_cpu is None else f", runs on {row.on_cpu}"
    use = "?" if row.use_percent is None else f"{row.use_percent:.0f}"
    wait = "?" if row.wait_percent is None else f"{row.wait_percent:.1f}"
    figures = Span(f"{on}, {use} % used, waited {wait} %")
    return first, [indent, _kernel(row, edited or side == PERSISTENT), figures]


def _may_run(wish: Wish) -> str:
    return f"may run on {format_cpus(wish)}" if wish else "not pinned"


def _list(wish: Wish) -> str:
    return format_cpus(wish) if wish else "not pinned"


def _other_wish(table: PinTable, row: PinRow, edited: bool, side: str) -> Span | None:
    """Return what held before the edit, else what holds on the other side where that is something else."""
    if edited:
        return Span(f"was: {_list(row.live if LIVE in here(table, side) else row.persistent)}", "dim")
    if row.live == row.persistent or not (table.live and table.persistent):
        return None
    other = f"now: {_list(row.live)}" if side == PERSISTENT else f"next boot: {_list(row.persistent)}"
    return Span(other, "warn")


def _kernel(row: PinRow, apart: bool) -> Span:
    """Return where the kernel lets it run; a drift only from the wish that it has to follow."""
    if row.real is None:
        return Span("kernel: ?", "unknown")
    if row.drift and not apart:
        return Span(f"kernel: {format_cpus(row.real)}: drift", "warn")
    return Span(f"kernel: {format_cpus(row.real)}")


def cpu_line(cpu: HostCpu, load: float | None, claims: Sequence[str], barred: str) -> SpanLine:
    """Return the CPU in words: where it is, how busy, who else is bound to it."""
    where = [f"node {cpu.node}"] if cpu.node is not None else []
    where += [f"core {cpu.core}"] if cpu.core is not None else []
    others = [number for number in cpu.siblings if number != cpu.number]
    where += [f"sibling {format_cpus(others)}"] if others else []
    if cpu.online:
        where.append("? % busy" if load is None else f"{load:.0f} % busy")
    spans = [Span(f"CPU {cpu.number}: ", "title"), Span(", ".join(where))]
    if barred:
        spans.append(Span(f"{', ' if where else ''}{barred}", "bad"))
    if claims:
        more = f" and {len(claims) - _MOST_NAMES} more" if len(claims) > _MOST_NAMES else ""
        spans.append(Span(f", claimed by {', '.join(claims[:_MOST_NAMES])}{more}", "warn"))
    return spans


def state_line(table: PinTable, side: str, changed: int, hint: str, note: str) -> SpanLine:
    """Return which side is edited and how many rows were; in its place what the last key has to say."""
    if note:
        return [Span(note, "warn")]
    rows = "nothing changed" if not changed else "1 row changed" if changed == 1 else f"{changed} rows changed"
    memory = f" · memory on node {format_cpus(table.memory_nodes)}" if table.memory_nodes else ""
    line = [Span("edits apply "), Span(side_words(table, side), "title"), Span(f" · {rows}{memory}")]
    return [*line, FILL, Span(hint, "dim")]
