"""Reports on standard output, for scripts and pipes. Textual is never imported here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tui.model import units
from tui.model.host import ConnectionState
from tui.model.snapshot import HostSnapshot, as_json
from tui.model.text import cells, clean
from tui.paths import muted_file

if TYPE_CHECKING:
    from tui.cli import Options
    from tui.demo.links import DemoNetwork
    from tui.model.domain import Domain
    from tui.model.process import QemuProcess
    from tui.runtime.collector import Collector
    from tui.runtime.made_up import NetworkMaker

GOOD, NO_CONNECTION = 0, 3
CONNECT_S = 10.0
READ_S = 20.0
# An agent that answers does so in milliseconds, and so does a monitor.
_AGENT_S = 5.0


def open_collector(options: Options, publish: Callable[[HostSnapshot], None] = lambda _snapshot: None) -> Collector:
    """Return a collector for the host of `options`, not yet started."""
    from tui.runtime.collector import Collector

    figures, prepare, network = None, None, None
    if options.demo:
        from tui.demo.figures import demo_usage
        from tui.demo.host import prepare as prepare_demo

        figures = demo_usage
        prepare = None if options.read_only else prepare_demo
        network = _demo_network()
    return Collector(
        options.uri,
        read_only=options.read_only,
        interval_s=options.config.interval_s,
        publish=publish,
        one_by_one=figures,
        prepare=prepare,
        network=network,
        muted_file=_muted_file(options),
    )


def _muted_file(options: Options) -> Path:
    """What is muted on the demo host ends with it: beside its own file."""
    if options.demo:
        return Path(urlsplit(options.uri).path).parent / "muted.json"
    return muted_file()


def _demo_network() -> NetworkMaker:
    """Its classes are made when they are first wanted, after the first picture."""
    made: list[DemoNetwork] = []

    def make(domains: Mapping[str, Domain], now_ns: int) -> Mapping[str, Any]:
        from tui.demo.links import DemoNetwork

        made[:] = made or [DemoNetwork()]
        return made[0].read(domains, now_ns)

    return make


def settled(snapshot: HostSnapshot) -> bool:
    """Whether the first attempt to connect has ended, well or badly."""
    state = snapshot.connection.state
    # The first list is published just before the connection is called live.
    return state is ConnectionState.REFUSED or (
        snapshot.domains_read_ns is not None and state is not ConnectionState.CONNECTING
    )


def why_unreachable(options: Options) -> str:
    """Return why the host does not answer within 5 s, "" when it does."""
    collector = open_collector(options)
    collector.start()
    collector.board.wait(settled, 5.0)
    connection = collector.board.snapshot.connection
    collector.stop()
    if connection.live:
        return ""
    return f"{connection.uri} does not answer: {connection.problem or 'no reply'}"


def read_host(options: Options, parts: Iterable[str]) -> tuple[Collector, HostSnapshot] | None:
    """Return a collector whose named parts have been read, and its snapshot; None after saying on standard error why
    the host cannot be reached. Besides the sources that a snapshot can say to be unread there are the parts `cpus`, the
    host's CPUs and memory, and `pool_hosts`, the filesystems and disks under its pools."""
    from tui.runtime.desk import Focus

    wanted = frozenset(parts)
    collector = open_collector(options)
    collector.start()
    collector.board.wait(settled, CONNECT_S)
    connection = collector.board.snapshot.connection
    if not connection.live and connection.state is not ConnectionState.ABSENT:
        say_unreachable(collector.board.snapshot)
        collector.stop()
        return None
    # Drivers without bulk statistics are asked domain by domain, and only for those that somebody looks at.
    collector.focus(Focus(tuple(collector.board.snapshot.domains), host="cpus" in wanted, links="links" in wanted))
    collector.start_slow()
    collector.board.wait(lambda snapshot: _has_read(snapshot, wanted), READ_S)
    return collector, collector.board.snapshot


def read_open(collector: Collector, parts: Iterable[str], keys: Sequence[str]) -> HostSnapshot:
    """Return the snapshot with what is read of an open domain alone, as far as `parts` names it: `detail`, and `agent`
    for what its agent says of its vCPUs, and `block_jobs`. Of several domains, as on the screen, none is open and it is
    not known."""
    from tui.runtime.desk import Focus

    wanted, board = frozenset(parts), collector.board
    domain = board.snapshot.domains.get(keys[0]) if len(keys) == 1 else None
    if domain is None or not wanted & {"detail", "agent", "block_jobs"}:
        return board.snapshot
    collector.focus(Focus(tuple(board.snapshot.domains), domain.key, host="cpus" in wanted, links="links" in wanted))
    board.wait(lambda seen: seen.detail is not None and seen.detail.key == domain.key, READ_S)
    agent = domain.config.agent if domain.active and domain.config is not None else None
    if "agent" in wanted and agent is not None and agent.connected:
        board.wait(lambda seen: seen.detail is not None and seen.detail.guest is not None, _AGENT_S)
    if "block_jobs" in wanted and domain.active:
        board.wait(lambda seen: _has_block_jobs(seen, domain.key), _AGENT_S)
    return board.snapshot


