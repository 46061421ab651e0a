"""The monitor's prompt and the host's own dialog, on the screen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck
from tui.actions import BY_ID
from tui.actions.base import Context, FieldError, make_plan
from tui.dialogs import monitor
from tui.dialogs.editors import Opening
from tui.dialogs.host import HostDialog
from tui.dialogs.monitor import MOST_LINES, MonitorScreen
from tui.dialogs.plan import PlanDialog
from tui.model.journal import Entry, Status
from tui.model.plan import Plan
from tui.model.text import wrapped
from tui.paths import kept_dir

ACTION = BY_ID["domain.monitor"]


@dataclass(slots=True)
class Prompt:
    """The prompt on the screen of the demo host, whose libvirt has no monitor: what it sends is kept, and answered by
    the test."""

    deck: Deck
    screen: MonitorScreen
    sent: list[Plan] = field(default_factory=list)

    async def enter(self, command: str) -> None:
        """Type a command and send it."""
        await self.deck.type(command)
        await self.deck.press("enter")

    async def answer(self, output: str, status: Status = Status.DONE, *results: str) -> None:
        """Give the answer to what was sent last, as a job tells of it."""
        ident, plan = str(len(self.sent)), self.sent[-1]
        for now in (Status.RUNNING, status):
            if output and now is not Status.RUNNING:
                self.screen.show_output(ident, output)
            self.screen.show_entry(Entry(ident, 0, "", plan.action, plan.title, (), now, results))
        await self.deck.settle()

    def printed(self) -> list[str]:
        """All lines above the one that is typed into."""
        return ["".join(span.text for span in line) for line in self.screen._view.lines]

    @property
    def line(self) -> str:
        """What is typed so far."""
        return self.screen._entry.value


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier prompts of this process left is not there."""
    monkeypatch.setattr(monitor, "_session", monitor._Session())


async def prompt_of(deck: Deck) -> Prompt:
    """The prompt of web-01, opened as its action would."""
    domain = deck.domain("web-01")

    def context() -> Context:
        return Context(deck.snapshot, kept_dir())

    def planner(values: dict[str, str]) -> Plan:
        # The action itself is for QEMU alone; all but that is as it is.
        steps = tuple(ACTION.steps(context(), domain, values))
        notes = tuple(ACTION.notes(context(), domain, values))
        return Plan(ACTION.id, f"{ACTION.title} {domain.name}", steps, ACTION.confirm, notes=notes)

    def run(plan: Plan) -> str:
        prompt.sent.append(plan)
        return str(len(prompt.sent))

    def ask(_values: dict[str, str]) -> None:
        raise AssertionError("the prompt asks by itself")

    opening = Opening(ACTION, (domain,), ACTION.defaults(context(), [domain]), context, planner, ask, run)
    prompt = Prompt(deck, MonitorScreen(opening))
    deck.app.push_screen(prompt.screen)
    await deck.settle()
    return prompt


