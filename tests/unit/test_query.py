"""The filter language, on facts as panes give them."""

from __future__ import annotations

from functools import partial

import pytest

from tui.model.query import Fact, QueryError, parse, parse_number

FIELDS = ("name", "state", "cpu", "mem", "ip", "tag", "vcpus")

ROWS: dict[str, dict[str, Fact]] = {
    "web01": {"name": "web01", "state": "running", "cpu": 72.5, "mem": 4 * 1024**3, "ip": "10.0.0.5", "vcpus": 4},
    "web02": {"name": "web02", "state": "shut off", "cpu": None, "mem": 2 * 1024**3, "ip": None, "vcpus": 2},
    "Db 1": {"name": "Db 1", "state": "paused", "cpu": 0.0, "mem": 512 * 1024**2, "ip": "fe80::1", "vcpus": 1},
    "a|b": {"name": "a|b", "state": "running", "cpu": 99.0, "mem": 1024, "ip": "52:54:00:ab:cd:ef", "vcpus": 8},
}


def found(text: str) -> list[str]:
    query = parse(text, FIELDS)
    return [
        name for name, facts in ROWS.items() if query.matches(facts.get, partial("{} {}".format, name, facts["ip"]))
    ]


ALL = list(ROWS)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ALL),
        ("   ", ALL),
        ("WEB", ["web01", "web02"]),
        ("web 02", ["web02"]),
        ('"db 1"', ["Db 1"]),
        ("db|web01", ["web01", "Db 1"]),
        ('"a|b"', ["a|b"]),
        ("-web", ["Db 1", "a|b"]),
        ("!web !db", ["a|b"]),
        ('-"db 1" -web', ["a|b"]),
        ("52:54:00", ["a|b"]),
        ("fe80::1", ["Db 1"]),
    ],
)
def test_bare_words(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("state:run", ["web01", "a|b"]),
        ("STATE:Run", ["web01", "a|b"]),
        ("state:running|paused", ["web01", "Db 1", "a|b"]),
        ('state:"shut off"', ["web02"]),
        ('name:"a|b"', ["a|b"]),
        ("name=web01", ["web01"]),
        ("name=WEB01", ["web01"]),
        ("name=web", []),
        ("name!=web01", ["web02", "Db 1", "a|b"]),
        ("state!=running|paused", ["web02"]),
        ("-state:running", ["web02", "Db 1"]),
        ("!state=running web", ["web02"]),
        ("vcpus=4", ["web01"]),
        ("vcpus:4", ["web01"]),
        ("mem=2G", ["web02"]),
        ("ip:fe80::1", ["Db 1"]),
        ("ip=52:54:00:ab:cd:ef", ["a|b"]),
    ],
)
def test_fields(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cpu>50", ["web01", "a|b"]),
        ("cpu>72.5", ["a|b"]),
        ("cpu>=72.5%", ["web01", "a|b"]),
        ("cpu<1", ["Db 1"]),
        ("cpu<=0", ["Db 1"]),
        ("cpu>-1", ["web01", "Db 1", "a|b"]),
        ("mem>=2G", ["web01", "web02"]),
        ("mem<2GiB", ["Db 1", "a|b"]),
        ("mem<=512M", ["Db 1", "a|b"]),
        ("mem<=1k", ["a|b"]),
        ("mem>1t", []),
        ("-cpu>50", ["web02", "Db 1"]),
        ("cpu>90|50", ["web01", "a|b"]),
        ("state>1", []),
    ],
)
def test_comparisons(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize("text", ["cpu>0", "cpu<=0", "cpu>=0", "cpu=0", "cpu!=0", "cpu:0", "ip:1", "ip!=x"])
def test_an_unknown_fact_meets_no_comparison(text: str) -> None:
    assert "web02" not in found(text)


def test_an_unknown_fact_is_not_hidden_by_a_negated_term() -> None:
    assert "web02" in found("-cpu>0")


@pytest.mark.parametrize(
    "text",
    [
        "cpu>",
        "cpu>=",
        "cpu<",
        "state:",
        "state=",
        "state!=",
        "cpu>-",
        "cpu>.",
        "-",
        "!",
        '"',
        'state:"',
        "state:|",
        "|",
    ],
)
def test_half_typed_terms_match_everything(text: str) -> None:
    assert found(text) == ALL
    assert not parse(text, FIELDS)


def test_an_open_quote_ends_with_the_text() -> None:
    assert found('"db 1') == ["Db 1"]
    assert found("state:running|") == ["web01", "a|b"]


def test_an_unknown_field_names_those_that_are_there() -> None:
    with pytest.raises(QueryError, match="no field 'sate'; there are: cpu, ip, mem") as caught:
        parse("web sate:running", FIELDS)
    assert caught.value.fields == tuple(sorted(FIELDS))


def test_a_comparison_with_a_word_is_refused() -> None:
    with pytest.raises(QueryError, match="cpu>high: 'high' is not a number"):
        parse("cpu>high", FIELDS)


def test_any_field_goes_where_none_are_named() -> None:
    assert parse("colour:red").matches({"colour": "dark red"}.get, str)


def test_the_query_without_terms() -> None:
    assert parse("").matches(lambda _: None, str)
    assert not parse("")
    assert parse("x")


def test_a_numeric_text_compares_as_a_number() -> None:
    query = parse("size>1M")
    assert query.matches({"size": "2 MiB"}.get, str)
    assert not query.matches({"size": "2 kB"}.get, str)
    assert not query.matches({"size": float("nan")}.get, str)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("1.5k", 1536), (".5", 0.5), ("3 GiB", 3 * 1024**3), ("2Gi", 2 * 1024**3), ("7%", 7), ("-2", -2)],
)
def test_numbers(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "x", "1x", "0x10", "1e3", "--1", "1.2.3", "K", "%"])
def test_what_is_no_number(text: str) -> None:
    assert parse_number(text) is None
