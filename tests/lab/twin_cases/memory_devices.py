"""Cases of tests/lab/test_twins.py: memory_devices."""

from __future__ import annotations

from tests.lab.twins import Case

CASES: tuple[Case, ...] = ()
