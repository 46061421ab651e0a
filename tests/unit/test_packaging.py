"""What a user installs: the wheel that comes out of the source distribution, in an environment of its own."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import tui

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "dist", "build")


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return the standard output of a command; fails the test with all its output when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the source distribution of a copy of the tree."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "tree", ignore=LEFT_OUT)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "tree")
    assert len(list((folder / "dist").glob("*.tar.gz"))) == 1
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel alone, made without any index."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--quiet", wheel)
    return folder


def outside(installed: Path, tmp_path: Path, *command: str | Path) -> str:
    """Run a command of the environment far from the checkout; dependencies come from this test run's own."""
    env = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "HOME": str(tmp_path)}
    return run(installed / "bin" / command[0], *command[1:], env=env, cwd=tmp_path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"tui", f"virtdeck-{tui.__version__}.dist-info"}
    assert {"tui/__main__.py", "tui/py.typed", "tui/model/text.py"} <= set(names)


def test_the_wheel_holds_every_style_sheet(wheel: Path) -> None:
    sheets = {path.relative_to(ROOT / "styles").as_posix() for path in (ROOT / "styles").rglob("*.tcss")}
    packed = {name.removeprefix("tui/styles/") for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".tcss")}
    assert sheets
    assert packed == sheets


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tui").rglob("*.py")}
    assert {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")} == modules


def test_the_wheel_brings_the_command(wheel: Path) -> None:
    points = configparser.ConfigParser()
    entry_points = f"virtdeck-{tui.__version__}.dist-info/entry_points.txt"
    points.read_string(zipfile.ZipFile(wheel).read(entry_points).decode())
    assert dict(points["console_scripts"]) == {"virtdeck": "tui.__main__:main"}


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert tui.__version__ in outside(installed, tmp_path, "virtdeck", "--version").split()


def test_the_installed_package_finds_its_style_sheets(installed: Path, tmp_path: Path) -> None:
    code = "import tui.paths; print(tui.paths.styles_dir()); print(*sorted(tui.paths.styles_dir().rglob('*.tcss')))"
    folder, sheets = outside(installed, tmp_path, "python", "-c", code).splitlines()
    assert Path(folder).is_relative_to(installed)
    assert len(sheets.split()) == len(list((ROOT / "styles").rglob("*.tcss"))) > 0


def test_a_checkout_finds_its_style_sheets_too() -> None:
    code = "import tui.paths; print(tui.paths.styles_dir())"
    assert Path(run(sys.executable, "-c", code, cwd=ROOT).strip()) == ROOT / "styles"
