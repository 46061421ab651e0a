"""Who imports whom: the contracts cover every package, and what a command loads is what it needs.

The contracts themselves are in pyproject.toml and checked by `lint-imports`; here child processes show what really
ends up loaded.
"""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tui
import tui.model

ROOT = Path(__file__).resolve().parents[2]


def modules_loaded_by(*argv: str) -> set[str]:
    """Return the names of all modules that `python ARGV` imports, as the interpreter itself tells."""
    environment = {**os.environ, "LIBVIRT_DEFAULT_URI": "test:///default"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_probe_sees_what_is_imported() -> None:
    loaded = modules_loaded_by("-c", "import textual.app, libvirt")
    assert {"textual", "libvirt"} <= packages(loaded)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["domains"], ["snapshot", "--json"], ["topology"], ["triage"], ["keys"]]
)
def test_reports_never_load_the_screen(arguments: list[str]) -> None:
    loaded = packages(modules_loaded_by("-m", "tui", *arguments))
    assert "tui" in loaded
    assert not loaded & {"textual", "rich"}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_what_needs_no_host_loads_no_libvirt(arguments: list[str]) -> None:
    assert "libvirt" not in packages(modules_loaded_by("-m", "tui", *arguments))


def test_the_model_loads_neither_libvirt_nor_the_screen() -> None:
    names = [module.name for module in pkgutil.walk_packages(tui.model.__path__, "tui.model.")]
    assert "tui.model.text" in names
    loaded = modules_loaded_by("-c", "; ".join(f"import {name}" for name in names))
    assert set(names) <= loaded
    assert not packages(loaded) & {"libvirt", "textual", "rich", "psutil"}
    assert {name for name in loaded if name.startswith("tui.")} <= {"tui.model", *names}


def test_every_package_is_under_a_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    bound = {name for contract in contracts for name in contract.get("source_modules", [])}
    # Modules beside the packages wire the layers together and may import any.
    ours = {f"tui.{module.name}" for module in pkgutil.iter_modules(tui.__path__) if module.ispkg}
    assert "tui.model" in ours
    assert ours <= bound


def test_the_first_picture_waits_for_no_action() -> None:
    """The actions and the ops behind them are a third of the program's own import time; they come after it."""
    loaded = modules_loaded_by("-c", "import tui.app")
    assert "tui.panes.domain_detail" in loaded
    assert not {name for name in loaded if name.startswith(("tui.actions", "tui.ops"))}


def test_the_first_picture_makes_no_class_that_it_does_not_need() -> None:
    """Each frozen dataclass costs 0.5 to 1 ms when it is made."""
    loaded = modules_loaded_by("-c", "import tui.app")
    late = ("domain_config", "tuning", "usage", "process", "storage", "domain_detail", "host_cpus", "network")
    assert not {f"tui.model.{name}" for name in late} & loaded


def test_nor_does_the_reading_before_it() -> None:
    loaded = modules_loaded_by("-c", "import tui.runtime.collector")
    late = ("domain_config", "tuning", "process", "storage", "domain_detail", "host_cpus", "network", "link", "health")
    assert not {f"tui.model.{name}" for name in late} & loaded
