"""Cases of tests/lab/test_twins.py: ports."""

from __future__ import annotations

from tests.lab.twins import Case

CASES: tuple[Case, ...] = ()
