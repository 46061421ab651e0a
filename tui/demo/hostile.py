"""Guests whose names, titles and descriptions try to break a screen; libvirt takes every one of them.

Not here because libvirt refuses them: `/` in a name (so markup is closed in titles alone), line feeds in a title,
and C0 controls other than line feed and tab, which XML 1.0 cannot hold; those come in by API calls, see ESCAPES."""

from __future__ import annotations

from tui.demo.guest import Guest, Nic, State
from tui.demo.storage import Disk

_OFF = State.SHUTOFF

HOSTILE: tuple[Guest, ...] = (
    Guest("[red]x[bold", "[red]x[/red] a[/]b", "[link='https://example.net']click[/link]\n[/]\n[[nested]", memory=1),
    Guest("[@click=app.quit]boom", "[@click=app.quit]boom[/]", memory=1),
    Guest("csi\u009b31mred\u009b2J", "title\u009b5m", "c1\u009d0;owned\u009c\n\u0090q\u009c", memory=1),
    Guest("invoice\u202egpj.exe", "\u2066isolate \u202eright to left\u202c\u2069", memory=1),
    Guest("split\u2028here\u0085and\u200b\u2029\ufeffhere", "\u200b", "nel\u0085ls\u2028ps\u2029\U000e0041", memory=1),
    Guest("日本語サーバー-🐧", "キュー・データベース 👩‍👩‍👧 🇩🇪", "全角ＡＢＣ", memory=1),
    Guest("\u0301le\u0308ad" + "z\u0301\u0327\u0308\u0489", "o\u0300\u0301" * 20, state=_OFF),
    Guest("x" * 200, "t" * 500, "d" * 5000, state=_OFF),
    Guest("\"quotes\" 'and' $(reboot) `id`; rm -rf ~ && {0} %s\\n", "a\\tb${HOME}", state=_OFF),
    Guest("-rf", "--help", state=_OFF, disks=(Disk("images", "-rf.qcow2", 1, 0.1),), nics=(Nic("default"),)),
    Guest("20260101", state=_OFF),
    Guest("renamed-later", state=_OFF),
    Guest("line\nbreak\tand tab", "  blanks  at  both ends  ", "\n\n\tindented\n\n", state=_OFF),
)

ESCAPES = {
    "renamed-later": ("esc\x1b[31mred\x07\x1b]0;owned\x07", "\x1b[2J\x1b[Htitle\x08\x7f"),
}
"""Guest → the name and title that rename and setMetadata give it, which XML cannot hold."""
