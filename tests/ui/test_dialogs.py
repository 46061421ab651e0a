"""Every change through its dialog on the demo host, by keys, with what the plan says, the journal, and the undo."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.ui.conftest import OpenDeck
from tests.ui.words import Deck
from tui.actions import BY_ID
from tui.dialogs.plan import PlanDialog
from tui.model.domain import DomainState
from tui.model.journal import Status

XML = """<domain type='test'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
</domain>
"""
UUID = "6a9dbb1e-8a50-4bb2-9c2b-6f9f4b6f3c11"


def xml_file(folder: Path, name: str = "fresh", uuid: str = UUID, memory: int = 512) -> str:
    path = folder / f"{name.replace('/', '_')}.xml"
    path.write_text(XML.format(name=name, uuid=uuid, memory=memory))
    return str(path)


# States


async def test_start_as_it_is_and_paused(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        said = await deck.act("s", "Start web-04")
        assert said.splitlines()[-1].startswith("enter go")
        assert deck.domain("web-04").state is DomainState.RUNNING
        await deck.focus("db-staging")
        await deck.press("s")
        await deck.expect_popup("Start db-staging")
        await deck.choose("paused", "yes")
        assert "start db-staging --paused" in deck.popup()
        await deck.press("enter")
        # libvirt's test driver cannot; the lab's QEMU can.
        await deck.expect_toast("start db-staging: unsupported flags")
        assert [entry.title for entry in deck.app.journal.entries()] == ["Start web-04", "Start db-staging"]


async def test_force_boot_says_that_it_loses_the_saved_state(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("erp-test")
        await deck.press("s")
        assert "loses" not in await deck.expect_popup("Start erp-test")
        await deck.choose("force_boot", "yes")
        assert "loses the saved state" in deck.popup()
        await deck.press("enter")
        assert isinstance(deck.app.screen, PlanDialog), "enter alone does not lose anything"
        await deck.press("y")
        await deck.expect_toast("start erp-test: unsupported flags")
        assert deck.domain("erp-test").managed_save is True


async def test_suspend_resume_and_their_undo(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.act("p", "Suspend web-01")
        await deck.act("p", "Resume web-01")
        assert deck.domain("web-01").state is DomainState.RUNNING
        await deck.undo_last()
        assert deck.domain("web-01").state is DomainState.PAUSED


async def test_shut_down_reboot_and_reset(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("d")
        await deck.expect_popup("Shut down web-01")
        await deck.choose("mode", "acpi")
        assert "shutdown web-01 --mode acpi" in deck.popup()
        await deck.choose("mode", "default")
        await deck.confirm("Shut down web-01")
        await deck.until(lambda: deck.domain("web-01").reason == "shutdown")
        await deck.focus("web-02")
        await deck.act("r", "Reboot web-02")
        assert deck.domain("web-02").active
        assert "loses what the guest has not written to disk" in await deck.act("R", "Reset web-02")


async def test_force_off_wants_a_yes(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("x")
        said = await deck.expect_popup("Force off web-01")
        assert "loses what the guest has not written to disk" in said
        assert "destroy web-01 --graceful || virsh" in said
        await deck.press("enter", "enter", "n")
        assert deck.domain("web-01").active
        await deck.act("x", "Force off web-01")
        assert deck.domain("web-01").state is DomainState.SHUTOFF


async def test_save_to_file_and_restore(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("w")
        assert re.search(r"/web-01\.\d{8}T\d{6}\.virtdeck\.save$", deck.dialog.query_one("#field-path", Input).value)
        await deck.enter("path", "relative/path")
        assert "must be an absolute path" in deck.popup()
        await deck.enter("path", str(home / "state.save"))
        assert "is overwritten" in " ".join(deck.popup().split())
        await deck.confirm("Save to file web-01")
        assert not deck.domain("web-01").active
        await deck.press("W")
        await deck.expect_popup("Restore from file")
        await deck.enter("path", str(home / "state.save"))
        await deck.confirm("Restore from file")
        await deck.until(lambda: deck.domain("web-01").active)


async def test_managed_save_its_undo_and_its_removal(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.act("m", "Save web-01")
        assert deck.domain("web-01").managed_save is True
        await deck.undo_last()
        await deck.until(lambda: deck.domain("web-01").active)
        await deck.focus("erp-test")
        said = await deck.act("M", "Remove saved state erp-test")
        assert "loses the saved state" in said
        assert deck.domain("erp-test").managed_save is False


# Configuration


async def test_autostart_toggles_and_comes_back(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.until(lambda: deck.domain("web-01").autostart is True)
        assert "autostart web-01 --disable" in await deck.act("a", "Autostart web-01")
        await deck.until(lambda: deck.domain("web-01").autostart is False)
        await deck.undo_last()
        await deck.until(lambda: deck.domain("web-01").autostart is True)


async def test_undefine_keeps_the_xml_and_undo_brings_all_back(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        await deck.focus("db-replica")
        await deck.until(lambda: deck.domain("db-replica").autostart is True)
        before = deck.domain("db-replica").config
        said = await deck.act("D", "Undefine db-replica")
        assert "goes on running, as a transient domain" in said
        assert "disk images stay: " in said
        await deck.until(lambda: deck.domain("db-replica").persistent is False)
        kept = list((home / "state" / "virtdeck" / "kept").iterdir())
        assert len(kept) == 1
        assert kept[0].stat().st_mode & 0o777 == 0o600
        await deck.undo_last()
        await deck.until(lambda: deck.domain("db-replica").persistent is True)
        await deck.until(lambda: deck.domain("db-replica").autostart is True)
        assert deck.domain("db-replica").config == before


async def test_undefine_asks_only_for_what_there_is(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press("D")
        await deck.expect_popup("Undefine web-04")
        assert not deck.dialog.query("#field-nvram")
        await deck.cancel()
        await deck.focus("dc-01")
        await deck.press("D")
        await deck.expect_popup("Undefine dc-01")
        assert "UEFI variables stay: " in deck.popup()
        await deck.choose("nvram", "remove")
        await deck.choose("tpm", "remove")
        assert "its UEFI variables, its TPM state" in deck.popup()
        assert "--nvram --tpm" in deck.popup()


async def test_rename_and_back(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-04")
        await deck.press("e")
        await deck.expect_popup("Rename")
        assert deck.dialog.query_one("#field-name", Input).value == "web-04"
        for wrong, why in (
            ("web-01", "web-01 exists already"),
            ("", "give the new name"),
            ("a/b", "must be printable and hold no /"),
            ("-x", "must not begin with -"),
            ("a\u202eb", "must be printable and hold no /"),
        ):
            await deck.enter("name", wrong)
            assert f"New name: {why}" in " ".join(deck.popup().split()), wrong
            await deck.press("enter")
            assert isinstance(deck.app.screen, PlanDialog)
        await deck.enter("name", "front [bold] 4")
        await deck.confirm("Rename web-04")
        await deck.until(lambda: "front [bold] 4" in deck.names())
        assert deck.current == "front [bold] 4"
        await deck.undo_last()
        await deck.until(lambda: "web-04" in deck.names())


async def test_title_and_description_change_and_come_back_exactly(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("t")
        await deck.expect_popup("Describe")
        assert deck.dialog.query_one("#field-title", Input).value == "Shop front end"
        await deck.enter("title", "Front [end]")
        await deck.confirm("Describe web-01")
        await deck.until(lambda: title(deck, "web-01") == "Front [end]")
        await deck.undo_last()
        await deck.until(lambda: title(deck, "web-01") == "Shop front end")
        await deck.focus("db-primary")
        before = described(deck, "db-primary")
        assert "\n" in before
        await deck.press("t")
        # Several lines cannot be edited on one; left empty they would stay.
        assert deck.dialog.query_one("#field-description", Input).value == ""
        await deck.enter("description", "one line")
        await deck.confirm("Describe db-primary")
        assert described(deck, "db-primary") == "one line"
        await deck.undo_last()
        assert described(deck, "db-primary") == before


async def test_describe_leaves_alone_what_was_not_changed(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("db-primary")
        before = described(deck, "db-primary")
        await deck.press("t")
        assert "change it or the description" in await deck.expect_popup("Describe")
        await deck.enter("title", "other")
        assert "--title" in deck.popup()
        assert deck.popup().count("virsh") == 1
        await deck.confirm("Describe db-primary")
        await deck.until(lambda: title(deck, "db-primary") == "other")
        assert described(deck, "db-primary") == before


async def test_what_the_driver_does_not_have_is_offered_once(demo: OpenDeck) -> None:
    """libvirt's test driver cannot wake a guest that sleeps, but resume one that is paused."""

    def reason(deck: Deck, name: str) -> str | None:
        return BY_ID["domain.resume"].reason(deck.app.changes.context(deck.snapshot), deck.domain(name))

    async with demo() as deck:
        await deck.focus("desktop-anna")
        assert reason(deck, "desktop-anna") is None
        await deck.press("p")
        await deck.expect_popup("Resume desktop-anna")
        await deck.press("enter")
        await deck.expect_toast("libvirt code 3")
        assert reason(deck, "desktop-anna") == "the driver of this connection does not have this call"
        assert reason(deck, "shop-api-02") is None


