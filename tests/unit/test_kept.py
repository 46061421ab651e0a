"""XML in files of this machine: whole or not there, readable by its owner alone, never over something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.ops.base import OpError
from tui.ops.kept import keep, keep_beside, read_xml


def test_it_is_the_owner_s_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "a.xml"
    keep(str(path), "<a/>")
    assert path.read_text() == "<a/>"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["a.xml"]


def test_the_same_once_more_is_no_error_something_else_is(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    keep(str(path), "<a/>")
    keep(str(path), "<a/>")
    with pytest.raises(OpError, match=r"keep the XML in .*File exists.* Nothing was changed"):
        keep(str(path), "<b/>")
    assert path.read_text() == "<a/>"
    keep(str(path), "<b/>", lambda there: there == "<a/>")
    assert path.read_text() == "<b/>"
    assert os.listdir(tmp_path) == ["a.xml"]


def test_what_an_earlier_try_kept_stays_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    for text in ("<a/>", "<b/>", "<b/>", "<c/>"):
        keep_beside(str(path), text)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "a.xml": "<a/>",
        "a-2.xml": "<b/>",
        "a-3.xml": "<c/>",
    }


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpError, match=r"keep the XML in .*Nothing was changed"):
        keep(str(tmp_path / "file" / "a.xml"), "<a/>")


def test_what_is_read_is_text_of_a_size_that_can_be(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<pool/>")
    assert read_xml(str(path), "define", "pool", 1024**2) == "<pool/>"
    path.write_bytes(bytes(1024**2 + 1))
    with pytest.raises(OpError, match="larger than 1 MiB; that is no pool XML"):
        read_xml(str(path), "define", "pool", 1024**2)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OpError, match=r"define .*a\.xml"):
        read_xml(str(path), "define", "pool", 1024**2)
    with pytest.raises(OpError, match="No such file"):
        read_xml(str(tmp_path / "none"), "define", "pool", 1024**2)
