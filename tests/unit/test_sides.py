"""The sides of a domain that a change reaches: which there are, which are meant, and what is said when one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.actions.base import FieldError
from tui.actions.sides import WHERE, sides
from tui.model.domain import Domain, DomainState
from tui.model.domain_config import DomainConfig
from tui.model.domain_xml import parse_domain_xml

XML = "<domain type='test'><name>a</name><memory>1024</memory><vcpu current='{}'>4</vcpu></domain>"


def config(count: int) -> DomainConfig:
    return parse_domain_xml(XML.format(count))


RUNNING = Domain("uuid", "a", "a", 7, DomainState.RUNNING, "", True, config=config(3), persistent_config=config(2))
OFF = replace(RUNNING, id=None, state=DomainState.SHUTOFF, config=RUNNING.persistent_config)
TRANSIENT = replace(RUNNING, persistent=False, persistent_config=None)


@pytest.mark.parametrize(
    ("domain", "where", "found"),
    [
        (RUNNING, "both", [("--live", 3), ("--config", 2)]),
        (RUNNING, "live", [("--live", 3)]),
        (RUNNING, "persistent", [("--config", 2)]),
        (OFF, "both", [("--config", 2)]),
        (OFF, "persistent", [("--config", 2)]),
        (TRANSIENT, "both", [("--live", 3)]),
        (TRANSIENT, "live", [("--live", 3)]),
        (replace(RUNNING, state=DomainState.CRASHED), "both", [("--live", 3), ("--config", 2)]),
    ],
)
def test_each_side_that_is_meant_and_there_once_live_first(
    domain: Domain, where: str, found: list[tuple[str, int]]
) -> None:
    assert [(side.option, side.config.vcpus) for side in sides(domain, {"where": where})] == found


def test_their_words_say_when_it_holds() -> None:
    assert [side.words for side in sides(RUNNING, {"where": "both"})] == ["now", "from the next boot on"]


@pytest.mark.parametrize(
    ("domain", "where", "why"),
    [
        (OFF, "live", "a is not running"),
        (TRANSIENT, "persistent", "a is transient: it has no next boot"),
        (replace(RUNNING, config=None), "both", "its configuration is not read yet"),
        (replace(RUNNING, persistent_config=None), "persistent", "its configuration is not read yet"),
    ],
)
def test_a_side_that_is_not_there_is_refused(domain: Domain, where: str, why: str) -> None:
    with pytest.raises(FieldError) as refused:
        sides(domain, {"where": where})
    assert (refused.value.field, refused.value.reason) == ("where", why)


def test_not_known_whether_it_is_persistent_counts_as_persistent() -> None:
    unknown = replace(RUNNING, persistent=None)
    assert [side.live for side in sides(unknown, {"where": "both"})] == [True, False]


def test_the_field_offers_both_first() -> None:
    assert (WHERE.name, WHERE.choices) == ("where", ("both", "live", "persistent"))
