"""The screen of the pin matrix: how it reads, what its keys plan, and what names of strangers do to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.capture import captured
from tests.ui.pin_tables import EIGHT, PinsApp, cpus, row, shown, table

EIGHT_BY_64 = """\
Pins of web1
           node 0 ───────────────────────── node 1 ─────────────────────────
CPU                  1111111111222222222233 33333333444444444455555555556666
           01234567890123456789012345678901 23456789012345678901234567890123
load       ▁▁▁▁▁▁▁▁▂▂?▂▂▂▂▂▃▃▃▃▃▃▃▃▄▄▄▄▄▄▄▅ ▅▅▅▅▅▅▅▆▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇████████
claims             21
vcpu 0     ◆■■■···························· ·······························×
vcpu 1     ····■◆·························· ·······························×
vcpu 2    !······■□+◇······················ ·······························×
vcpu 3     ▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫ ▫▫▫▫▫▫▫▫◆▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫×
vcpu 4    !································ +◆·····························×
vcpu 5    ≠································ ··················◆■···········×
vcpu 6     ················■■■■◆■■■■■■■■■■■ ·······························×
vcpu 7     ································ ······························■×
emulator   ◆▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫ ▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫▫×
iothread 1 ········◆······················· ·······························×

vcpu 0: may run on 0-3
        kernel: 0-3, runs on 0, 12 % used, waited 0.4 %
