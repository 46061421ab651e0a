"""The configuration file: what is read, and what every error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import Config, ConfigError, load_config
from tui.paths import config_file, journal_file, state_dir


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_config(path, required=True)


def test_all_settings(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        uri = "qemu+ssh://node1/system"
        interval = 5
        theme = "virtdeck-light"
        preview = "loss"
        [columns]
        domains = ["name", "state", "title"]
        [keymap]
        "domain.start" = "S"
        """,
    )
    assert config == Config(
        "qemu+ssh://node1/system", 5.0, "virtdeck-light", "loss",
        {"domains": ("name", "state", "title")}, {"domain.start": "S"},
    )  # fmt: skip


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Config()
    assert Config().interval_s == 2.0


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert load_config(tmp_path / "absent.toml", required=False) == Config()
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file"):
        load_config(tmp_path / "absent.toml", required=True)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, required=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("interval = ", "Invalid value"),
        ("colour = 1", "unknown setting 'colour'; known: uri, interval"),
        ("interval = 0.1", "interval must be between 0.5 and 60 seconds"),
        ("interval = 3600", "interval must be between 0.5 and 60 seconds"),
        ("interval = nan", "interval must be between"),
        ("interval = true", "interval must be a number of seconds"),
        ('interval = "2"', "interval must be a number of seconds"),
        ("uri = 5", "uri must be a text"),
        ('uri = ""', "uri must be a text"),
        ("theme = []", "theme must be a text"),
        ('preview = "never"', "preview must be one of: always, loss"),
        ("columns = 1", "columns must be a table"),
        ("[columns]\ndomains = []", "columns.domains must be a list of column names"),
        ('[columns]\ndomains = "name"', "columns.domains must be a list of column names"),
        ("[keymap]\nx = 1", "keymap must be a table"),
        ('"a\\u001b" = 1', "unknown setting 'a␛'"),
    ],
)
def test_every_error_names_the_file_and_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "config.toml") + ": ")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'theme = "\xff"')
    with pytest.raises(ConfigError, match="codec can't decode"):
        load_config(path, required=True)


def test_the_xdg_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert config_file() == Path("/etc/xdg/virtdeck/config.toml")
    assert state_dir() == tmp_path / ".local/state/virtdeck"
    assert journal_file() == state_dir() / "journal.jsonl"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert config_file() == tmp_path / ".config/virtdeck/config.toml"
