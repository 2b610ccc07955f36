"""strace's log of loading a library, and the comparison of audit-lib's rows with it."""

import math
import re
import resource
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ALONE = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs none /dev/shm && mount -t tmpfs none /tmp && cd /tmp && exec "$@"',
    "sh",
]
"""Hides a library's files in /dev/shm, /tmp and the working directory from the next library and from the host."""
QUIET = """
read write readv writev pread64 pwrite64 close close_range poll ppoll select pselect6 mmap mprotect munmap brk mremap
msync mincore rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack pipe pipe2 dup dup2 dup3 sched_yield pause
nanosleep clock_nanosleep exit exit_group wait4 waitid socket socketpair recvfrom recvmsg getsockname getpeername
setsockopt getsockopt futex set_tid_address set_robust_list rseq membarrier arch_prctl epoll_create1 epoll_ctl
epoll_wait eventfd2 memfd_create getrandom clone clone3 fork vfork stat fstat lstat newfstatat statx access faccessat
faccessat2 getdents64 readlink readlinkat getcwd statfs fstatfs getxattr lgetxattr getpid gettid getppid getuid
geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid getpriority getrlimit getrusage sysinfo
uname times time gettimeofday clock_gettime clock_getres getitimer capget sched_getparam sched_getscheduler
sched_getaffinity get_mempolicy getcpu sched_get_priority_max sched_get_priority_min pkey_alloc pkey_free
restart_syscall rt_sigtimedwait madvise
""".split()  # noqa: SIM905
"""Calls that change nothing outside of the process, or whose effect is visible in its state; all others count."""
ASKING = re.compile(
    r"prctl\(PR_(GET_|CAPBSET_READ|SET_NAME|SET_VMA|CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET)|"
    r"fcntl\(\d+, F_(GET|DUPFD|SETFD)|prlimit64\(\d+, \w+, NULL|"
    r"fcntl\(([3-9]|\d\d+), |lseek\(([3-9]|\d\d+),|ioctl\(\d+, (TCGETS|TIOCGWINSZ|FIONREAD|FIOCLEX)|"
    r"kill\(\d+, 0\)|seccomp\(SECCOMP_GET_|personality\(0xffffffff\)|open(at)?\(.*O_RDONLY|"
    r"keyctl\(KEYCTL_(GET|DESCRIBE|SEARCH|READ)"
)
"""Calls that only read, or that affect only the library's own descriptors."""
CHANGES = {
    "signal handlers": "rt_sigaction|rt_sigreturn",
    "ignored signals": "rt_sigaction",
    "signal mask": "rt_sigprocmask",
    "threads": "clone3?",
    "threads started": "clone3?",
    "processes forked": "clone3?|v?fork",
    "descriptor": "open(at2?)?|socket(pair)?|pipe2?|dup[23]?|epoll_create1?|eventfd2?|memfd_create|inotify_init1?|fcntl",
    "limit": "prlimit64|setrlimit",
    "output": "writev?|pwrite64",
    "timer slack": "prctl",
    "signal sent": "kill|tgkill|tkill",
    "loading": "exit_group|kill|tgkill|ptrace",
}
"""{subject: calls that can cause it}; other subjects contain the name of the call."""
VARYING = re.compile(r"(?<=[.-])(?=\w*[A-Z\d])\w{6}\b|\d+")
"""Varying parts of names: numbers, and the suffix of mkstemp(3)."""
SHOWN = re.compile(r"(?<=\d)<[^<>]*>(\(deleted\))?")
"""The path of a descriptor (strace -y)."""
CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
ENDING = re.compile(r"^(\d+) +\+\+\+ (exited with|killed by) (\S+)")


@dataclass
class Account:
    """A log of strace. ``calls``: (name, line) of each call that did not fail, in the order of the log."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    status: str = ""
    ended: bool = False
    """True if the log has the program's last mark."""
    symbols: set[str] = field(default_factory=set)
    """Names that both the library and libc define."""

    @property
    def loaded(self) -> bool:
        """True if the program reached its end."""
        return self.ended and self.status == "0"

    def changing(self) -> list[tuple[str, str]]:
        """Returns the calls that are not quiet."""
        return [
            (name, line) for name, line in self.calls if name not in QUIET and not ASKING.match(SHOWN.sub("", line))
        ]

    def backs(self, row: dict[str, str]) -> bool:
        """True if the log has the call that ``row`` reports."""
        subject, about = row["subject"], row["after"]
        group, _, rest = subject.partition(": ")
        if group == "environment":
            return rest in {variable.partition("=")[0] for variable in self.before ^ self.after}
        if subject == "libc's functions":
            return set(about.split(", ")) <= self.symbols
        calls = CHANGES.get(group)
        if group == "loading":
            return not self.loaded
        if calls is None:
            done = re.search(r"\((\w+)\)", row["verdict"])
            named = {"opened for writing": "open(at2?)?", "created or written": "open(at2?)?|creat"}
            named |= {"connected": "connect", "sent to": "send(to|m?msg)", "executed": "execve(at)?", "bound": "bind"}
            word = row["verdict"].partition(" later")[0].partition(" at its end")[0]
            calls = done[1] if done and not word.startswith("tried") else named.get(word, "")
            if word.startswith("tried"):
                calls = r"\w+"
        wanted = re.compile(f"({calls or '-'})$")
        path = alike(about.rpartition("/")[2]) if group == "file" else ""
        return any(wanted.match(name) and path in alike(line) for name, line in self.calls)

    def missed(self, rows: list[dict[str, str]]) -> list[str]:
        """Returns the calls that no row reports."""
        text = alike("\n".join(f"{row['subject']}: {row['after']} {row['verdict']}" for row in rows))
        subjects = {row["subject"].partition(":")[0] for row in rows}
        found = []
        for name, line in self.changing():
            if name == "prlimit64" and is_set_already(line):
                continue
            paths = re.findall(r'"([^"]*)"', line)
            if any(alike(path.rpartition("/")[2]) in text for path in paths if path):
                continue
            if name not in text and not STATED.get(name, set()) & subjects:
                found.append(line)
        return found


