"""Each library of libraries/: `audit-lib` reports its action, and with hardened it has no effect on the program.

`make hostile` prints the table (findings.py). An effect with legacy shows that the action is observable.
"""

import json
import subprocess
import sys

import findings
import pytest
from hostile_box import HOSTILE

UNSEEN = {
    "attaches_bpf": "legacy loads before the placement, or races with it",
    "affinity": "legacy's placement in a cpuset may set it again",
    "user_key": "of the host's user, and named where it is new",
    "lifts_cpu": "legacy loads before the placement, or races with it",
    "dev_shm": "stays on the host, where no container's program sees it",
    "file_locks": "a lock is the process's that took it",
    "foreground": "pyrunc gives the foreground to the container's program itself",
    "hostname": "config.json has one, which is set later",
    "interposes_prctl": "the container does not start at all",
    "landlock_files": "the container does not start at all",
    "lifts_memory": "legacy loads before the placement, or races with it",
    "lifts_pids": "legacy loads before the placement, or races with it",
    "lowers_limits": "legacy loads before the placement, or races with it",
    "lifts_devices": "legacy loads before the placement, or races with it",
    "shuts_oom": "legacy loads before the placement, or races with it",
    "locks_future": "an execve ends it (mlockall(2))",
    "mqueue": "the container has queues of its own",
    "nice_autogroup": "of the caller's session",
    "oom_min": "shown by what a later write is allowed alone",
    "pending": "a clone ends it, or a later step",
    "sem": "the container has semaphores of its own",
    "shm": "the container has memory of its own",
    "speculation": "this processor offers no choice",
    "subtree_control": "the hierarchy has no such controller here",
    "unshares_mounts": "the container has a mount namespace of its own",
    "types": "this kernel takes no TIOCSTI",
    "takes_terminal": "with the terminal gone, output is",
    "release_agent": "of the hierarchy, not of the container",
    "traced_by_child": "legacy does not look",
    "offsets": "of the file, whose offset output moves",
    "chroots": "the container does not start at all",
    "clamps": "this kernel has no utilisation clamps",
    "executes_helper": "legacy has no static helper in reach",
    "executes_program": "the container does not start at all",
    "flushes_cache": "this processor does not offer it",
    "interface": "of the network namespace, as it was",
    "interposes_exit": "of the program that loads, not of legacy's",
    "interposes_reading": "of the program that loads, not of legacy's",
    "kills_itself": "the container does not start at all",
    "late_thread_limits": "legacy loads before the placement, or races with it",
    "log_level": "of the host, as it was",
    "moves_below": "legacy loads before the placement, or races with it",
    "narrows_cpuset": "legacy loads before the placement, or races with it",
    "netlink": "a message that does nothing",
    "old_entry": "umask is config.json's",
    "parents_limits": "of the runtime, not of the container",
    "parents_streams": "legacy's runtime has ended its part by then, or not",
    "renames_cgroup": "the container does not start, or is placed later",
    "ring": "legacy loads before the placement, or races with it",
    "session_keyring": "config.json's container has a keyring of its own",
    "shares_directory": "a race",
    "sibling": "a race",
    "unshares_network": "the container's network namespace is not looked at",
    "unshares_pids": "the container does not start at all, or has one of its own",
    "unshares_time": "what its clocks say is not looked at",
    "unshares_user": "the container does not start at all",
    "untraced_child": "legacy loads before the placement, or races with it",
    "user_filter": "the container does not start at all",
    "counts": "its signal ends the process, or not",
    "faults": "an execve ends it",
    "forges_program": "legacy executes no program again",
    "leases": "a lease is the process's that took it",
    "limits_above": "of the cgroup above, not of the container",
    "names_cgroup": "legacy loads before the placement, or races with it",
    "own_memory": "an execve ends it",
    "owns_cgroup": "legacy loads before the placement, or races with it",
    "ring_later": "legacy loads before the placement, or races with it",
    "starves": "the container does not start at all",
    "threaded": "v2 refuses it below a cgroup that has controllers",
}
"""Libraries without an effect on the program with legacy, and why."""


@pytest.mark.parametrize("name", findings.NAMES)
def test_an_action_is_named_and_reaches_no_program(name: str) -> None:
    command = [sys.executable, str(HOSTILE / "findings.py"), "--json", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.stdout, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["named"], result
    for way, verdict in result["verdicts"].items():
        if way.startswith("hardened"):
            assert verdict in (findings.SAME, findings.REFUSED), result
            assert verdict != findings.REFUSED or any(f"{name}.so: " in line for line in result["details"][way]), result
    legacy = [verdict for way, verdict in result["verdicts"].items() if way.startswith("legacy")]
    assert name in UNSEEN or name in findings.NEVER or findings.DIFFERENT in legacy, result


LIFTED = ("lifts_memory", "lifts_pids", "lifts_cpu", "lifts_devices", "shuts_oom")
MUTATIONS = {
    **dict.fromkeys((*LIFTED, "attaches_bpf", "owns_cgroup"), "cgroup limits"),
    "mounts_outside": "mounts",
    "forges_program": "program",
    **dict.fromkeys(("coredump_filter",), "files"),
    **dict.fromkeys(("timer_slack", "thp", "mce", "merges", "persona", "request_key", "mempolicy", "slice"), "settle"),
    **dict.fromkeys(("mdwe", "landlock_network"), "settle"),
    **dict.fromkeys(("filters", "loginuid"), "lost"),
}
"""{library: counter-measure (mutated.py)}: without it the library's action reaches the program."""


def test_without_its_counter_measure_an_action_reaches_the_program() -> None:
    for mutation in dict.fromkeys(MUTATIONS.values()):
        names = [name for name, of in MUTATIONS.items() if of == mutation]
        command = [sys.executable, str(HOSTILE / "findings.py"), "--json", "--without", mutation, *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
        for result in json.loads(done.stdout):
            if result["name"] == "mce" or result["name"] not in UNREACHABLE:
                assert set(result["verdicts"].values()) - {findings.SAME, findings.REFUSED}, (mutation, result)


UNREACHABLE = ("slice",)
"""Libraries that another counter-measure stops as well."""
