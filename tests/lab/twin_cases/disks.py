"""Cases of tests/lab/test_twins.py: disks."""

from __future__ import annotations

from tests.lab.twins import Case

CASES: tuple[Case, ...] = ()
