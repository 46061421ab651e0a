"""The command line: exit codes, reports, configuration, pipes, signals; the real program in processes of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tui import __version__
from tui.actions import ACTIONS
from tui.actions.keys import markdown

CHECKOUT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the program is started with: no libvirt to connect to, folders of the test's own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LIBVIRT", "VIRSH", "XDG"))}
    return env | {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def ran(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tui", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment | env,
            cwd="/",
            timeout=60,
        )

    return ran


# Usage


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"virtdeck {__version__}\n", "")


def test_a_very_long_name_widens_its_own_row_alone(run: Run) -> None:
    lines = run("--demo", "domains").stdout.splitlines()
    assert lines[0].index("STATE") < 60
    assert any("x" * 100 in line and "shut off" in line for line in lines), "and it stands there in full"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "unrecognized arguments"),
        (["conquer"], "invalid choice: 'conquer'"),
        (["--interval", "soon", "domains"], "invalid float value"),
        (["--interval", "0.01", "domains"], "interval must be between 0.5 and 60 seconds"),
        (["--interval", "nan", "domains"], "interval must be between 0.5 and 60 seconds"),
        (["--config", "/nowhere/x.toml", "domains"], "/nowhere/x.toml: no such file"),
        (["--log", "/nowhere/x.log", "--demo", "domains"], "--log: "),
        (["--demo", "do"], "which action? virtdeck do --list"),
        (["--demo", "do", "domain.fly"], "no action 'domain.fly'"),
        (["--demo", "do", "domain.start"], "domain.start needs at least one domain"),
        (["--demo", "do", "domain.start", "nobody"], "no domain nobody"),
        (["--demo", "do", "domain.rename", "web-04", "web-03"], "needs --set name="),
        (["--demo", "do", "domain.rename", "web-04", "web-03", "--set", "name=x"], "domain.rename takes one domain"),
        (["--demo", "do", "domain.restore", "web-04"], "domain.restore takes no target"),
        (["--demo", "do", "domain.start", "web-04", "--set", "nope=1", "--plan"], "nope: no such field"),
        (["--demo", "do", "domain.vcpus", "web-01", "--set", "cnt=4"], "cnt: no such field; domain.vcpus has: count"),
        (["--demo", "do", "domain.start", "web-04", "--set", "paused=2", "--plan"], "must be one of: yes, no"),
        (["--demo", "do", "domain.start", "web-04", "--set", "paused", "--plan"], "must be FIELD=VALUE"),
        (["--demo", "do", "domain.start", "web-04", "--plan", "--yes"], "not allowed with argument"),
        (["--demo", "do", "domain.start", "web-04", "--timeout", "nan"], "must be between 0 and"),
    ],
)
def test_what_does_not_fit_is_exit_2_and_says_what(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_configuration_with_a_mistake_is_exit_2(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "virtdeck"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("interval = 0")
    done = run("--demo", "domains")
    assert done.returncode == 2
    assert done.stderr == f"virtdeck: {folder}/config.toml: interval must be between 0.5 and 60 seconds\n"
    other = tmp_path / "other.toml"
    other.write_text("")
    assert run("--config", str(other), "--demo", "domains").returncode == 0


# Which host


def test_a_host_that_cannot_be_reached_is_exit_3(run: Run) -> None:
    uri = "qemu+unix:///system?socket=/nowhere/sock"
    for arguments in (["domains"], ["snapshot"], ["do", "domain.start", "x", "--yes"]):
        done = run("-c", uri, *arguments)
        assert done.returncode == 3
        assert done.stdout == ""
        assert f"cannot connect to {uri}: " in done.stderr
        assert "Is libvirtd running?" in done.stderr
        assert "virtdeck --demo" in done.stderr


def test_where_the_uri_comes_from(run: Run, tmp_path: Path) -> None:
    """-c before LIBVIRT_DEFAULT_URI before the configuration."""
    config = tmp_path / "config.toml"
    config.write_text('uri = "test+unix:///from-config?socket=/nowhere"')
    by_config = run("--config", str(config), "domains")
    assert "from-config" in by_config.stderr
    by_environment = run("--config", str(config), "domains", LIBVIRT_DEFAULT_URI="test:///default")
    assert by_environment.returncode == 0
    assert "test" in by_environment.stdout
    by_option = run("-c", "test+unix:///by-option?socket=/nowhere", "domains", LIBVIRT_DEFAULT_URI="test:///default")
    assert "by-option" in by_option.stderr


def test_the_demo_host_stands_in_where_none_answers_and_says_so(run: Run) -> None:
    nobody = "test+unix:///default?socket=/nowhere"
    done = run("--demo-if-none", "domains", LIBVIRT_DEFAULT_URI=nobody)
    assert done.returncode == 0
    assert "gitlab" in done.stdout
    assert f"virtdeck: demo host, because {nobody} does not answer: " in done.stderr
    there = run("--demo-if-none", "domains", LIBVIRT_DEFAULT_URI="test:///default")
    assert (there.returncode, there.stderr) == (0, "")
    assert "gitlab" not in there.stdout
    assert run("--demo-if-none", "-c", nobody, "domains").returncode == 3, "a host that was named is not replaced"


def test_options_stand_before_or_behind_the_command(run: Run) -> None:
    assert run("domains", "-c", "test:///default").stdout == run("-c", "test:///default", "domains").stdout


def test_uris_are_shown_clean(run: Run) -> None:
    done = run("-c", "test+unix:///\x1b[31mx?socket=/nowhere", "domains")
    assert done.returncode == 3
    assert "\x1b" not in done.stderr


# Reports


def test_the_table(run: Run) -> None:
    done = run("--demo", "domains")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "STATE", "VCPU", "MEMORY", "USED", "ADDRESS", "AUTO", "PERSISTENT"]
    assert len(rows) == 48
    web = next(row for row in rows if " web-01 " in row)
    assert re.search(r"running +2/2 +3.0G/4.0G +\S+[KMG] .* yes +yes$", web)
    old = next(row for row in rows if " old-ftp " in row)
    assert "shut off (destroyed)" in old
    assert " 0 " not in next(row for row in rows if " gitlab " in row), "no figure is made up before it is read"


def test_the_snapshot_holds_all_that_was_seen(run: Run) -> None:
    seen = json.loads(run("--demo", "snapshot", "--json").stdout)
    assert seen["connection"]["state"] == "live"
    assert seen["unread"] == []
    assert len(seen["domains"]) == 48
    assert all(domain["config"] for domain in seen["domains"].values())
    running = {key for key, domain in seen["domains"].items() if domain["state"] == "running"}
    assert running <= set(seen["usage"])


def test_sizes_and_times_have_their_unit_in_the_key(run: Run) -> None:
    seen = json.loads(run("--demo", "snapshot").stdout)
    numbers = {name for name, value in leaves(seen) if isinstance(value, (int, float)) and not isinstance(value, bool)}
    units = re.compile(r"_(ns|s|kib|bytes|bytes_per_s|per_s|percent|1min|ms)$")
    counts = {"sequence", "attempts", "cpus", "numa_nodes", "id", "vcpus", "vcpus_max", "vcpus_current",
              "vcpus_maximum", "iothreads", "major_faults", "number", "host_cpu", "read_requests", "write_requests",
              "node", "socket", "core", "siblings", "distances", "total", "free", "ksm_run",
              "slots", "slot", "iothread", "iothread_ids", "iothreads_in_use", "iothread_users",
              "vlans", "ports",
              "index", "nsid", "pid", "ofport", "port", "tag", "trunks", "vlan_id", "table", "mtu", "prefix", "cost",
              "priority", "weight", "rp_filter", "failures", "queues", "packets", "bytes", "speed_mbit",
              "rx_packets", "tx_packets", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped",
              "new_errors", "new_drops",
              }  # fmt: skip
    assert {name for name in numbers if not units.search(name)} <= counts
    sized = re.compile(r"memory|size|capacity|allocation|physical|rss|balloon|swap|time|latency|since|taken")
    assert {name for name in numbers if sized.search(name) and not units.search(name)} == set()


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All names and what they hold, whatever it is nested in."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, name)
    else:
        yield name, value


def test_the_model_itself_names_its_units() -> None:
    """What only a real host fills in: every field of the model that holds an amount of time, size or rate."""
    from dataclasses import fields

    from tui.model import domain, domain_config, host, process, snapshot, usage

    sized = re.compile(
        r"(^|_)(memory|capacity|allocation|physical|rss|balloon|swap|time|latency|delay|since|free)(_|$)"
    )
    units = re.compile(r"_(ns|s|kib|bytes|percent|per_s)$|^free_slots$")
    for module in (domain, domain_config, host, process, snapshot, usage):
        for kind in vars(module).values():
            for field in fields(kind) if hasattr(kind, "__dataclass_fields__") else ():
                if sized.search(field.name) and re.search(r"\b(int|float)\b", str(field.type)):
                    assert units.search(field.name), f"{kind.__name__}.{field.name}"


def test_the_keys_are_the_page_in_the_repository(run: Run) -> None:
    done = run("keys")
    assert done.stdout == markdown() + "\n"
    page = CHECKOUT / "KEYS.md"
    if page.exists():
        assert page.read_text() == done.stdout, "KEYS.md is stale: make keys"


def test_actions_are_listed_for_people_and_for_programs(run: Run) -> None:
    listed = json.loads(run("do", "--list", "--json").stdout)
    assert [item["id"] for item in listed] == [action.id for action in ACTIONS]
    lines = run("do", "--list").stdout.splitlines()
    for action in ACTIONS:
        assert any(line.startswith(action.id) and action.help in line for line in lines)
        for field in action.fields:
            assert any(line.strip().startswith(field.name) for line in lines)


# do


def test_a_plan_is_printed_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    done = run("--demo", "do", "domain.destroy", "web-01", "web-04", "--plan")
    assert done.returncode == 0
    assert "Force off web-01" in done.stdout
    assert "destroy web-01 --graceful || virsh" in done.stdout
    assert "loses: what the guest has not written to disk" in done.stdout
    assert "note: web-04: skipped, it is shut off" in done.stdout
    assert not (tmp_path / "state").exists()
    plan = json.loads(run("--demo", "do", "domain.destroy", "web-01", "--plan", "--json").stdout)
    assert plan["confirm"] == "ask"
    assert plan["steps"][0]["command"][-1] == "--graceful"


def test_a_change_is_made_and_journalled(run: Run, tmp_path: Path) -> None:
    done = run("-c", "test:///default", "do", "domain.suspend", "test", "--yes")
    assert (done.returncode, done.stdout) == (0, "suspend test: suspended\n")
    journal = tmp_path / "state" / "virtdeck" / "journal.jsonl"
    assert journal.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["status"] for line in journal.read_text().splitlines()][-1] == "done"
    told = json.loads(run("--demo", "do", "domain.start", "web-04", "--yes", "--json").stdout)
    assert told["status"] == "done"
    assert told["results"][0]["command"].endswith("start web-04")
    assert "web-04" not in journal.read_text(), "what is done to the demo host is no history"


def test_what_fails_or_does_not_apply_is_exit_1(run: Run) -> None:
    already = run("--demo", "do", "domain.start", "web-01", "--yes")
    assert already.returncode == 1
    assert "it is running already" in already.stderr
    failed = run("--demo", "do", "domain.shutdown", "web-01", "--set", "mode=agent", "--yes")
    assert failed.returncode == 1
    assert "unsupported flags" in failed.stderr


def test_without_a_terminal_nothing_is_done_unasked(run: Run) -> None:
    done = run("--demo", "do", "domain.start", "web-04")
    assert done.returncode == 1
    assert "--yes was not given" in done.stderr


def test_read_only_refuses(run: Run) -> None:
    done = run("--demo", "--read-only", "do", "domain.start", "web-04", "--yes")
    assert done.returncode == 1
    assert "virtdeck runs with --read-only" in done.stderr


# Pipes, signals, logs


@pytest.mark.parametrize("command", ["snapshot", "domains", "keys", "do --list"])
def test_a_closed_pipe_is_no_error(environment: dict[str, str], command: str) -> None:
    script = f'"{sys.executable}" -m tui --demo {command} | head -c 1'
    if command in ("keys", "do --list"):
        script = script.replace("--demo ", "")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, cwd="/", timeout=60)
    assert done.returncode == 0
    assert len(done.stdout) == 1
    assert done.stderr == ""


def test_output_that_nobody_reads_from_the_start(environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tui", "--demo", "snapshot"], stdout=writing, stderr=subprocess.PIPE, text=True,
            env=environment, cwd="/", timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_ctrl_c_is_clean(environment: dict[str, str], tmp_path: Path) -> None:
    """While it waits for a host that does not answer: a socket on which nobody speaks."""
    import socket

    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        child = subprocess.Popen(
            [sys.executable, "-m", "tui", "-c", f"test+unix:///default?socket={path}", "domains"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd="/",
        )  # fmt: skip
        server.settimeout(20)
        with server.accept()[0]:
            begun = time.monotonic()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20)
    assert child.returncode == 128 + signal.SIGINT
    assert (out, err) == ("", "")
    assert time.monotonic() - begun < 1.5


def test_a_log_is_written(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert run("--demo", "--log", str(log), "domains").returncode == 0
    text = log.read_text()
    assert "connect" in text or "live" in text
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)


def test_other_locales_end_no_report(run: Run) -> None:
    done = run("--demo", "domains", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0
    assert "web-01" in done.stdout
    assert "csi?31mred" in done.stdout
    assert run("keys", PYTHONIOENCODING="ascii").returncode == 0
    assert len(json.loads(run("--demo", "domains", "--json", PYTHONIOENCODING="ascii").stdout)["domains"]) == 48


def test_nothing_is_left_in_the_temporary_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    assert run("--demo", "domains", TMPDIR=str(folder)).returncode == 0
    assert list(folder.iterdir()) == []
