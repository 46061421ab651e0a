"""QEMU's monitor in words: commands, what only reads, and failures that arrive as success."""

from __future__ import annotations

import json

import pytest

from tui.dialogs.monitor_words import Words, common_start
from tui.model.qemu_monitor import balloon_command, balloon_kib, failure, one_line, qmp_command, reads_only

# As QEMU 7.2 answers them.
_FAILURES = [
    ("foo", "unknown command: 'foo'\r\n"),
    ("info foo", "unknown command: 'info foo'\r\n"),
    ("info balloon", "Error: No balloon device has been activated\r\n"),
    ("device_del nope", "Error: Device 'nope' not found\r\n"),
    ("balloon", 'unexpected end of expression\r\nTry "help balloon" for more information\r\n'),
    ("balloon 1G", 'balloon: extraneous characters at the end of line\r\nTry "help balloon" for more information\r\n'),
    ("info registers -z", 'registers: unsupported option -z\r\nTry "help info registers" for more information\r\n'),
    ("print 1+", 'unexpected end of expression\r\nTry "help print" for more information\r\n'),
    ("sendkey nope", "invalid parameter: nope\r\n"),
    ("boot_set z", "Invalid boot device 'z'\r\n"),
    ("cpu 7", "invalid CPU index\r\n"),
    ("trace-event foo on", 'unknown event "foo"\r\n'),
    ("gpa2hva 0xfffffffffff", "No memory is mapped at address 0xfffffffffff\r\n"),
    ("hostfwd_add x", "user mode network stack not in use\r\n"),
]
_ANSWERS = [
    ("info status", "VM status: running\r\n"),
    ("info name", "Error\r\n"),
    ("info name", "invalid name\r\n"),
    ("info qtree", "bus: main\r\nError: this is the name of a device\r\n"),
    ("print 1+1", "0x2\r\n"),
    ("stop", ""),
    ("gva2gpa 0", "gpa: 0\r\n"),
]


@pytest.mark.parametrize(("command", "answer"), _FAILURES, ids=[command for command, _answer in _FAILURES])
def test_failures_that_arrive_as_success(command: str, answer: str) -> None:
    why = failure(command, "hmp", answer)
    assert why is not None
    assert why.split("\n")[0] == answer.split("\r\n")[0].removeprefix("Error: ")


@pytest.mark.parametrize(("command", "answer"), _ANSWERS)
def test_answers_that_are_none(command: str, answer: str) -> None:
    assert failure(command, "hmp", answer) is None


def test_failures_of_qmp() -> None:
    error = '{"id":"libvirt-489","error":{"class":"CommandNotFound","desc":"The command nope has not been found"}}'
    assert failure("{}", "qmp", error) == "The command nope has not been found"
    assert failure("{}", "qmp", '{"return":{"error":{"desc":"of a job"}},"id":"libvirt-1"}') is None
    assert failure("{}", "qmp", "[" * 100_000) is None


def test_what_only_reads() -> None:
    for command in ("info status", "help", "? info", "print $eax", "p/x 1", "qom-get /machine type"):
        assert reads_only(command, "hmp"), command
    for command in (
        "stop",
        "x/4x 0",
        "xp/1x 0xfee00000",
        "i/x 0x60",
        "o/x 0x60 1",
        "infos",
        "balloon 64",
        "qom-set / a b",
    ):
        assert not reads_only(command, "hmp"), command
    assert reads_only(qmp_command("query-status"), "qmp")
    assert not reads_only(qmp_command("stop"), "qmp")


def test_a_command_is_one_plain_line() -> None:
    assert one_line("  info  status ") == "info  status"
    for bad in ("", " ", "balloon 64\nstop", "info \x1b[31mx", "-x", "info \u202ex", "x\ry"):
        with pytest.raises(ValueError, match=r"\w+"):
            one_line(bad)


def test_qmp_by_name_or_in_full() -> None:
    assert json.loads(qmp_command("query-status")) == {"execute": "query-status"}
    full = {"execute": "qom-list", "arguments": {"path": "/"}}
    assert json.loads(qmp_command('qom-list {"path": "/"}')) == json.loads(qmp_command(json.dumps(full))) == full
    # QEMU could take the other of two; what was checked is what is sent.
    assert json.loads(qmp_command('{"execute": "query-status", "execute": "stop"}')) == {"execute": "stop"}
    for bad in (
        "",
        "{bad",
        "[1]",
        "{}",
        '{"execute": 1}',
        '{"execute": "stop", "id": 1}',
        "stop [1]",
        "a b",
        "{" * 10_000,
    ):
        with pytest.raises(ValueError, match=r"\w+"):
            qmp_command(bad)


@pytest.mark.parametrize("line", ["balloon 1", "quit", "info status"])
def test_the_human_monitor_is_not_reached_by_qmp(line: str) -> None:
    arguments = {"command-line": line}
    in_full = json.dumps({"execute": "human-monitor-command", "arguments": arguments})
    for text in (in_full, f"human-monitor-command {json.dumps(arguments)}", "human-monitor-command"):
        with pytest.raises(ValueError, match="with the protocol hmp"):
            qmp_command(text)


def test_balloon_is_recognised_in_both_protocols() -> None:
    assert balloon_kib("balloon 64", "hmp") == 65536
    assert balloon_kib("info balloon", "hmp") is None
    assert balloon_kib(qmp_command('balloon {"value": 67108864}'), "qmp") == 65536
    assert balloon_kib(qmp_command("query-balloon"), "qmp") is None
    for rest in ("", " 64+64", " 0x40", " 64 64", " -1", " 0", "/x 64"):
        with pytest.raises(ValueError, match="whole MiB"):
            balloon_kib(f"balloon{rest}", "hmp")
    for arguments in ("", ' {"value": "1"}', ' {"value": true}', ' {"value": -1}', ' {"value": 0}', " {}"):
        with pytest.raises(ValueError, match="takes bytes"):
            balloon_kib(qmp_command(f"balloon{arguments}"), "qmp")


def test_the_way_back_of_a_balloon() -> None:
    assert balloon_command(98304, "hmp") == "balloon 96"
    assert balloon_command(98305, "hmp") == "balloon 97"
    assert json.loads(balloon_command(98304, "qmp")) == {"execute": "balloon", "arguments": {"value": 100663296}}


def test_completion_learns_what_qemu_names() -> None:
    words = Words()
    assert words.candidates("info bal", "hmp") == ["info balloon"]
    assert "info balloon" not in words.candidates("", "hmp")
    assert words.candidates("bal", "hmp") == ["balloon"]
    assert words.candidates("dump-g", "hmp") == []
    words.learn(
        "announce_self [interfaces] [id] -- Trigger\r\ndump-guest-memory [-p] file -- dump\r\nquit|q  -- quit\r\n"
    )
    words.learn("info capture  -- show capture information\r\n")
    assert words.candidates("dump-g", "hmp") == ["dump-guest-memory"]
    assert words.candidates("info cap", "hmp") == ["info capture"]
    words.learn('{"return":[{"name":"x-debug"},{"name":"bad\\u001bname"},{"nick":1}],"id":"libvirt-1"}')
    assert words.candidates("x-", "qmp") == ["x-debug"]
    assert words.candidates("bad", "qmp") == []
    assert common_start(["query-block", "query-blockstats"]) == "query-block"
