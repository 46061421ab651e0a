"""The language of the filter line: `web state:running|paused cpu>50 -name=db1 "two words"`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

Fact = str | float | None
"""A field's value as a filter sees it; None: not known. Sizes are in bytes, shares in percent."""

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*([KMGT]?)(?:iB?|B)?%?", re.IGNORECASE)
_HALF_NUMBER = re.compile(r"[+-]?\.?")
_FIELD = re.compile(r"([a-z_][\w.-]*?)(!=|>=|<=|[:=<>])", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9a-f]{0,4}(:[0-9a-f]{0,4})+", re.IGNORECASE)
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_QUOTED = "\0"
"""Stands for a quoted character where operators are looked for, so that none is found within quotes."""


class QueryError(ValueError):
    """A filter that makes no sense: a sentence that says why, and the fields it could have named."""

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


def parse_number(text: str) -> float | None:
    """Return the number that `text` writes, K M G T as powers of 1024, `%` ignored; None when it is not a number."""
    match = _NUMBER.fullmatch(text.strip())
    return float(match[1]) * UNITS[match[2].upper()] if match else None


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: any of `values` in `field`, or in the default text when `field` is ""."""

    field: str
    sign: str
    """`:` contains, or one of = != > >= < <=."""
    values: tuple[str, ...]
    """Casefolded; a term with no value is half typed and matches everything."""
    numbers: tuple[float | None, ...]
    """The numbers that the values write, None for those that write none."""
    negated: bool

    def matches(self, field: Callable[[str], Fact], text: Callable[[], str]) -> bool:
        """Return whether the condition holds; an unknown fact meets no condition, hence every negated one."""
        if not self.values:
            return True
        if not self.field:
            words = text().casefold()
            return any(value in words for value in self.values) is not self.negated
        fact = field(self.field)
        return (fact is not None and self._holds(fact)) is not self.negated

    def _holds(self, fact: str | float) -> bool:
        if self.sign == "!=":
            return not any(self._equals(fact, value, number) for value, number in self._alternatives())
        test = {":": self._contains, "=": self._equals}.get(self.sign, self._compares)
        return any(test(fact, value, number) for value, number in self._alternatives())

    def _alternatives(self) -> Iterator[tuple[str, float | None]]:
        return zip(self.values, self.numbers, strict=True)

    def _contains(self, fact: str | float, value: str, _number: float | None) -> bool:
        return value in _text(fact)

    def _equals(self, fact: str | float, value: str, number: float | None) -> bool:
        if number is not None and not isinstance(fact, str):
            return fact == number
        return _text(fact) == value

    def _compares(self, fact: str | float, _value: str, number: float | None) -> bool:
        amount = parse_number(fact) if isinstance(fact, str) else fact
        if amount is None or number is None or math.isnan(amount):
            return False
        return _ORDERS[self.sign](amount, number)


def _text(fact: str | float) -> str:
    return fact.casefold() if isinstance(fact, str) else f"{fact:.15g}"


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter: all its terms must hold; without terms it matches everything."""

    text: str
    terms: tuple[Term, ...]

    def matches(self, field: Callable[[str], Fact], text: Callable[[], str]) -> bool:
        """Return whether all terms hold for a row: `field` gives its facts by name, `text` what bare words search."""
        return all(term.matches(field, text) for term in self.terms)

    def __bool__(self) -> bool:
        """Return whether the query can hide anything."""
        return any(term.values for term in self.terms)


def parse(text: str, fields: Collection[str] | None = None) -> Query:
    """Return the query that `text` writes; `fields` are the names it may use, None: any.

    Raises QueryError for a field that is not there and for a comparison with what is not a number; what is
    still being typed (`cpu>`, `state:`, an open quote) does not raise and matches everything."""
    known = None if fields is None else {name.casefold(): name for name in fields}
    return Query(text, tuple(_term(plain, mask, known) for plain, mask in _words(text)))


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each word without its quotes, and its mask: the same with quoted characters made NUL."""
    plain = mask = ""
    quoted = started = False
    for char in text:
        if char == '"':
            quoted, started = not quoted, True
        elif char.isspace() and not quoted:
            if started:
                yield plain, mask
            plain = mask = ""
            started = False
        else:
            plain += char
            mask += _QUOTED if quoted else char
            started = True
    if started:
        yield plain, mask


def _term(plain: str, mask: str, known: dict[str, str] | None) -> Term:
    negated = mask[:1] in ("-", "!")
    if negated:
        plain, mask = plain[1:], mask[1:]
    name, sign = "", ":"
    match = _FIELD.match(mask)
    if match and not _is_address(mask, match[1], known):
        name, sign = _field_name(match[1], known), match[2]
        plain, mask = plain[match.end() :], mask[match.end() :]
    values = _alternatives(plain, mask)
    if sign in _ORDERS:
        values = tuple(value for value in values if not _HALF_NUMBER.fullmatch(value))
    return Term(name, sign, values, _numbers(name, sign, values), negated)


def _is_address(mask: str, name: str, known: dict[str, str] | None) -> bool:
    """Return whether a word that looks like `field:value` is rather a MAC or IPv6 address (52:54:00, fe80::1)."""
    return bool(_ADDRESS.fullmatch(mask)) and (known is None or name.casefold() not in known) and len(name) <= 4


def _field_name(name: str, known: dict[str, str] | None) -> str:
    if known is None:
        return name
    if name.casefold() not in known:
        fields = tuple(sorted(known.values()))
        raise QueryError(f"no field {name!r}; there are: {', '.join(fields)}", fields)
    return known[name.casefold()]


def _alternatives(plain: str, mask: str) -> tuple[str, ...]:
    """Return the casefolded parts between unquoted bars, empty ones left out."""
    parts: list[str] = []
    start = 0
    for end in [index for index, char in enumerate(mask) if char == "|"] + [len(mask)]:
        if end > start:
            parts.append(plain[start:end].casefold())
        start = end + 1
    return tuple(parts)


def _numbers(name: str, sign: str, values: tuple[str, ...]) -> tuple[float | None, ...]:
    """Return the values as numbers; raises QueryError where an order needs one and something else is written."""
    numbers = tuple(parse_number(value) for value in values)
    if sign in _ORDERS:
        for value, number in zip(values, numbers, strict=True):
            if number is None:
                raise QueryError(f"{name}{sign}{value}: {value!r} is not a number (units: K M G T, %)")
    return numbers
