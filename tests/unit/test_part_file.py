"""Files that get their name when they are whole, also where there are no links."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tui.ops.part_file import open_part, put_part


@pytest.fixture(params=[None, errno.EPERM, errno.EOPNOTSUPP])
def whole(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole file without its name yet, on a filesystem that has links or fails so."""

    def link(_old: str, _new: str) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param is not None:
        monkeypatch.setattr(os, "link", link)
    os.write(descriptor := open_part(str(tmp_path / "made")), b"whole")
    os.close(descriptor)
    return tmp_path / "made"


def test_a_whole_file_gets_its_name(whole: Path) -> None:
    put_part(str(whole))
    assert {path.name: path.read_bytes() for path in whole.parent.iterdir()} == {"made": b"whole"}


def test_a_name_that_was_taken_meanwhile_is_not_taken_away(whole: Path) -> None:
    whole.write_bytes(b"of somebody else")
    with pytest.raises(FileExistsError):
        put_part(str(whole))
    assert whole.read_bytes() == b"of somebody else"
    put_part(str(whole), overwrite=True)
    assert {path.name: path.read_bytes() for path in whole.parent.iterdir()} == {"made": b"whole"}