async def test_a_fault_in_planning_is_said(demo: OpenDeck, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(_values: Mapping[str, str], name: str) -> str:
        raise KeyError(name)

    async with demo() as deck:
        await deck.focus("web-01")
        monkeypatch.setattr("tui.actions.lifecycle._absolute", fault)
        await deck.press("w")
        assert "virtdeck cannot plan this: KeyError" in await deck.expect_popup("Save to file")


def title(deck: Deck, name: str) -> str:
    config = deck.domain(name).config
    assert config is not None
    return config.title


def described(deck: Deck, name: str) -> str:
    """The description as libvirt has it."""
    handle = deck.app.collector.control().lookupByName(name)
    return str(handle.metadata(0, None))


# Files


async def test_define_from_a_file_and_undo(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        await deck.press("n")
        await deck.expect_popup("Define from file")
        assert "give the XML file" in deck.popup()
        os.mkfifo(home / "pipe.xml")
        (home / "odd.xml").write_text("<?xml version='1.0' encoding='nonsense'?><domain/>")
        for wrong, why in (
            (str(home / "pipe.xml"), "not a file"),
            (str(home / "odd.xml"), "nonsense"),
            (str(home / "absent.xml"), "No such file"),
            (str(home), "not a file"),
            ("~nobody-of-that-name/x.xml", "home directory"),
        ):
            await deck.enter("path", wrong)
            assert why in deck.popup(), deck.popup()
        (home / "not.xml").write_text("<domain>")
        await deck.enter("path", str(home / "not.xml"))
        assert "not XML" in deck.popup()
        (home / "net.xml").write_text("<network/>")
        await deck.enter("path", str(home / "net.xml"))
        assert "not a domain but a <network>" in deck.popup()
        await deck.enter("path", xml_file(home))
        await deck.confirm("Define from file")
        await deck.until(lambda: "fresh" in deck.names())
        assert deck.domain("fresh").persistent is True
        await deck.undo_last()
        await deck.until(lambda: "fresh" not in deck.names())


async def test_define_over_an_existing_domain_says_so_and_undo_gives_it_back(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        old = deck.domain("web-04")
        await deck.press("n")
        await deck.enter("path", xml_file(home, "web-04", old.key, memory=64))
        assert "web-04 exists: its configuration is replaced" in deck.popup()
        await deck.press("enter")
        await deck.until(lambda: memory_kib(deck, "web-04") == 64 * 1024)
        await deck.undo_last()
        await deck.until(lambda: memory_kib(deck, "web-04") == 4 * 1024 * 1024)
        assert deck.domain("web-04").config == old.config


def memory_kib(deck: Deck, name: str) -> int:
    config = deck.domain(name).config
    return config.memory_max_kib if config is not None else 0


async def test_what_libvirt_refuses_is_told_in_its_words(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        await deck.press("n")
        await deck.enter("path", xml_file(home, "web-01"))
        await deck.press("enter")
        await deck.expect_toast("domain 'web-01' already exists with uuid")
        assert deck.last_entry().status is Status.FAILED


async def test_create_a_transient_domain(demo: OpenDeck, home: Path) -> None:
    async with demo() as deck:
        await deck.press("N")
        await deck.expect_popup("Create transient from file")
        await deck.enter("path", xml_file(home, "guest"))
        await deck.choose("paused", "yes")
        assert "--paused" in deck.popup()
        await deck.choose("paused", "no")
        said = await deck.confirm("Create transient from file")
        assert "transient: libvirt forgets it when it stops" in said
        await deck.until(lambda: "guest" in deck.names())
        assert deck.domain("guest").persistent is False
        await deck.focus("guest")
        said = await deck.act("x", "Force off guest")
        assert "the transient domain itself" in said
        await deck.until(lambda: "guest" not in deck.names())


# The dialog itself


async def test_escape_and_n_leave_it(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        for key in ("escape", "n"):
            await deck.press("p")
            await deck.expect_popup("Suspend web-01")
            await deck.press(key)
            assert len(deck.app.screen_stack) == 1
        assert deck.app.journal.entries() == ()


async def test_its_buttons_can_be_clicked(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        for word, state in (("cancel", DomainState.RUNNING), ("go", DomainState.PAUSED)):
            await deck.press("p")
            await deck.expect_popup("Suspend web-01")
            y = next(y for y, line in enumerate(deck.lines()) if "enter go" in line)
            await deck.pilot.click(offset=(deck.lines()[y].index(f" {word}") + 1, y))
            await deck.until(lambda: len(deck.app.screen_stack) == 1)
            await deck.until(lambda state=state: deck.domain("web-01").state is state)  # type: ignore[misc]


async def test_choices_turn_by_keys_and_by_a_click(demo: OpenDeck) -> None:
    async with demo() as deck:
        await deck.focus("web-01")
        await deck.press("d")
        await deck.expect_popup("Shut down web-01")
        await deck.press("right")
        assert "--mode acpi" in deck.popup()
        await deck.press("left", "left")
        assert "--mode agent" in deck.popup()
        y = next(y for y, line in enumerate(deck.lines()) if "( ) default" in line)
        await deck.pilot.click(offset=(deck.lines()[y].index("default"), y))
        await deck.until(lambda: "--mode" not in deck.popup())


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 15)])
async def test_a_long_plan_can_be_read_to_its_end(demo: OpenDeck, size: tuple[int, int]) -> None:
    async with demo(size=size) as deck:
        await deck.press("*", "D")
        said = await deck.expect_popup("Undefine 46 domains")
        assert "and 34 more of the same" in said
        assert "type 46 and press enter" in deck.text()
        preview = deck.dialog._preview
        preview.focus()
        await deck.press("G")
        assert "and 34 more of the same" in deck.text()
        assert "type 46 and press enter" in deck.text()
        await deck.press("tab", *"46", "enter")
        await deck.until(lambda: len(deck.app.screen_stack) == 1)


async def test_every_command_of_a_plan_can_be_read_whole(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await deck.mark("web-01", "web-02", "web-03", "shop-api-02")
        await deck.press("x")
        await deck.expect_popup("Force off 4 domains")
        lines = [line for line in deck.dialog._preview.lines if line]
        said = " ".join(span.text.strip() for line in lines for span in line)
        assert said.count("|| virsh") == 4
        assert all(said.count(f"destroy {name}") == 2 for name in ("web-01", "web-02", "web-03", "shop-api-02"))
        assert all(sum(len(span.text) for span in line) <= 72 for line in lines)


async def test_a_form_is_as_wide_as_its_hints_where_there_is_room(demo: OpenDeck) -> None:
    async with demo(size=(120, 40)) as deck:
        await deck.press("4", "n")
        await deck.expect_popup("Define network")
        entries = list(deck.dialog.query(".field Input").results(Input))
        assert max(len(entry.placeholder) for entry in entries) > 50
        assert all(len(entry.placeholder) < entry.content_size.width for entry in entries)
        await deck.cancel()
        await deck.press("3", "P")
        await deck.expect_popup("Define pool")
        assert "and a device to build it on" not in " ".join(deck.popup().split())
        deck.dialog.query_one("#field-source", Input).focus()
        await deck.until(lambda: "vstorage: the cluster" in deck.popup(), "the hint is told in full")
        await deck.cancel()
        await deck.press("2", "n")
        await deck.expect_popup("Define from")
        assert deck.dialog.query_one(".dialog").outer_size.width == 76


async def test_what_is_lost_is_not_cut_off(demo: OpenDeck) -> None:
    async with demo(size=(80, 24)) as deck:
        await deck.focus("dc-01")
        await deck.press("D")
        await deck.expect_popup("Undefine dc-01")
        await deck.choose("nvram", "remove")
        await deck.choose("tpm", "remove")
        shown = " ".join(" ".join(re.findall("│(.*)│", deck.text())).split())
        assert "loses the configuration (its XML is kept for undo), its UEFI variables, its TPM state" in shown
