"""The command line: options, reports, and the way to the full screen. Imports Textual only for the latter."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from tui import __version__
from tui.config import Config, ConfigError, checked_interval, load_config
from tui.model.host import NO_LIBVIRT
from tui.model.text import clean
from tui.paths import config_file

GOOD, BAD, USAGE, NO_CONNECTION = 0, 1, 2, 3
DEFAULT_URI = "qemu:///system"
_LONGEST_TIMEOUT_S = 86400.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked on the command line, joined with the configuration."""

    uri: str
    demo: bool
    read_only: bool
    config: Config
    notice: str = ""
    """Said once on the screen, e.g. why this is the demo host."""
    """Whether a log is written."""


def _global_options(parser: argparse.ArgumentParser, default: object) -> None:
    """Options that may stand before and behind the command; behind it they must not reset what stood before."""
    parser.add_argument("-c", "--connect", metavar="URI", default=default, help="libvirt connection URI")
    parser.add_argument("--demo", action="store_true", default=default, help="open the demo host, no libvirtd needed")
    parser.add_argument(
        "--demo-if-none", action="store_true", default=default, help="open the demo host when no libvirt answers"
    )
    parser.add_argument(
        "--no-libvirt", action="store_true", default=default, help="this machine alone: its QEMU processes and network"
    )
    parser.add_argument("--read-only", action="store_true", default=default, help="refuse every change")
    parser.add_argument("--interval", metavar="S", type=float, default=default, help="seconds between readings (2)")
    parser.add_argument("--config", metavar="FILE", type=Path, default=default, help="configuration file (TOML)")
    parser.add_argument("--log", metavar="FILE", type=Path, default=default, help="write a log to FILE")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="virtdeck",
        description="A full-screen terminal UI for KVM hosts over libvirt. Without a command it opens the screen.",
    )
    parser.add_argument("--version", action="version", version=f"virtdeck {__version__}")
    _global_options(parser, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        _global_options(sub, argparse.SUPPRESS)
        return sub

    command("snapshot", "print everything that is seen of the host").add_argument(
        "--json", action="store_true", help="as JSON (the only form, may be left out)"
    )
    command("domains", "print a table of the domains").add_argument("--json", action="store_true", help="as JSON")
    _topology_options(command("topology", "draw what is plugged into what: guests, bridges, namespaces, tunnels"))
    command("keys", "print the keys as a Markdown table")
    trace = command("trace", "follow a guest's packets to an address and say where they are lost")
    trace.add_argument(
        "source", nargs="?", metavar="DOMAIN[/NIC]", help="domain, QEMU process by name or pid, or a MAC"
    )
    trace.add_argument("--link", metavar="NAME[@NETNS]", help="a link of the host in place of a guest")
    trace.add_argument("--to", metavar="ADDR", help="address, or name of a guest; outside if not given")
    trace.add_argument("--probe", action="store_true", help="also ask on the wire: ARP, and a ping where --to is given")
    trace.add_argument("--capture", metavar="NAME[@NETNS]", help="show what passes a link, 20 packets or 5 s")
    trace.add_argument("--json", action="store_true", help="as JSON")
    triage = command("triage", "say what is wrong on this host; exit code 1 if anything is")
    triage.add_argument("--json", action="store_true", help="as JSON")
    triage.add_argument(
        "--min-severity",
        type=_severity,
        default="warning",
        metavar="S",
        help="leave out what is less: info, warning (if not given), error, critical",
    )
    do = command("do", "carry out an action without the screen")
    do.add_argument("action", nargs="?", metavar="ACTION", help="id of the action, see --list")
    do.add_argument("targets", nargs="*", metavar="TARGET", help="names, UUIDs, ids; processes by pid")
    do.add_argument("--list", action="store_true", help="print the actions, what they apply to, their fields")
    do.add_argument("--json", action="store_true", help="as JSON")
    do.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="value of a field")
    do.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="seconds to wait for the host (60)")
    how = do.add_mutually_exclusive_group()
    how.add_argument("--plan", action="store_true", help="print the steps and commands, change nothing")
    how.add_argument("--yes", action="store_true", help="do not ask")
    do.add_argument(
        "--confirm", metavar="TEXT", help="with --yes: what the screen would want typed, such as the domain's name"
    )
    return parser


def _severity(word: str) -> int:
    from tui.model.finding import Severity

    found = {severity.word: severity for severity in Severity}.get(word)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be one of: {', '.join(severity.word for severity in Severity)}")
    return found


