"""Keys: the actions' own, and as configured."""

from __future__ import annotations

from collections import Counter

import pytest

from tui.actions import ACTIONS
from tui.actions.keys import markdown
from tui.commands import COMMANDS
from tui.config import ConfigError
from tui.keymap import keys_of
from tui.widgets.grid_keys import KEYS


def test_without_a_configuration_each_action_has_its_own_key() -> None:
    assert keys_of({}) == {action.id: action.key for action in ACTIONS}


def test_a_configured_key_replaces_the_actions_own() -> None:
    keys = keys_of({"domain.start": "V"})
    assert keys["domain.start"] == "V"
    assert keys["domain.destroy"] == "x"


def test_two_keys_can_be_swapped_over_a_third() -> None:
    keys = keys_of({"domain.start": "V", "domain.destroy": "s"})
    assert (keys["domain.start"], keys["domain.destroy"]) == ("V", "s")


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"domain.nope": "s"}, "no action 'domain.nope'; see: virtdeck do --list"),
        ({"domain.start": "x"}, "domain.destroy has that key"),
        ({"domain.start": "/"}, "belongs to the frame"),
        ({"domain.start": "7"}, "belongs to the frame"),
        ({"domain.start": "j"}, "belongs to the frame"),
        ({"domain.start": "*"}, "belongs to the frame"),
        ({"domain.start": " "}, "belongs to the frame"),
        ({"domain.start": "f5"}, "belongs to the frame"),
        ({"\x1bx": "s"}, "no action '␛x'"),
    ],
)
def test_what_cannot_be(configured: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keys_of(configured)
    assert said in str(caught.value)


def test_the_actions_own_keys_collide_with_nothing() -> None:
    taken = {*COMMANDS, *KEYS}
    assert not {action.key for action in ACTIONS} & taken
    # A pane has the actions on the host of one family alone.
    uses = Counter((action.kind, action.id.partition(".")[0], action.key) for action in ACTIONS if action.key)
    # Suspend and resume share a key: what is paused cannot be paused.
    assert {key for key, count in uses.items() if count > 1} == {(ACTIONS[0].kind, "domain", "p")}


def test_an_action_without_a_key_is_in_the_palette_alone_until_it_is_given_one() -> None:
    keyless = [action for action in ACTIONS if not action.key]
    assert len(keyless) > 1, "they do not clash"
    page = markdown()
    assert all(f"| `:` | {action.kind.value} | {action.title} | `{action.id}` |" in page for action in keyless)
    assert keys_of({keyless[0].id: "V"})[keyless[0].id] == "V"
