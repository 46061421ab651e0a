"""Plans: the commands that do the same, what they lose, how they are undone."""

from __future__ import annotations

from tui.model.plan import Plan, Step
from tui.ops.lifecycle import Destroy, Resume, Suspend

BACK = Step("resume a", ("virsh", "resume", "a"), Resume("a"), "a")
SUSPEND = Step("suspend a", ("virsh", "suspend", "a"), Suspend("a"), "a", undo=(BACK,))
OTHER_BACK = Step("resume b", ("virsh", "resume", "b"), Resume("b"), "b")
OTHER = Step("suspend b", ("virsh", "suspend", "b"), Suspend("b"), "b", undo=(OTHER_BACK,))


def destroy(name: str, loses: str) -> tuple[Step, Step]:
    soft = Step("off", ("virsh", "destroy", name, "--graceful"), Destroy(name, True), name, loses=loses)
    return soft, Step("off", ("virsh", "destroy", name), Destroy(name), name, loses=loses, only_if_failed=True)


def test_a_fallback_is_joined_to_the_step_before_it() -> None:
    plan = Plan("domain.destroy", "Force off", (*destroy("a", "memory"), *destroy("b", "memory")))
    assert plan.command_lines() == [
        "virsh destroy a --graceful || virsh destroy a",
        "virsh destroy b --graceful || virsh destroy b",
    ]


def test_each_loss_is_named_once_in_step_order() -> None:
    plan = Plan("x", "x", (*destroy("a", "memory"), *destroy("b", "memory"), *destroy("c", "all"), SUSPEND))
    assert plan.losses() == ["memory", "all"]


def test_undo_goes_backwards() -> None:
    assert Plan("x", "x", (SUSPEND, OTHER)).undo_steps() == (OTHER_BACK, BACK)
    assert Plan("x", "x", destroy("a", "memory")).undo_steps() == ()


def test_commands_are_quoted_for_a_shell_and_safe_to_show() -> None:
    step = Step("x", ("virsh", "start", "a b'c", "\x1b[31m", "$(reboot)", "-x"), Suspend("a"), "a")
    assert step.command_line() == """virsh start 'a b'"'"'c' '␛[31m' '$(reboot)' -x"""