CPU 0: node 0, core 0, 0 % busy
edits apply now and from the next boot on · nothing changed · memory on node 1
■ pinned  ▫ no pin  ◆ runs there  ◇ runs there, not wished  + □ drift  × off
space toggle  v range  a all  u unpin  U unpin all  y row to all vCPUs  w side
s spread  c N compact  m follow memory  [ ] node  enter preview  esc leave"""


def foot(text: str) -> list[str]:
    """The thread in two lines, the CPU, and the edits or what the last key has to say."""
    return [line.strip() for line in text.split("\n")[-7:-3]]


async def test_eight_vcpus_by_64_cpus_at_80_by_24() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        assert await shown(screen) == EIGHT_BY_64


async def test_the_line_in_words() -> None:
    app = PinsApp(table([replace(EIGHT[2], wait_percent=None), *EIGHT[5:8], row("emulator", real=None, on_cpu=None)]))
    async with captured(app, size=(120, 24)) as screen:
        lines = [foot(await shown(screen, *keys))[:2] for keys in ((), "j", "j", "j", "j")]
        assert lines == [
            ["vcpu 2: may run on 6-7", "kernel: 6,8-9: drift, runs on 9, 12 % used, waited ? %"],
            ["vcpu 5: may run on 50-51 (next boot: 60-61)", "kernel: 50-51, runs on 50, 12 % used, waited ? %"],
            ["vcpu 6: may run on 16-31", "kernel: 16-31, runs on 20, 12 % used, waited 0.4 %"],
            ["vcpu 7: may run on 62-63", "not plugged now"],
            ["emulator: not pinned", "kernel: ?, 12 % used, waited 0.4 %"],
        ]
        assert foot(await shown(screen, *["l"] * 8))[2] == "CPU 8: node 0, core 8, 13 % busy, claimed by db2, web7"
        assert foot(await shown(screen, "end"))[2] == "CPU 63: node 1, core 63, is offline"


async def test_five_presses_to_a_pin_and_only_changed_rows_are_planned() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen, "j", "j", "j", "space")
        assert foot(text)[0] == "vcpu 3: may run on 0 (was: not pinned)"
        assert "1 row changed" in foot(text)[3]
        assert "vcpu 3    *■" in text
        await shown(screen, "enter")
        assert app.asked == [{"pins": "vcpu 3=0", "where": "both"}]


async def test_news_of_every_target_are_shown() -> None:
    rows = (row("vcpu 0", (0,)), row("vcpu 1", (1,)))
    one, other = table(rows), table(rows, name="web2")
    app = PinsApp(one, other)
    async with captured(app, size=(80, 24)) as screen:
        before = await shown(screen)
        assert "vcpu 1" in before
        app.tell(one, replace(other, rows=rows[:1]))
        assert "vcpu 1" not in await shown(screen), "the other has none any more"
        app.tell(one, other)
        assert await shown(screen) == before


async def test_the_side_is_turned_and_tells_where_the_other_differs() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, *"jjjjj")
        now = await shown(screen, "w")
        assert foot(now)[3].startswith("edits apply now · nothing changed")
        assert "(next boot: 60-61)" in foot(now)[0]
        later = await shown(screen, "tab")
        assert foot(later)[3].startswith("edits apply from the next boot on")
        assert "may run on 60-61 (now: 50-51)" in foot(later)[0]
        assert "vcpu 2     ······■■·◇" in later, "there is no drift from what holds at the next boot"
        await shown(screen, "u", "enter")
        assert app.asked == [{"pins": "vcpu 5=all", "where": "persistent"}]


async def test_both_sides_are_made_the_same_by_touching_the_row() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, *"jjjjj", "space", "space", "enter")
        assert app.asked == [{"pins": "vcpu 5=50-51", "where": "both"}]


async def test_a_row_that_drifted_is_set_right_by_touching_it() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen, "j", "j", "space", "space")
        assert "vcpu 2    *" in text
        await shown(screen, "enter")
        assert app.asked == [{"pins": "vcpu 2=6-7", "where": "both"}]


async def test_a_pin_to_all_cpus_is_none() -> None:
    app = PinsApp(table([row("vcpu 0", tuple(range(64)), on_cpu=5)]))
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen)
        assert "vcpu 0   ▫▫▫▫▫◆▫▫▫▫" in text
        assert foot(text)[0] == "vcpu 0: not pinned"
        assert foot(await shown(screen, "u", "enter"))[3] == "nothing changed"
        await shown(screen, "space", "enter")
        assert app.asked == [{"pins": "vcpu 0=0", "where": "both"}]


async def test_an_affinity_of_no_cpu_is_none_that_was_seen() -> None:
    app = PinsApp(table([row("vcpu 0", (1,), real=(), on_cpu=None, drift=True)]))
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen)
        assert "vcpu 0   ·■····" in text
        assert foot(text)[1].startswith("kernel: ?")


async def test_what_has_one_side_alone() -> None:
    app = PinsApp(table([row("vcpu 0", None, real=(0, 1), on_cpu=1)], persistent=False), where=None)
    async with captured(app, size=(80, 24)) as screen:
        assert "edits apply now ·" in foot(await shown(screen))[3]
        assert "no other side: edits apply now" in foot(await shown(screen, "w"))[3]
        await shown(screen, "space", "enter")
        assert app.asked == [{"pins": "vcpu 0=0"}]


@pytest.mark.parametrize(
    ("keys", "pins"),
    [
        ("c1", "vcpu 0-1=32-62; emulator=32-62"),
        ("c0", "vcpu 0-1=0-31; emulator=0-31"),
        ("]cc", "vcpu 0-1=32-62; emulator=32-62"),
        ("m", "vcpu 0-1=32-62; emulator=32-62"),
        ("y", "vcpu 1=0-3"),
        ("jay", "vcpu 0-1=0-62"),
        ("U", "vcpu 0-1=all"),
    ],
)
async def test_placements_by_one_key(keys: str, pins: str) -> None:
    app = PinsApp(table([*EIGHT[:2], row("emulator", None, real=tuple(range(63)), on_cpu=0)]))
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, *({"]": "right_square_bracket"}.get(key, key) for key in keys), "enter")
        assert [asked["pins"] for asked in app.asked] == [pins]


async def test_spread_gives_each_vcpu_a_cpu_of_its_own() -> None:
    app = PinsApp(table([row("vcpu 0"), row("vcpu 1"), row("emulator")], cpus=cpus(8, nodes=2), claims={}))
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, "s")
        wishes = [app.editor._matrix.wish(f"vcpu {number}") for number in range(2)]
        assert len(set(wishes)) == 2
        assert all(wish is not None and len(wish) == 1 for wish in wishes)


async def test_refusals_are_told_and_change_nothing() -> None:
    app = PinsApp(table(memory_nodes=(), allowed=tuple(range(32))))
    async with captured(app, size=(80, 24)) as screen:
        assert foot(await shown(screen, "enter"))[3] == "nothing changed"
        assert "not bound to a NUMA node" in foot(await shown(screen, "m"))[3]
        assert "node 7 has no CPU" in foot(await shown(screen, "c", "7"))[3]
        assert foot(await shown(screen, "end", "space"))[3] == "CPU 63 is offline"
        assert foot(await shown(screen, "h", "space"))[3] == "CPU 62 is outside the cpuset of its process"
        await shown(screen, "c", "escape", "escape")
        assert app.left == [None]


async def test_a_cpuset_does_not_bind_the_next_boot() -> None:
    app = PinsApp(table(allowed=tuple(range(32))))
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, "w", "w", "end", "h", "space", "enter")
        assert app.asked == [{"pins": "vcpu 0=0-3,62", "where": "persistent"}]


async def test_what_the_plan_refuses_leaves_the_edits_there() -> None:
    app = PinsApp(refusal="CPU 1 is in the \x1b[31mway")
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen, "u", "enter")
        assert foot(text)[3] == "CPU 1 is in the ␛[31mway"
        assert app.asked == app.left == []
        assert app.planned == [{"pins": "vcpu 0=all", "where": "both"}]
        assert "vcpu 0    *" in text


async def test_esc_drops_edits_only_when_asked_twice() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        assert foot(await shown(screen, "u", "escape"))[3] == "esc again drops the edits of 1 row; enter shows them"
        assert "1 row changed" in foot(await shown(screen, "j"))[3]
        await shown(screen, "v", "escape", "escape")
        assert app.asked == app.left == []
        await shown(screen, "escape")
        assert app.left == [None]


async def test_news_of_the_host_move_what_is_seen_and_leave_the_edits() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, "space")
        await screen.written()
        app.tell(table())
        assert await screen.written() == "", "the same news write nothing"
        app.tell(table([replace(EIGHT[0], on_cpu=3, use_percent=88.0), *EIGHT[1:]], loads={0: 99.0}))
        text = await shown(screen)
        assert "vcpu 0    *·■■◆" in text
        assert "runs on 3, 88 % used" in foot(text)[1]
        assert "CPU 0: node 0, core 0, 99 % busy" in text
        assert "load       █??" in text
        await shown(screen, "enter")
        assert app.asked == [{"pins": "vcpu 0=1-3", "where": "both"}]


async def test_a_guest_that_is_gone_is_told_and_what_was_seen_last_stays() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        app.editor.show_snapshot(replace(app.editor.opening.context().snapshot, domains={}))
        text = await shown(screen)
        assert foot(text)[3] == "web1 is gone"
        assert "vcpu 0     ◆■■■" in text


@pytest.mark.parametrize("empty", [{"cpus": ()}, {"rows": ()}, {"cpus": (), "rows": ()}])
async def test_nothing_read_yet_takes_every_key(empty: dict[str, tuple[()]]) -> None:
    app = PinsApp(table(**empty))
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen, "space", "a", "j", "end", "v", "c", "c", "m", "w", "tab", "enter")
        assert ("CPUs are not read yet" in text) == ("cpus" in empty)
        assert ("no threads to pin" in text) == ("rows" in empty)
        assert app.asked == app.left == []
        app.tell(table())
        assert "vcpu 0     ◆■■■" in await shown(screen)


async def test_many_domains_show_the_first_and_the_threads_that_all_have() -> None:
    small = table([row("vcpu 0", (9,)), row("vcpu 1", (4, 5)), row("emulator")], name="web2")
    app = PinsApp(table(), small)
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen)
        assert text.startswith("Pins of 2 domains, shown: web1")
        assert [line[:8].strip() for line in text.split("\n")[6:9]] == ["vcpu 0", "vcpu 1", "emulator"]
        assert "vcpu 0  ≠" in text
        await shown(screen, "y", "enter")
        assert app.asked == [{"pins": "vcpu 0-1=0-3", "where": "both"}]


async def test_hostile_names_are_shown_as_they_are() -> None:
    names = ("[@click=app.boom]x[/]", "a[/]b", "$(reboot)", "[red]")
    app = PinsApp(table(name="[b]web[/b]", claims={0: names}))
    async with captured(app, size=(120, 24)) as screen:
        text = await shown(screen)
        assert text.startswith("Pins of [b]web[/b]")
        assert "claimed by " + ", ".join(names) in foot(text)[2]
        await screen.pilot.click(offset=(60, 19))
        assert app.booms == 0


async def test_forty_threads_by_256_cpus_scroll_at_80_by_24() -> None:
    many = [row(f"vcpu {number}", (number * 16,)) for number in range(40)]
    app = PinsApp(table(many, cpus=cpus(256, nodes=4, threads=2), loads={}, claims={}))
    async with captured(app, size=(80, 24)) as screen:
        text = await shown(screen, "G", "end")
        first, *_, last = text.split("\n")[:17]
        assert "rows 32-40 of 40" in first
        assert "of 256" in first
        assert last.startswith("vcpu 39 ")
        assert foot(text)[2].startswith("CPU 255: node 3, core 127, sibling 127")
        assert "└┘" in text


async def test_it_reads_without_colours_and_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.widgets.ascii import plain

    glyphs = "■·×◆◇+□≠▁?"
    assert len({plain(glyph) for glyph in glyphs}) == len(glyphs) - 1, "only the empty load and □ may share a sign"
    monkeypatch.setenv("NO_COLOR", "1")
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        await shown(screen, "j", "j", "l")
        looks = screen.terminal.looks(8)
        assert [x for x, look in enumerate(looks) if look[5]] == [12], "the cell under the cursor is reversed"
        assert looks[0][3], "its thread is bold"
        assert screen.terminal.looks(3)[12][3], "so is its CPU's number"


async def test_a_click_on_a_key_does_what_it_does() -> None:
    app = PinsApp()
    async with captured(app, size=(80, 24)) as screen:
        await screen.pilot.click(offset=(2, 22))
        assert "1 row changed" in foot(await shown(screen))[3]
        await screen.pilot.click(offset=(3, 23))
        assert "10 rows changed" in foot(await shown(screen))[3]
