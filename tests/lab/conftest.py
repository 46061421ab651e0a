"""Fixtures of the lab tests: one private libvirtd for the session, left empty after every test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.lab.daemon import missing_requirements
from tests.lab.guest import guest_image
from tests.lab.host import LabHost
from tests.lab.kernel import BuildError
from tests.lab.namespaces import LabUnavailable
from tests.lab.own_net import OwnNet, own_net

_numbers = itertools.count(1)


def unavailable(reason: str) -> NoReturn:
    """Skip with the reason where people work; fail with it on CI, where the lab must run."""
    if os.environ.get("CI"):
        pytest.fail(f"the lab must run on CI: {reason}")
    pytest.skip(f"no lab here: {reason}")


@pytest.fixture(scope="session")
def lab_host() -> Iterator[LabHost]:
    """The session's libvirtd; tests use `lab`, which cleans up after them."""
    if reasons := missing_requirements():
        unavailable(", ".join(reasons))
    try:
        guest_image()
        host = LabHost()
        host.start()
    except (BuildError, LabUnavailable) as error:
        unavailable(str(error))
    try:
        yield host
    finally:
        host.stop()


@pytest.fixture
def lab(lab_host: LabHost) -> Iterator[LabHost]:
    """A running private libvirtd with nothing defined; whatever the test makes is gone after it."""
    yield lab_host
    lab_host.reset()


@pytest.fixture
def name() -> str:
    """A domain name that no other test of this run has."""
    return f"vd-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def net() -> Iterator[OwnNet]:
    """Network namespaces of the test's own: what is made in them touches nothing of this machine."""
    if os.geteuid():
        unavailable("not root")
    try:
        with own_net() as net:
            yield net
    except LabUnavailable as error:
        unavailable(str(error))
