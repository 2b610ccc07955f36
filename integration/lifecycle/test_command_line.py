"""Command lines as runc 1.5 parses them: exit statuses, numbers, flags, and output for empty values."""

import json
import os
from typing import Any

import pytest
from peers import also_on, is_peer
from test_cgroups import resources

from harness import Box
from limits import limit

WRONG = [
    (["exec"], 1),
    (["exec", "--nonsense", "ID", "true"], 1),
    (["exec", "--tty=maybe", "ID", "true"], 1),
    (["exec", "--preserve-fds", "x", "ID", "true"], 1),
    (["exec", "-dt", "ID", "true"], 1),
    (["exec", "-g", "5,6", "ID", "true"], 1),
    (["exec", "-g", "", "ID", "true"], 1),
    (["exec", "-g", "0x10", "ID", "true"], 1),
    (["exec", "-g", "-5", "ID", "true"], 255),
    (["exec", "-u", "x", "ID", "true"], 255),
    (["exec", "ID"], 255),
    (["exec", "", "true"], 255),
    (["exec", "nope", "true"], 255),
    (["exec", "ID", "--", "true"], 255),
    (["exec", "-e", "novalue", "ID", "true"], 255),
    (["kill"], 1),
    (["kill", "ID", "TERM", "more"], 1),
    (["state", "ID", "more"], 1),
    (["start"], 1),
    (["delete", ""], 1),
    (["list", "more"], 1),
    (["update", "--pids-limit", "9223372036854775808", "ID"], 1),
    (["update", "--cpu-period", "+100000", "ID"], 1),
    (["update", "--cpu-share", "-1", "ID"], 1),
    (["events", "--interval", "0s", "--stats", "ID"], 1),
    (["events", "--interval", "5", "--stats", "ID"], 1),
    (["nonsense"], 3),
    (["help", "nonsense"], 3),
    (["--nonsense", "list"], 1),
    (["--log", "/nowhere/log", "exec", "ID", "true"], 1),
    (["--log-format", "yaml", "exec", "ID", "true"], 1),
    (["--root", "/", "list"], 1),
    ([], 0),
    (["help"], 0),
]


@also_on("runc>=1.5")
def test_exit_statuses_of_wrong_lines(box: Box) -> None:
    """Also of `exec`: 1 for a command line that cannot be parsed, 255 for a later failure."""
    name = box.start()
    found = [(words, box.call(*[name if word == "ID" else word for word in words]).returncode) for words, _ in WRONG]
    assert found == WRONG


@also_on("runc>=1.5")
@pytest.mark.parametrize(
    ("own", "words", "found"),
    [
        (True, [], "1"),
        (True, ["--no-new-privs"], "1"),
        (True, ["--no-new-privs=false"], "0"),
        (True, ["-no-new-privs=0"], "0"),
        (True, ["--no-new-privs", "--no-new-privs=F"], "0"),
        (False, [], "0"),
        (False, ["--no-new-privs=true"], "1"),
        (False, ["--no-new-privs=false", "--no-new-privs"], "1"),
    ],
)
def test_a_flag_of_exec_that_is_given_counts_and_one_that_is_not_leaves_the_containers(
    box: Box, own: bool, words: list[str], found: str
) -> None:
    name = box.start("sleep 100", lambda c: c["process"].update(noNewPrivileges=own))
    status = box.ok("exec", *words, name, "grep", "NoNewPrivs", "/proc/self/status")
    assert status.split() == ["NoNewPrivs:", found]


@also_on("runc>=1.5")
def test_a_flag_of_any_command_may_be_given_as_false(box: Box) -> None:
    name = box.new_id()
    bundle = str(box.bundle("echo ran"))
    assert box.ok("--debug=false", "run", "--detach=false", "--no-pivot=f", "--keep=0", "-b", bundle, name) == "ran\n"
    assert box.call("state", name).returncode == 1
    running = box.start()
    assert box.ok("exec", "--tty=false", "-d=F", "--ignore-paused=FALSE", running, "echo", "in") == "in\n"
    assert box.ok("list", "--quiet=false").startswith("ID ")
    assert box.call("delete", "--force=false", running).returncode == 1
    box.ok("delete", "--force=true", running)


