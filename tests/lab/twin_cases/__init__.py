"""All cases of tests/lab/test_twins.py: one for every action and value."""

from __future__ import annotations

from tests.lab import twins
from tests.lab.twin_cases import block_jobs, disks, memory, memory_devices, monitor, nics, pins, ports, tuning, vcpus

CASES = (
    *twins.CASES,
    *vcpus.CASES,
    *pins.CASES,
    *memory.CASES,
    *memory_devices.CASES,
    *tuning.CASES,
    *monitor.CASES,
    *disks.CASES,
    *block_jobs.CASES,
    *nics.CASES,
    *ports.CASES,
)
