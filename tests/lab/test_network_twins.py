"""Every action on a network does what its command does: virtdeck changes one twin, virsh the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.network_cases import CASES
from tests.lab.network_twins import NetworkCase, try_case
from tests.lab.network_words import NetworkDeck
from tui import ops
from tui.actions import ACTIONS
from tui.actions.base import FieldKind
from tui.ops.base import Outcome
from tui.ops.networks import SetNetworkAutostart


@pytest.fixture
def deck(lab: LabHost, tmp_path: Path) -> Iterator[NetworkDeck]:
    """virtdeck on the lab's host."""
    with NetworkDeck(lab.uri, tmp_path / "home") as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_network_twins(lab: LabHost, deck: NetworkDeck, tmp_path: Path, case: NetworkCase) -> None:
    try_case(lab, deck, tmp_path, case)


@pytest.mark.parametrize("broken", ["op", "command"])
def test_network_twins_notice_what_does_nothing(
    lab: LabHost, deck: NetworkDeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "op":
        monkeypatch.setitem(ops._OPS, SetNetworkAutostart, lambda _request, _context: Outcome("done"))
    else:
        monkeypatch.setattr("tui.actions.pool_steps.virsh", lambda uri, *_words: ("virsh", "-c", uri, "uri"))
    case = next(case for case in CASES if case.id == "autostart-on")
    with pytest.raises(AssertionError, match="what virtdeck did is not what the command did"):
        try_case(lab, deck, tmp_path, case)


def test_every_network_action_and_every_value_has_a_twin() -> None:
    cases: list[tuple[str, Mapping[str, str]]] = [(case.action, case.values) for case in CASES]
    ours = [action for action in ACTIONS if action.id.startswith("network.")]
    assert {action for action, _values in cases} == {action.id for action in ours}
    for action in ours:
        for asked in action.fields:
            wanted = ("no", "yes") if asked.kind is FieldKind.FLAG else asked.choices
            default = {"start": "yes"}.get(asked.name, wanted[0] if wanted else "")
            found = {values.get(asked.name, default) for ident, values in cases if wanted and ident == action.id}
            assert found == set(wanted), f"{action.id} has no twin for every {asked.name}"