@also_on("runc>=1.5")
@pytest.mark.parametrize(
    ("written", "stored"), [("010", "8"), ("0x10", "16"), ("1_0", "10"), ("+9", "9"), ("0b11", "3"), ("-1", "max")]
)
def test_numbers_are_read_as_go_reads_them(box: Box, written: str, stored: str) -> None:
    name = box.start()
    box.ok("update", f"--pids-limit={written}", name)
    assert limit(name, "pids.max") == stored


@also_on("runc>=1.5")
@pytest.mark.parametrize("option", ["--cpu-period", "--cpu-share", "--cpu-burst", "--cpu-idle", "--cpuset-cpus"])
def test_an_empty_value_of_update_is_none(box: Box, option: str) -> None:
    box.ok("update", option, "", box.start())


@also_on("runc>=1.5")
@pytest.mark.parametrize(("written", "stored"), [("1e8", 100_000_000), ("+64m", 64 << 20), (".5g", 1 << 29)])
def test_sizes_are_read_as_runc_reads_them(box: Box, written: str, stored: int) -> None:
    name = box.start()
    box.ok("update", "--memory", written, name)
    usage = json.loads(box.ok("events", "--stats", name))["data"]["memory"]["usage"]
    assert usage["limit"] == stored // 4096 * 4096


@also_on("runc>=1.5")
def test_signals_are_read_in_every_spelling(box: Box) -> None:
    name = box.start("trap 'echo' USR1; while :; do sleep 100 & wait; done")
    for spelling in ("+0", "0", "00", "USR1", "usr1", "SIGUSR1", "SigUsr1", "+10", "010"):
        box.ok("kill", name, spelling)
    for wrong in ("0x9", "SIG", "SIG9", "65", " 9", "TERM ", "1e1", "EXIT", "INFO", "SIGRTMIN-1", "RTMAX+1", "9" * 20):
        assert box.call("kill", name, wrong).returncode == 1, wrong
    assert box.state(name)["status"] == "running"


def test_real_time_signals_have_names(box: Box) -> None:
    """crun accepts the names, too; runc accepts only numbers."""
    name = box.start("trap '' 34 37 63 64; while :; do sleep 100 & wait; done")
    for spelling in ("SIGRTMIN", "rtmin", "SIGRTMIN+3", "RTMAX-1", "SIGRTMAX"):
        box.ok("kill", name, spelling)
    assert box.state(name)["status"] == "running"


@also_on("runc>=1.5")
def test_the_owner_is_told_by_list(box: Box) -> None:
    """runc's `state` has the key with an empty value."""
    name = box.create()
    assert box.state(name)["owner"] == ""
    (listed,) = json.loads(box.ok("list", "-f", "json"))
    assert listed["owner"] == "root" and list(listed) == list(box.state(name))


@also_on("runc>=1.5")
def test_what_has_nothing_in_it_is_null(box: Box) -> None:
    box.root.mkdir()
    assert box.ok("list", "-f", "json") == "null\n"
    name = box.start("true")
    box.await_status(name, "stopped")
    assert box.ok("ps", "-f", "json", name) == "null\n"
    assert box.call("ps", name).returncode == 0


@also_on("runc>=1.5")
def test_counts_of_zero_are_left_out_of_events(box: Box) -> None:
    data: dict[str, Any] = json.loads(box.ok("events", "--stats", box.start()))["data"]
    assert "throttling" not in data["cpu"] and "limit" not in data["pids"] and "cache" not in data["memory"]
    assert "ioServicedRecursive" not in data["blkio"] and data["network_interfaces"] is None
    assert {"limit", "usage", "max", "failcnt"} == set(data["memory"]["usage"])
    assert data["cpuset"]["cpu_exclusive"] == 0 and "kernel" in data["cpu"]["usage"]
    limited = box.start("while :; do :; done", resources(cpu={"quota": 1000, "period": 100000}, pids={"limit": 9}))
    data = json.loads(box.ok("events", "--stats", limited))["data"]
    assert data["pids"]["limit"] == 9 and data["cpu"]["throttling"]["periods"] > 0