def _has_block_jobs(seen: HostSnapshot, key: str) -> bool:
    usage = seen.usage.get(key)
    return usage is not None and usage.block_jobs is not None


def _has_read(snapshot: HostSnapshot, parts: frozenset[str]) -> bool:
    if "pool_hosts" in parts and snapshot.pool_hosts is None:
        return False
    return not snapshot.unread & parts and ("cpus" not in parts or snapshot.cpus is not None)


def say_unreachable(snapshot: HostSnapshot) -> None:
    """Write to standard error why the host cannot be reached and what to try."""
    connection = snapshot.connection
    problem = connection.problem or f"no answer within {CONNECT_S:.0f} s"
    print(f"virtdeck: cannot connect to {clean(connection.uri)}: {problem}", file=sys.stderr)
    if connection.advice:
        print(f"virtdeck: {connection.advice}", file=sys.stderr)
    print("virtdeck: to look around without a host: virtdeck --demo", file=sys.stderr)


def print_json(data: object) -> None:
    """Print JSON in ASCII: raw names go through it to programs, and must not be obeyed by a terminal on their way."""
    print(json.dumps(data, indent=2).replace("\x7f", "\\u007f"))


def snapshot(options: Options) -> int:
    """Print everything that was seen of the host as JSON; returns the exit code."""
    network = ("networks", "links", "firewalls", "ovs", "dnsmasqs")
    read = read_host(options, ("domains", "configs", "usage", "addresses", "processes", "cpus", *network))
    if read is None:
        return NO_CONNECTION
    collector, seen = read
    print_json(as_json(seen))
    collector.stop()
    return GOOD


def domains(options: Options, *, as_json: bool) -> int:
    """Print the domains and unmanaged QEMU processes, as a table or JSON; returns the exit code."""
    read = read_host(options, ("domains", "configs", "usage", "addresses", "processes"))
    if read is None:
        return NO_CONNECTION
    collector, seen = read
    rows = [_domain_row(seen, domain) for domain in sorted(seen.domains.values(), key=lambda domain: domain.name)]
    rows += [_process_row(process) for process in seen.unmanaged().values()]
    if as_json:
        print_json(_domains_json(seen))
    else:
        _print_table(_HEADER, rows)
    collector.stop()
    return GOOD


def _domains_json(seen: HostSnapshot) -> dict[str, object]:
    return {
        "connection": as_json(seen.connection),
        "domains": [
            {**as_json(domain), "usage": as_json(seen.usage.get(key)), "addresses": as_json(seen.addresses.get(key))}
            for key, domain in seen.domains.items()
        ],
        "unmanaged": as_json(list(seen.unmanaged().values())),
    }


_HEADER = ("ID", "NAME", "STATE", "VCPU", "MEMORY", "USED", "ADDRESS", "AUTO", "PERSISTENT")


def _domain_row(seen: HostSnapshot, domain: Domain) -> tuple[str, ...]:
    config, usage = domain.config, seen.usage.get(domain.key)
    addresses = seen.addresses.get(domain.key, ())
    return (
        "-" if domain.id is None else str(domain.id),
        domain.name,
        f"{domain.state.value} ({domain.reason})" if domain.reason else domain.state.value,
        f"{config.vcpus}/{config.vcpus_max}" if config else "?",
        f"{units.size(config.memory_kib)}/{units.size(config.memory_max_kib)}" if config else "?",
        units.size(usage.guest_used_kib if usage else None, "-" if not domain.active else "?"),
        addresses[0].address if addresses else "-",
        _yes_no(domain.autostart),
        _yes_no(domain.persistent),
    )


def _process_row(process: QemuProcess) -> tuple[str, ...]:
    return (
        str(process.pid),
        process.name,
        f"unmanaged ({process.state})",
        f"{process.vcpus}/{process.vcpus_max}",
        units.size(process.memory_kib),
        units.size(process.rss_kib),
        "-",
        "-",
        "-",
    )


def _yes_no(value: bool | None) -> str:
    return "?" if value is None else "yes" if value else "no"


_WIDEST = 40


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns of at most 40 cells: what is longer stands in full, and moves the rest of its own row alone."""
    sizes = ([cells(row[index]) for row in (header, *rows)] for index in range(len(header)))
    widths = [max(size for size in column if size <= _WIDEST) for column in sizes]
    for row in (header, *rows):
        line = "  ".join(text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True))
        print(line.rstrip())


def keys() -> int:
    """Print all keys as Markdown, made from the actions; returns the exit code."""
    from tui.actions.keys import markdown

    print(markdown())
    return GOOD


def list_actions(*, as_json: bool) -> int:
    """Print the actions with what they apply to and their fields; returns the exit code."""
    from tui.actions import ACTIONS
    from tui.actions.keys import describe

    described = [describe(action) for action in ACTIONS]
    if as_json:
        print_json(described)
        return GOOD
    for item in described:
        print(f"{item['id']:<26} {item['applies_to']:<8} {item['help']}")
        for field in item["fields"]:
            choices = f" ({'|'.join(field['choices'])})" if field["choices"] else ""
            print(f"{'':<28}{field['name']}{choices}: {field['label']}{'; ' + field['help'] if field['help'] else ''}")
    return GOOD
