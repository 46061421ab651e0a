"""The tab of a domain's scheduler, limits and I/O threads, as it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.tuning_sample import CONFIG, PLAIN, context_at, domain, enforced
from tui.actions.base import Context
from tui.model.domain import Domain
from tui.model.domain_detail import Enforced
from tui.model.tuning import CpuTune
from tui.panes.domain_rows import DomainRow
from tui.panes.spec import View
from tui.panes.tuning_detail import tuning as tuning_tab


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return context_at(tmp_path)


def shown(context: Context, target: Domain) -> list[str]:
    row = DomainRow(target.key, target, None, None, None, None, None, "", None, ())
    view = View(context.snapshot, lambda _key, _count: ())
    return ["".join(span.text for span in line).rstrip() for line in tuning_tab(view, row)]


def test_the_tab_sets_now_beside_the_next_boot(context: Context) -> None:
    found = shown(context, domain(CONFIG, PLAIN))
    assert "Shares       2048      default" in found
    assert "Each vCPU    1.5 CPU   no limit" in found
    assert any(line.split() == ["Hard", "1.0G", "no", "limit"] for line in found)
    assert "7   disk vda, on CPU 0-1" in found
    assert "next boot: gone" in found
    assert not any(line.startswith("All threads") for line in found)
    assert max(map(len, found)) <= 37


def test_the_tab_of_one_side_has_one_column(context: Context) -> None:
    found = shown(context, domain(None, PLAIN))
    assert "Shares  default" in found
    assert not any("now" in line for line in found)
    assert shown(context, replace(domain(PLAIN, PLAIN), config=None)) == ["not read yet"]


def test_the_tab_says_what_is_in_force_or_why_not(context: Context) -> None:
    seen = enforced(context, Enforced(CpuTune(shares=1024, quota_us=-1), None, "", "no memory controller here"))
    found = shown(seen, domain(PLAIN, PLAIN))
    assert "Shares       1024" in found
    assert "no memory controller here" in found