@also_on("runc>=1.5")
@pytest.mark.parametrize("option", ["--pid-file", "--pidfd-socket"])
@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_nothing_is_run_for_a_caller_that_can_not_be_told(box: Box, option: str, command: str) -> None:
    def change(config: dict[str, Any]) -> None:
        rootfs.append(box.own_rootfs(config))

    rootfs: list[Any] = []
    if command == "exec":
        name = box.start("sleep 100", change)
        done = box.call("exec", option, "/nowhere/x", name, "sh", "-c", "sleep 0.2; touch /ran")
        assert done.returncode == 255 and len(json.loads(box.ok("ps", "-f", "json", name))) == 1
    else:
        name = box.new_id()
        bundle = str(box.bundle("sleep 0.2; touch /ran", change))
        assert box.call(command, option, "/nowhere/x", "-b", bundle, name).returncode == 1
        assert box.call("state", name).returncode == 1
    assert not (rootfs[0] / "ran").exists()


def test_a_pid_file_that_can_not_be_written_comes_before_the_program(box: Box) -> None:
    """runc starts the program and then kills it."""
    rootfs: list[Any] = []
    name = box.start("sleep 100", lambda c: rootfs.append(box.own_rootfs(c)))
    for words in ([], ["-d"]):
        done = box.call("exec", *words, "--pid-file", "/nowhere/x", name, "touch", "/ran")
        assert done.returncode == 255 and "/nowhere/x: no such file or directory" in done.stderr
    assert not (rootfs[0] / "ran").exists()


def test_no_pid_file_is_left_of_a_program_that_could_not_be_executed(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        program = box.own_rootfs(config) / "refused"
        program.write_bytes(b"\x7fELF, and nothing that a kernel takes")
        program.chmod(0o755)

    name = box.start("sleep 100", change)
    done = box.call("exec", "--pid-file", "pid", name, "/refused")
    assert done.returncode == 255 and "exec format error" in done.stderr
    assert not (box.directory / "pid").exists()


@also_on("runc>=1.5")
def test_descriptors_that_are_none_are_passed_over(box: Box) -> None:
    name = box.start()
    for number in ("-1", "-5"):
        done = box.call(
            "exec", "--preserve-fds", number, name, "sh", "-c", "cat; echo runs; echo told >&2", input="in\n"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "in\nruns\n", "told\n")
    assert box.run("echo runs", None, "--preserve-fds=-5").stdout == "runs\n"


@also_on("runc>=1.5")
def test_exec_does_not_pass_on_what_a_service_manager_gave(box: Box) -> None:
    name = box.start()
    environment = {**os.environ, "LISTEN_FDS": "1"}
    assert box.ok("exec", name, "sh", "-c", "echo $LISTEN_FDS", env=environment) == "\n"


@also_on("runc>=1.5")
def test_an_empty_root_is_the_current_directory(box: Box) -> None:
    name = box.create()
    listed = box.call("--root", "", "list", "-q", cwd=box.root).stdout
    assert listed.split() == [name]


@also_on("runc>=1.5")
@pytest.mark.parametrize(("user", "ids"), [("+5", "5 0"), ("+5:+6", "5 6"), ("007:010", "7 10")])
def test_ids_of_exec_may_have_a_sign_and_zeros(box: Box, user: str, ids: str) -> None:
    assert box.ok("exec", "-u", user, box.start(), "sh", "-c", "echo $(id -u) $(id -g)") == f"{ids}\n"


@also_on("runc>=1.5")
def test_groups_of_exec_are_numbers_of_their_own(box: Box) -> None:
    """runc adds a group of the short option twice, which has the same effect."""
    groups = box.ok("exec", "-g", "+5", "-g", "06", box.start(), "id", "-G")
    assert {"5", "6"} <= set(groups.split()) or is_peer(box)
