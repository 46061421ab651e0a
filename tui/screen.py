"""From the command line to the full screen and back: connecting while Textual is imported, leaving at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tui.config import ConfigError
from tui.model.host import ConnectionState
from tui.paths import journal_file
from tui.reports import NO_CONNECTION, open_collector, say_unreachable
from tui.runtime.journal import Journal
from tui.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from tui.cli import Options
    from tui.config import Config
    from tui.model.plan import Request
    from tui.model.snapshot import HostSnapshot

# How long leaving waits for the journal's file.
_RECORD_S = 0.2


def run_screen(options: Options) -> int:
    """Open the full screen and return the exit code when it is left."""
    # Importing makes objects that stay; looking among them for garbage took a tenth of the time to the first picture.
    # The app switches it on again.
    gc.disable()
    mailbox: Mailbox[HostSnapshot] = Mailbox()
    collector = open_collector(options, mailbox.put)
    collector.start()
    # Changes of the demo host end with it.
    journal = Journal(None if options.demo else journal_file(), _request_types)

    from tui.app import VirtdeckApp

    check_names(options.config)
    if collector.board.snapshot.connection.state is ConnectionState.REFUSED:
        say_unreachable(collector.board.snapshot)
        return NO_CONNECTION
    app = VirtdeckApp(collector, mailbox, journal, options.config, demo=options.demo, notice=options.notice)
    try:
        code = app.run()
    except OSError as error:
        # The terminal went away (SIGHUP): there is nothing to restore and nobody to tell.
        print(f"virtdeck: {error}", file=sys.stderr)
        return 1
    finally:
        collector.stop()
        journal.flush(_RECORD_S)
    if code == NO_CONNECTION:
        say_unreachable(collector.board.snapshot)
    return code if code is not None else app.return_code or 0


def check_names(config: Config) -> None:
    """Raise ConfigError for a key of an action, or a column of a pane, that is not there."""
    if config.keymap:
        from tui.keymap import keys_of

        keys_of(config.keymap)
    if config.columns:
        from tui.panes import check_columns

        if problem := check_columns(config.columns):
            raise ConfigError(problem)


def _request_types() -> Mapping[str, type[Request]]:
    """The ops are imported with the first use of the journal, after the first picture."""
    from tui.ops import request_types

    return request_types()