async def test_a_driver_without_a_monitor_says_so(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("!")
        await deck.expect_toast("QEMU monitor: libvirt's TEST driver has no QEMU monitor")
        with pytest.raises(FieldError, match="has no QEMU monitor"):
            make_plan(ACTION, Context(deck.snapshot, kept_dir()), [deck.domain("web-01")], {"command": "info status"})


async def test_reading_is_warned_of_once_and_changing_each_time(demo: OpenDeck) -> None:
    async with demo() as deck:
        prompt = await prompt_of(deck)
        await prompt.enter("info status")
        assert "tainted (custom-monitor)" in deck.popup()
        assert "libvirt is not told" not in deck.popup()
        await deck.press("enter")
        assert isinstance(deck.app.screen, PlanDialog), "enter alone does not say yes"
        await deck.press("y")
        await prompt.answer("VM status: running\r\n")
        await prompt.enter("info version")
        await prompt.answer("7.2.0\r\n")
        assert prompt.printed() == ["(hmp) info status", "VM status: running", "(hmp) info version", "7.2.0"]
        for _ in range(2):
            await prompt.enter("stop")
            assert "libvirt is not told" in deck.popup()
            await deck.press("y")
            await prompt.answer("", Status.DONE, "monitor web-01: stop: done")
        assert prompt.printed()[-1] == "monitor web-01: stop: done"
        await prompt.enter("quit")
        assert "loses what the guest has not written to disk" in deck.popup()
        await deck.press("escape")
        assert prompt.printed()[-1] == "not sent"
        assert [step.command[-1] for plan in prompt.sent for step in plan.steps] == [
            "info status", "info version", "stop", "stop",
        ]  # fmt: skip
        await deck.cancel()


async def test_what_is_refused_or_fails_is_said_in_the_prompt(demo: OpenDeck) -> None:
    async with demo() as deck:
        prompt = await prompt_of(deck)
        await prompt.enter("balloon 1G")
        assert prompt.printed()[-1] == "balloon takes whole MiB, as in: balloon 512"
        monitor._session.warned.add(deck.domain("web-01").key)
        await prompt.enter("info foo")
        await prompt.enter("info status")
        assert prompt.printed()[-1] == "the command before has not been answered yet"
        assert prompt.line == "info status", "what was typed stays"
        await prompt.answer("", Status.FAILED, "monitor web-01: info foo: unknown command: 'info foo'.")
        assert prompt.printed()[-1] == "monitor web-01: info foo: unknown command: 'info foo'."
        await deck.press("enter")
        assert len(prompt.sent) == 2


async def test_history_and_completion(demo: OpenDeck) -> None:
    async with demo() as deck:
        prompt = await prompt_of(deck)
        monitor._session.warned.add(deck.domain("web-01").key)
        for command in ("info status", "info name"):
            await prompt.enter(command)
            await prompt.answer("x\r\n")
        await deck.press("up", "up", "up")
        assert prompt.line == "info status"
        await deck.press("down")
        assert prompt.line == "info name"
        await deck.press("down", "down")
        assert prompt.line == ""
        await deck.type("info stat")
        await deck.press("tab")
        assert prompt.line == "info status "
        await deck.press("ctrl+u")
        await deck.type("info block")
        await deck.press("tab")
        assert prompt.line == "info block"
        assert prompt.printed()[-1] == "block  blockstats"
        assert deck.app.focused is prompt.screen._entry
        await deck.press("ctrl+u", "ctrl+t")
        await deck.type("query-stat")
        await deck.press("tab", "enter")
        await prompt.answer('{"return":{"status":"running"},"id":"libvirt-1"}')
        assert prompt.printed()[-6:] == [
            "{", '  "return": {', '    "status": "running"', "  },", '  "id": "libvirt-1"', "}",
        ]  # fmt: skip


async def test_hostile_and_long_answers(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        prompt = await prompt_of(deck)
        monitor._session.warned.add(deck.domain("web-01").key)
        await prompt.enter("info name")
        await prompt.answer("\x1b]0;owned\x07\x1b[31mred [red]x[/] \u202eevil\u009b5m\r\n" + "wide " * 40 + "\r\n")
        assert prompt.printed()[1] == "␛]0;owned␇␛[31mred [red]x[/] �evil�5m"
        assert max(map(len, prompt.printed())) <= 76
        text = deck.text()
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\u009b"}
        assert "[red]x[/]" in text
        await prompt.enter("info mtree")
        await prompt.answer("".join(f"line {number}\r\n" for number in range(3 * MOST_LINES)))
        assert len(prompt.printed()) == MOST_LINES
        assert f"line {3 * MOST_LINES - 1}" in deck.text()
        await deck.press("pageup", "pageup")
        assert f"line {3 * MOST_LINES - 1}" not in deck.text()


async def test_what_was_printed_is_wrapped_once(demo: OpenDeck, monkeypatch: pytest.MonkeyPatch) -> None:
    """But in another width anew, and of what is too much only the end."""
    seen: list[str] = []

    def noted(text: str, width: int) -> list[str]:
        seen.append(text[:5])
        return wrapped(text, width)

    monkeypatch.setattr(monitor, "wrapped", noted)
    async with demo(size=(80, 24)) as deck:
        prompt = await prompt_of(deck)
        monitor._session.warned.add(deck.domain("web-01").key)
        for word in ("first", "other"):
            await prompt.enter("info name")
            await prompt.answer(f"{word} {'wide ' * 34}\r\nend\r\n")
        assert seen == ["first", "other"]
        narrow = prompt.printed()
        await deck.pilot.resize_terminal(120, 30)
        await deck.settle()
        assert seen == ["first", "other", "first", "other"]
        assert len(prompt.printed()) < len(narrow)
        assert " ".join(prompt.printed()).split() == " ".join(narrow).split()
        await prompt.enter("info name")
        await prompt.answer("x" * 120 * (MOST_LINES + 10))
        assert len(prompt.printed()) == MOST_LINES


# The host


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_host_is_shown_and_read_only_while_it_is(demo: OpenDeck, size: tuple[int, int]) -> None:
    async with demo(size=size) as deck:
        assert deck.snapshot.cpus is None
        await deck.press("H")
        await deck.until(lambda: deck.snapshot.cpus is not None, "the host is read")
        assert isinstance(deck.app.screen, HostDialog)
        said = deck.popup()
        assert "CPUs         32: 2 sockets, 16 cores, 2 threads a core" in said
        assert "Node 0       CPUs 0-15" in said
        assert "THP, KSM and swap cannot be seen" in said
        assert "Node 1       CPUs 16-31" in deck.text()
        assert deck.app.collector._focus.host
        await deck.press("escape")
        assert not deck.app.collector._focus.host
        assert len(deck.app.screen_stack) == 1
