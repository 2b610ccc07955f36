"""Judges what the loading of a library changed, as rows of before, after and verdict."""

import errno
from collections import Counter
from dataclasses import dataclass, field

from pyrunc.hostile.probe import Observation

UNCHANGED, CHANGED = "unchanged", "changed"
GROUPS = {
    "cgroup": "cgroups",
    "namespace": "namespaces",
    "limit": "resource limits",
    "capabilities": "capabilities",
    "descriptor": "descriptors",
    "mount": "mounts",
}
"""Subjects with several values, which share one row while none of them has changed."""
WORDS = {"cgroup": "moved", "descriptor": "left open", "namespace": "another one", "threads": "left running"}
"""Verdicts for subjects for which ``changed`` is not the best word."""
SELF_REPORTED = {
    "session keyring": "another one",
    "process keyring": "made",
    "thread keyring": "made",
}
HARMLESS_FILES = ("/dev/null", "/dev/zero", "/dev/tty")
SUBJECTS = {
    "socket connected": ("connect", "sendto", "sendmsg", "sendmmsg"),
    "socket bound": ("bind", "listen"),
    "process without a tracer": ("clone", "clone3"),
    "socket made": ("socket",),
    "program executed": ("execve", "execveat"),
    "signal sent": ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"),
    "mount": (
        *("mount", "umount2", "move_mount", "mount_setattr", "open_tree", "open_tree_attr", "fspick", "fsopen"),
        *("fsconfig", "fsmount"),
    ),
    "key": ("add_key", "request_key", "keyctl"),
    "inter-process communication": (
        *("shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd"),
        *("msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"),
    ),
    "timer": (
        *("alarm", "setitimer", "timer_create", "timer_settime", "timer_delete", "timerfd_create", "timerfd_settime"),
    ),
    "memory": (
        *("mlock", "mlock2", "mlockall", "munlock", "munlockall", "madvise", "mbind", "set_mempolicy"),
        *("set_mempolicy_home_node", "userfaultfd"),
    ),
    "io_uring": ("io_uring_setup", "io_uring_enter", "io_uring_register", "io_submit"),
    "restriction": ("landlock_restrict_self", "seccomp", "lsm_set_self_attr"),
    "descriptor": ("fcntl", "ioctl", "lseek"),
    "session": ("setsid", "setpgid"),
    "another process": (
        *("prlimit64", "setpriority", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr"),
        *("ioprio_set", "process_vm_writev", "migrate_pages", "move_pages", "process_madvise", "process_mrelease"),
        *("pidfd_getfd", "ptrace"),
    ),
    "attribute": ("prctl", "personality", "modify_ldt", "iopl", "ioperm"),
    "credentials": (
        *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups"),
        *("capset",),
    ),
    "file": (
        *("open", "openat", "openat2", "creat", "mkdir", "rmdir", "unlink", "truncate", "mknod", "chmod", "chown"),
        *("lchown", "utime", "utimes", "setxattr", "lsetxattr", "removexattr", "lremovexattr", "rename", "symlink"),
        *("link", "mkdirat", "mknodat", "unlinkat", "fchmodat", "fchmodat2", "fchownat", "futimesat", "setxattrat"),
        *("removexattrat", "file_setattr", "utimensat", "symlinkat", "renameat", "renameat2", "linkat", "fchmod"),
        *("fchown", "ftruncate", "fallocate", "fsetxattr", "fremovexattr", "flock"),
    ),
    "unknown system call": ("unknown",),
}
"""{subject: calls}. Every other call is reported as ``system: NAME``."""
SUBJECT = {name: subject for subject, names in SUBJECTS.items() for name in names}
IN_STATE = (
    *("umask", "chdir", "fchdir", "capset", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"),
    *("setgroups", "setrlimit", "personality", "unshare", "setns", "chroot", "seccomp"),
)
"""Calls whose effect on the loading process the two snapshots show."""
OPTIONS_IN_STATE = (1, 4, 8, 22, 24, 26, 28, 29, 33, 36, 38, 41, 47, 53, 65, 67)
"""Options of prctl(2) whose effect the process reports itself (nsenter/probe/load.c) or /proc/PID/status shows."""
TRIED = (
    "connect",
    "sendto",
    "sendmsg",
    "execve",
    "execveat",
    "kill",
    "tgkill",
    "pidfd_send_signal",
    "unknown",
    "prctl",
    "ptrace",
    "mount",
    "setns",
    "unshare",
    "sched_setattr",
    "bpf",
    "io_uring_setup",
)
"""Calls that are also reported if they failed."""
PHASES = {"running": " later", "ending": " at its end"}
HINTS = {
    "cannot allocate memory in static TLS block": "it wants to be loaded with the program: --preload-at exec",
    "does not come first": "it wants to be the first library of the program: --preload-at exec",
    "does not work under ptrace": "it looks for leaks at its end, which a tracer prevents: ASAN_OPTIONS=detect_leaks=0",
    "undefined symbol": "it is no library of its own: it needs another, or the program that it is a module of",
}
"""{part of an error message: advice}, for errors of the loader or the library."""


@dataclass
class Row:
    """A line of the table. ``verdict`` is ``unchanged``, or what the library did."""

    subject: str
    before: str
    after: str
    verdict: str = UNCHANGED

    @property
    def is_finding(self) -> bool:
        """Whether the library changed something."""
        return self.verdict != UNCHANGED


@dataclass
class Audit:
    """The whole result."""

    outcome: str
    milliseconds: float
    memory: int
    """KiB that loading added."""
    output: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Row]:
        """The rows whose verdict is not ``unchanged``."""
        return [row for row in self.rows if row.is_finding]


def judge(seen: Observation, symbols: "list[str] | None" = None) -> Audit:
    """Compares the snapshots before and after. ``symbols``: functions of the C library that the library defines,
    too."""
    audit = Audit(seen.outcome, seen.milliseconds, _grown(seen), seen.output, notes=list(seen.notes))
    if seen.outcome != "loaded" and not seen.outcome.startswith("cannot be loaded"):
        audit.rows.append(Row("loading", "-", seen.outcome, "does not come back"))
    audit.rows += _state(seen)
    audit.rows += _self_reported(seen)
    audit.rows += _processes(seen)
    audit.rows += _calls(seen)
    stopped = [f"signal {line[2]} stopped {line[1]}" for line in seen.lines if line[0] == "stopped"]
    audit.rows += [Row("process stopped", "-", text, "stopped") for text in dict.fromkeys(stopped)]
    audit.rows += [Row("standard input", "-", f"{seen.eaten} bytes", "read")] if seen.eaten else []
    made = [path for path in seen.cgroups_made if path]
    audit.rows += _several("cgroups created", made, "not removed")
    audit.rows += _several("output", [line for line in seen.output.splitlines() if line], "printed")
    if symbols:
        audit.rows.append(Row("libc's functions", "-", ", ".join(symbols), "interposed"))
    said = f"{seen.outcome} {seen.output}"
    audit.notes += [hint for words, hint in HINTS.items() if words in said]
    return audit


def _grown(seen: Observation) -> int:
    sizes = [int(when.get("memory", "0").split()[0]) for when in (seen.before, seen.after)]
    return max(0, sizes[1] - sizes[0]) if seen.after else 0


def _state(seen: Observation) -> list[Row]:
    """Returns the rows of the snapshots; none if there is no second snapshot."""
    if not seen.after:
        return []
    # Mounts are named by their path below the root directory: after a change of root all would differ.
    another_root = seen.before.get("root directory") != seen.after.get("root directory")
    rows: list[Row] = []
    same: Counter[str] = Counter()
    changed: set[str] = set()
    for subject in [*seen.before, *(key for key in seen.after if key not in seen.before)]:
        group = subject.partition(":")[0]
        before, after = seen.before.get(subject, "-"), seen.after.get(subject, "-")
        if subject == "memory" or (group == "mount" and another_root):
            continue
        if before != after:
            rows.append(Row(subject, before, after, WORDS.get(group, CHANGED)))
            changed.add(group)
        elif group in GROUPS and group != subject:
            same[group] += 1
        else:
            rows.append(Row(subject, before, after))
    rows += [
        Row(GROUPS[group], f"{count} of them", "as before") for group, count in same.items() if group not in changed
    ]
    return rows


def _self_reported(seen: Observation) -> list[Row]:
    """Returns the rows about what only the process itself can report."""
    before, after = ([pair for pair in seen.values(when) if pair[0] != "environment"] for when in ("before", "after"))
    rows = []
    if after and seen.complete:
        earlier = dict(before)
        rows = [
            Row(
                key,
                earlier.get(key, "-"),
                value,
                SELF_REPORTED.get(key, CHANGED) if earlier.get(key) != value else UNCHANGED,
            )
            for key, value in after
        ]
        was, now = (_environment(seen, when) for when in ("before", "after"))
        different = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        rows += [Row(f"environment: {name}", was.get(name, "-"), now.get(name, "-"), CHANGED) for name in different]
        rows += [] if different else [Row("environment", f"{len(was)} variables", "as before")]
    return rows


def _environment(seen: Observation, when: str) -> dict[str, str]:
    pairs = (value.partition("=") for key, value in seen.values(when) if key == "environment")
    return {name: value for name, _, value in pairs}


def _processes(seen: Observation) -> list[Row]:
    rows = []
    threads = [line for line in seen.lines if line[0] == "thread"]
    forked = [line for line in seen.lines if line[0] == "fork"]
    for phase in dict.fromkeys(line[3] for line in threads):
        count = sum(line[3] == phase for line in threads)
        rows.append(Row("threads started", "0", str(count), f"started{PHASES.get(phase, '')}"))
    if not forked and not seen.running:
        return [*rows, Row("processes forked", "0", "0")]
    still = f"{len(seen.running)} still run" if len(seen.running) != 1 else "1 still runs"
    verdict = "left running" if seen.running else f"forked{PHASES.get(forked[0][3] if forked else '', '')}"
    return [*rows, Row("processes forked", "0", f"{len(forked)}, {still}", verdict)]


def _calls(seen: Observation) -> list[Row]:
    """Returns a row for each action. Repeated calls with the same object share one row."""
    rows: dict[tuple[str, str, str, str], Row] = {}
    for line in seen.lines:
        if line[0] != "call" or len(line) != 6:
            continue
        pid, phase, name, result, detail = line[1], line[2], line[3], int(line[4]), line[5]
        tried = name in TRIED or (name == "ioctl" and detail.startswith("terminal: "))
        if (result < 0 and not tried) or detail.removesuffix(" (create)") in HARMLESS_FILES:
            continue
        itself = int(pid) == seen.loader and result >= 0
        if itself and phase == "constructor" and seen.after and _shows_in_state(name, detail, pid):
            continue
        if not detail and name.startswith("send"):
            continue  # sent to the address to which the socket is connected
        shown = detail.removesuffix(" (create)")
        verdict = _verdict(name, result, detail) + PHASES.get(phase, "")
        row = Row(SUBJECT.get(name, f"system: {name}"), "-", shown, verdict)
        rows.setdefault((row.subject, row.after, row.verdict, name), row)
    for subject, words in (("file", "files written or created"), ("socket connected", "sockets connected")):
        if not any(row.subject == subject for row in rows.values()):
            rows[subject, "", "", ""] = Row(words, "-", "none")
    return list(rows.values())


def _shows_in_state(name: str, detail: str, pid: str) -> bool:
    """Whether the snapshots show the effect of a call. They do not for a call that affects another process."""
    if name == "prctl":
        # If there are no ambient capabilities, the state does not show that they were cleared.
        return detail != "option 47, 0x4" and int(detail.partition(" ")[2].partition(",")[0]) in OPTIONS_IN_STATE
    if name == "prlimit64":
        return detail.endswith((" of process 0", f" of process {pid}"))
    first, _, second = detail.partition(", ")
    itself = ("0", f"{int(pid):#x}")
    if name in ("setpriority", "ioprio_set"):
        return first == {"setpriority": "0", "ioprio_set": "0x1"}[name] and second in itself
    # No snapshot shows the slice of sched_setattr(2).
    return name in IN_STATE or (name.startswith("sched_set") and name != "sched_setattr" and first in itself)


def _verdict(name: str, result: int, detail: str) -> str:
    if result < 0:
        return f"tried ({errno.errorcode.get(-result, str(-result))})"
    if name in ("open", "openat", "openat2"):
        return "created or written" if detail.endswith(" (create)") else "opened for writing"
    subject = SUBJECT.get(name, "")
    words = {"socket connected": "connected", "socket bound": "bound", "program executed": "executed"}
    words |= {"signal sent": "sent"}
    if name in ("sendto", "sendmsg", "sendmmsg"):
        return "sent to"
    return words.get(subject, f"done ({name})")


def _several(subject: str, items: list[str], verdict: str) -> list[Row]:
    return [Row(subject, "-", item, verdict) for item in items] or [Row(subject, "-", "none")]
