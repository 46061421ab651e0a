"""Tells from pytest's JUnit file whether the lab really ran: `python -m tests.tools.lab_ran FILE`.

Exit code 1 when a lab test was skipped for another reason than "kernel lacks ...", or when there was none at all.
The last line repeats the counts, so that a reader of the log need not look for them.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

EXCUSE = "kernel lacks"
_MODULE_SKIP = re.compile(r"""^\(.*, ['"]Skipped: (.*)['"]\)$""", re.DOTALL)
"""Text of a module that skipped itself while it was collected; its message says only that."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test: `outcome` is passed, failed, error or skipped; `reason` says why it was skipped."""

    name: str
    outcome: str
    reason: str = ""

    @property
    def in_lab(self) -> bool:
        """Whether it belongs to tests/lab; a module that is skipped whole has its dotted path as its name."""
        return self.name.lstrip(".").startswith("tests.lab")


def read(file: Path) -> list[Case]:
    """Return the test cases of a JUnit file; raises OSError and xml.etree.ElementTree.ParseError."""
    return [_case(element) for element in ET.parse(file).getroot().iter("testcase")]


def _case(element: ET.Element) -> Case:
    name = f"{element.get('classname', '')}.{element.get('name', '')}"
    for tag, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        if (found := element.find(tag)) is not None:
            whole_module = _MODULE_SKIP.search(found.text or "")
            return Case(name, outcome, whole_module[1] if whole_module else found.get("message", ""))
    return Case(name, "passed")


def complaints(cases: Iterable[Case]) -> list[str]:
    """Return one line for each thing that keeps the run from proving anything about the lab."""
    lab = [case for case in cases if case.in_lab]
    lines = [
        f"skipped: {case.name}: {case.reason}"
        for case in lab
        if case.outcome == "skipped" and not case.reason.startswith(EXCUSE)
    ]
    if not any(case.outcome == "passed" for case in lab):
        lines.append("no test of tests/lab passed")
    return lines


def main(arguments: list[str]) -> int:
    """Print the complaints and the counts; return 1 where there are complaints."""
    cases = read(Path(arguments[0]))
    found = complaints(cases)
    for line in found:
        print(line, file=sys.stderr)
    counts = Counter(case.outcome for case in cases)
    lab = Counter(case.outcome for case in cases if case.in_lab)
    print(f"tests: {_told(counts)}; of these in the lab: {_told(lab)}")
    return 1 if found else 0


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "none"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
