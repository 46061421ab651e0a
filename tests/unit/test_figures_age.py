"""When the detail says how old the figures are: where readings were missed, not where a driver is read seldom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.conftest import wait, watched
from tests.unit.test_disk_figures import NOTHING, SEEN
from tui.model.domain import Domain, DomainState
from tui.panes.domain_detail import overview
from tui.panes.domain_rows import DomainRow
from tui.panes.spec import View

_S = 1_000_000_000
ROW = DomainRow(
    "u1", Domain("u1", "vm1", "vm1", 1, DomainState.RUNNING, ""), None, NOTHING, None, None, None, "", None, ()
)


def says_its_age(age_s: int, every_s: float) -> bool:
    view = View(replace(SEEN, taken_ns=age_s * _S, usage_every_s=every_s), lambda _key, _length: ())
    return any("as of" in span.text for line in overview(view, ROW) for span in line)


@pytest.mark.parametrize(("age_s", "every_s", "told"), [(5, 2, False), (16, 2, True), (17, 16, False), (41, 16, True)])
def test_the_age_is_told_when_readings_were_missed(age_s: int, every_s: float, told: bool) -> None:
    assert says_its_age(age_s, every_s) is told


def test_a_driver_without_bulk_figures_says_that_it_is_read_seldom() -> None:
    with watched("test:///default") as collector:
        assert wait(collector, lambda seen: bool(seen.usage)).usage_every_s == 4.0