def _topology_options(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="nodes and edges as JSON")
    form.add_argument("--dot", action="store_true", help="in the language of Graphviz")
    form.add_argument("--mermaid", action="store_true", help="as a Mermaid flowchart")
    form.add_argument("--bus", action="store_true", help="the bus view, however much there is")
    form.add_argument("--tree", action="store_true", help="the tree view")
    parser.add_argument("--width", type=_columns, metavar="N", help="columns of the drawing (those of the terminal)")
    parser.add_argument("--all", action="store_true", help="fold nothing")
    parser.add_argument("--focus", metavar="NAME", help="only what is around a guest, link, bridge or namespace")
    parser.add_argument("--hops", type=int, default=2, metavar="N", help="how far around it (2)")


def _columns(text: str) -> int:
    columns = int(text)
    if columns < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return columns


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LONGEST_TIMEOUT_S:
        raise argparse.ArgumentTypeError(f"must be between 0 and {_LONGEST_TIMEOUT_S:g} seconds")
    return seconds


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse; argparse alone does not take the targets of `do` behind its options."""
    args, rest = parser.parse_known_args(arguments)
    if rest and (args.command != "do" or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.targets += rest
    return args


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code; never raises for what a user can cause."""
    for stream in (sys.stdout, sys.stderr):
        # In other locales than UTF-8 ones: a name that cannot be written must not end the report.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = _parser()
    args = _parse(parser, arguments)
    try:
        with contextlib.ExitStack() as stack:
            return _dispatch(args, stack)
    except ConfigError as error:
        print(f"virtdeck: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads any more; keep the interpreter from complaining about it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _dispatch(args: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    from tui import reports

    if args.command == "keys":
        return reports.keys()
    if args.command == "do" and args.list:
        return reports.list_actions(as_json=args.json)
    _start_log(args.log)
    options = _options(args, stack)
    if args.command == "snapshot":
        return reports.snapshot(options)
    if args.command == "domains":
        return reports.domains(options, as_json=args.json)
    if args.command == "topology":
        from tui.topology_report import topology

        return topology(options, args)
    if args.command == "trace":
        from tui.trace_report import trace_report

        return trace_report(options, args)
    if args.command == "triage":
        from tui.triage_report import triage_report

        return triage_report(options, args)
    if args.command == "do":
        from tui.do import do

        return do(options, args)
    return _screen(options)


def _start_log(path: Path | None) -> None:
    if path is None:
        return
    import logging

    form = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
    try:
        logging.basicConfig(filename=path, level=logging.DEBUG, format=form)
    except OSError as error:
        raise ConfigError(f"--log: {clean(str(error))}") from error
    logging.getLogger("virtdeck").info("virtdeck %s: %s", __version__, shlex.join(sys.argv[1:]))


def _options(args: argparse.Namespace, stack: contextlib.ExitStack) -> Options:
    config = load_config(args.config or config_file(), required=args.config is not None)
    if args.interval is not None:
        config = replace(config, interval_s=checked_interval(args.interval))
    environment = os.environ.get("LIBVIRT_DEFAULT_URI", "")
    uri = NO_LIBVIRT if args.no_libvirt else args.connect or environment or config.uri or DEFAULT_URI
    options = Options(uri, demo=False, read_only=bool(args.read_only), config=config, notice=config.notice)
    if args.demo:
        return _demo(options, stack, "")
    if args.demo_if_none and not args.connect and not args.no_libvirt:
        from tui.reports import why_unreachable

        if why := why_unreachable(options):
            notice = f"demo host, because {clean(why)}"
            if args.command:
                # The screen says it in a toast.
                print(f"virtdeck: {notice}", file=sys.stderr)
            return _demo(options, stack, notice)
    return options


def _demo(options: Options, stack: contextlib.ExitStack, notice: str) -> Options:
    import tempfile

    from tui.demo import write_demo_host
    from tui.leave import scratch

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="virtdeck-", ignore_cleanup_errors=True)))
    scratch.append(folder)
    return replace(options, uri=write_demo_host(folder), demo=True, notice=notice)


def _screen(options: Options) -> int:
    """Connect on a thread while Textual is imported: both take a while, and the first picture needs both."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("virtdeck: the screen needs a terminal; see: virtdeck domains, virtdeck snapshot", file=sys.stderr)
        return USAGE
    from tui.screen import run_screen

    return run_screen(options)


def leave(code: int) -> NoReturn:
    """End the process at once: a thread inside a blocked libvirt call must not delay it, and finalizing the
    interpreter under such threads can crash."""
    if (logging := sys.modules.get("logging")) is not None:
        logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
