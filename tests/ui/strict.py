"""What may leave for the terminal: printable text, and the few sequences that Textual itself writes. Nothing else."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from wcwidth import wcwidth

# Textual's own vocabulary, spelt out; everything else that a terminal would obey is an error.
_SEQUENCES = {
    "style": r"\x1b\[[0-9;]*m",
    "move": r"\x1b\[[0-9]+;[0-9]+H",
    "mode": r"\x1b\[\?(?:7|25|1000|1003|1004|1006|1015|1049|2004|2026)[hl]",
    "query": r"\x1b\[\?(?:2026|2048)\$p",
    "keyboard": r"\x1b\[(?:>[0-9]+|<)u",
    "pointer": r"\x1b\]22;[a-z-]+\x07",
    "line": r"\r?\n(?=\x1b\[[0-9]+;[0-9]+H)",
}
_PIECE = re.compile(
    "|".join(f"(?P<{name}>{pattern})" for name, pattern in _SEQUENCES.items()) + "|(?P<text>[^\x1b\r\n]+|.)", re.DOTALL
)
_COLOUR = re.compile(r"(?:^|;)(?:3[0-79]|4[0-79]|9[0-7]|10[0-7]|[34]8)(?:;|$)")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})


class LeakError(AssertionError):
    """Something left that a terminal would obey or that hides text."""


@dataclass(slots=True)
class Written:
    """Bytes for a terminal, taken apart."""

    text: str = ""
    styles: list[str] = field(default_factory=list)
    """The parameters of each SGR sequence."""

    @property
    def colours(self) -> list[str]:
        """The SGR sequences that set a colour, the default one included."""
        return [style for style in self.styles if _COLOUR.search(style)]


def taken_apart(data: bytes | str) -> Written:
    """Return what `data` holds; raises LeakError with its surroundings at the first thing that has no place in it."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise LeakError(f"not UTF-8 at {error.start}: {data[max(0, error.start - 40) : error.start + 20]!r}") from error
    written, letters = Written(), []
    for match in _PIECE.finditer(text):
        piece = match[0]
        if match.lastgroup == "text":
            if hidden := [char for char in piece if _is_hidden(char)] if not _is_plain(piece) else []:
                around = text[max(0, match.start() - 40) : match.end() + 40]
                raise LeakError(f"U+{ord(hidden[0]):04X} left for the terminal in {around!r}")
            letters.append(piece)
        elif match.lastgroup == "style":
            written.styles.append(piece[2:-1])
        elif match.lastgroup in ("move", "line"):
            letters.append("\n")
    written.text = "".join(letters)
    return written


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_hidden(char: str) -> bool:
    if char.isascii():
        return not char.isprintable()
    category = unicodedata.category(char)
    return category in _HIDDEN or (wcwidth(char) < 1 and category not in _MARKS)