def is_set_already(line: str) -> bool:
    """True if a call of prlimit(2) sets the soft limit that this process and its children already have."""
    found = re.search(r"(RLIMIT_\w+), \{rlim_cur=([\w*]+)", line)
    if found is None:
        return False
    factors = [-1 if factor.startswith("RLIM") else int(factor) for factor in found[2].split("*")]
    return resource.getrlimit(getattr(resource, found[1]))[0] == math.prod(factors)


def alike(text: str) -> str:
    """Returns ``text`` without the parts that differ from run to run."""
    return VARYING.sub("#", text)


STATED = {
    "prctl": {"timer slack", "dumpable", "huge pages", "child subreaper", "parent death signal", "no_new_privs"},
    "prlimit64": {"limit"},
    "setrlimit": {"limit"},
    "umask": {"umask"},
    "chdir": {"working directory"},
    "sendto": {"socket connected"},
    "connect": {"socket connected"},
    "execve": {"program executed"},
    "tgkill": {"signal sent", "loading"},
    "kill": {"signal sent", "loading"},
    "setitimer": {"alarm", "timer"},
}
"""{call: subjects that show its effect}."""


def look(library: Path, at: str, loads: Path, environment: dict[str, str]) -> Account:
    """Loads ``library`` under strace."""
    own = {key: value for key, value in environment.items() if key != "LD_LIBRARY_PATH"}
    with tempfile.NamedTemporaryFile("r", prefix="account-", dir=loads.parent) as output:
        paths = f"LD_LIBRARY_PATH={environment['LD_LIBRARY_PATH']}"
        command = ["strace", "-f", "-y", "-s", "4096", "-o", output.name, "-E", paths]
        command += ["-E", f"LD_PRELOAD={library}", loads] if at == "exec" else [loads, str(library)]
        subprocess.run(
            [*ALONE, *command], env=own, capture_output=True, timeout=60, check=False, input=b"standard input\n"
        )
        account = read(output.read(), at)
    if at == "exec":
        # The library's constructors have run before the program first reads its environment.
        account.before = {f"{key}={value}" for key, value in environment.items()} | {f"LD_PRELOAD={library}"}
    account.symbols = defined(library) & defined(Path("/lib/x86_64-linux-gnu/libc.so.6"))
    return account


def read(text: str, at: str) -> Account:
    """Parses strace's output; at ``exec`` from the start of the program, at ``init`` from the mark `load`."""
    account = Account()
    started: dict[str, str] = {}
    first, marks, loading = "", account.before, at == "exec"
    for raw in text.splitlines():
        line = raw
        pid = line.partition(" ")[0]
        first = first or pid
        if ending := ENDING.match(line):
            if ending[1] == first:
                account.status = ending[3]
            continue
        if line.endswith("<unfinished ...>"):
            started[pid] = line.removesuffix(" <unfinished ...>")
            continue
        if resumed := re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)$", line):
            line = started.pop(pid, "") + resumed[1]
        called = CALL.match(line)
        if called is None:
            continue
        name, rest = called[2], called[3]
        if name == "write" and rest.startswith("-1, "):
            mark = rest.split('"')[1]
            loading = loading or mark == "load"
            account.ended = account.ended or mark == "end"
            marks = account.after if mark == "loaded" else marks
            if "=" in mark:
                marks.add(rest[5:].rpartition('", ')[0])
            continue
        failed = re.search(r"\) += -1 ", line)
        if loading and not failed and not (name == "execve" and not account.calls and pid == first):
            account.calls.append((name, f"{name}({rest}"))
    return account


def defined(library: Path) -> set[str]:
    """Returns the names that a shared object defines (nm(1))."""
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=False)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line.strip()}
