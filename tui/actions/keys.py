"""The keys, told from the actions themselves: for the help, KEYS.md and `virtdeck do --list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.actions import ACTIONS

if TYPE_CHECKING:
    from tui.actions.base import Action

PALETTE = ":"
"""What stands for the key of an action that has none."""

GENERAL: tuple[tuple[str, str], ...] = (
    ("j k ↓ ↑", "move; a count repeats it: a 0 and the number before it, as in `05j`"),
    ("g G", "first, last row; with a count to that row, as in `012G`"),
    ("PgUp PgDn ctrl+u ctrl+d", "a page, half a page"),
    ("h l ← →", "scroll columns that do not fit"),
    ("space", "mark and move on; actions then apply to all marked"),
    ("*", "mark all shown, or none"),
    ("/", "filter, as in `web state:running cpu>50 !test`"),
    ("< >", "sort by the column to the left, to the right"),
    ("=", "reverse the order"),
    ("enter", "open the detail"),
    ("- + _", "in storage: fold the pool, unfold it, fold or unfold all; a filter shows what is folded too"),
    ("[ ]", "previous, next tab of the detail"),
    ("v", "show or hide the detail"),
    ("esc", "back: drop the count, the marks; close the detail; drop the filter"),
    (": ctrl+p", "palette: all actions by name; those with `:` for their key are in it alone"),
    ("1 2 3 4 5 6 7", "panes: triage, domains, storage, networks, interfaces, topology, journal"),
    (".", "from a guest, network or link to its place in the topology, and from there to its row"),
    ("H", "the host: its CPUs and their load, NUMA nodes, memory, huge pages"),
    ("ctrl+t", "on a domain, a process or a link, in the topology too: trace the way of its packets, hop by hop"),
    ("h j k l", "in the topology: from thing to thing; `enter` goes to what `▸` refers to, or to its pane"),
    ("f F", "in the topology: only what is around the cursor, a hop more each time; a hop less"),
    ("t", "in the topology: buses side by side, or a tree"),
    ("space", "in the topology: open or fold a folded line; in the tree a bridge or namespace"),
    ("n N", "in the topology: next, previous thing that `/` finds"),
    ("f", "in triage: the plan of the first action that mends the finding"),
    ("enter", "in triage: from the detail to the thing that the finding is about"),
    ("u", "in the journal: undo the change under the cursor"),
    ("c", "in the journal: cancel the change under the cursor that is under way"),
    ("↓ ↑ ← → enter y", "in a dialog: next field, next choice, go ahead; `esc` leaves it"),
    ("F5 ctrl+l", "read and draw everything again"),
    ("?", "help"),
    ("q ctrl+c", "quit"),
)
"""Keys that no action owns, and what they do."""


def describe(action: Action) -> dict[str, Any]:
    """Return an action as JSON-able data: id, key, what it applies to, help, fields."""
    return {
        "id": action.id,
        "title": action.title,
        "key": action.key,
        "applies_to": action.kind.value,
        "bulk": action.bulk,
        "help": action.help,
        "fields": [
            {"name": f.name, "label": f.label, "kind": f.kind.value, "choices": list(f.choices), "help": f.help}
            for f in action.fields
        ],
    }


def markdown() -> str:
    """Return all keys as a Markdown page."""
    lines = ["# Keys", "", "Made by `virtdeck keys` from the actions; `make keys` writes it anew.", ""]
    lines += ["## Everywhere", "", "| Key | What it does |", "| --- | --- |"]
    lines += [f"| {_code(keys)} | {what} |" for keys, what in GENERAL]
    lines += ["", "## Actions", "", "| Key | On | Action | Id | What it does |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| `{action.key or PALETTE}` | {action.kind.value} | {action.title} | `{action.id}` | {action.help} |"
        for action in ACTIONS
    ]
    return "\n".join(lines)


def _code(keys: str) -> str:
    return " ".join(f"`{key}`" for key in keys.split(" "))
