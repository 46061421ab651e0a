"""A run without its lab is not taken for a good one: real JUnit files of real pytest runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.lab_ran import complaints, main, read

PASSES = "def test_one(): pass\n"
KERNEL = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('kernel lacks 8021q')\n"
NO_ROOT = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('not root')\n"
MODULE = "import pytest\npytest.skip('no qemu', allow_module_level=True)\n"
FIXTURE = """
import pytest
@pytest.fixture
def guest(): pytest.skip('no qemu')
def test_one(guest): pass
def test_two(): pass
"""


def junit_of(folder: Path, code: str, place: str = "tests/lab") -> Path:
    """Return the JUnit file of a pytest run over one test file in `place`."""
    for name in ("tests", "tests/lab", "tests/unit"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    (folder / place / "test_it.py").write_text(code)
    file = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), "-c", "/dev/null", f"--junitxml={file}"]
    subprocess.run([*command, "tests"], cwd=folder, capture_output=True, check=False, timeout=60)
    return file


@pytest.mark.parametrize("code", [PASSES, KERNEL])
def test_a_lab_that_ran_is_good(tmp_path: Path, code: str) -> None:
    assert main([str(junit_of(tmp_path, code))]) == 0


@pytest.mark.parametrize(("code", "reason"), [(NO_ROOT, "not root"), (MODULE, "no qemu"), (FIXTURE, "no qemu")])
def test_a_skip_without_excuse_is_a_failure(
    tmp_path: Path, code: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(junit_of(tmp_path, code))]) == 1
    assert reason in capsys.readouterr().err


def test_no_lab_at_all_is_a_failure(tmp_path: Path) -> None:
    assert complaints(read(junit_of(tmp_path, PASSES, "tests/unit"))) == ["no test of tests/lab passed"]
