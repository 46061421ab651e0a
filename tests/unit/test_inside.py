"""The way into a namespace by its files: what lies there now may be something else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tui.model.link import Netns, NetnsKind
from tui.sources.inside import inside


def _netns(*paths: Path) -> Netns:
    return Netns("1", "shop", "shop", NetnsKind.NAMED, tuple(map(str, paths)))


def test_a_pipe_in_place_of_a_namespace_holds_nobody_up(tmp_path: Path) -> None:
    """To open it for reading would wait for a writer for ever: a container makes its own files."""
    os.mkfifo(tmp_path / "shop")
    told: list[str | None] = []

    def enter() -> None:
        try:
            with inside(_netns(tmp_path / "shop")):
                pass
        except OSError as error:
            told.append(error.strerror)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    thread.join(10)
    assert told == ["the namespace is gone"]


def test_a_name_that_cannot_be_looked_at_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="the namespace is gone"), inside(_netns(tmp_path / "file" / "shop")):
        pass
