"""Options that several commands share."""

from pyrunc.cli.options import Option, flag

BUNDLE = Option(
    "--bundle",
    "-b",
    kind="path",
    default=".",
    metavar="DIR",
    help="The bundle's directory; the current one by default.",
)
CONFIG = Option(
    "--config", "-f", default="config.json", metavar="FILE", help="The config; config.json in the bundle by default."
)
CONSOLE_SOCKET = Option("--console-socket", metavar="SOCKET", help="Unix socket that receives the terminal's master.")
PID_FILE = Option("--pid-file", kind="path", default="", metavar="FILE", help="Where to write the pid of the process.")
PIDFD_SOCKET = Option("--pidfd-socket", metavar="SOCKET", help="Unix socket that receives a pidfd of the process.")
PRESERVE_FDS = Option("--preserve-fds", kind="int", default=0, metavar="N", help="Pass N descriptors from 3 on.")
PRESERVE_DIRECTORIES = flag(
    "--preserve-directories", help="Let them be directories: through one the container reaches the host's files."
)
DETACH = flag("--detach", "-d", help="Leave it running in the background.")
NO_PIVOT = flag("--no-pivot", help="Move the root instead of pivot_root (for a ramdisk; insecure otherwise).")
NO_SUBREAPER = flag("--no-subreaper", help="Do not become the reaper of orphaned descendants.")
TRACE = (
    Option("--trace", default="", metavar="FILE", help="Write every step and the time that it took."),
    Option(
        "--trace-format",
        kind=("json", "chrome"),
        default="json",
        help="As a table, or as trace events, which Perfetto and chrome://tracing open.",
    ),
)
PRELOAD = (
    Option(
        "--preload-lib",
        kind="several",
        metavar="PATH",
        help="Load this library into the init path, to see what it does. Repeatable. NOT for production.",
    ),
    Option(
        "--preload-at",
        kind=("exec", "init"),
        default="exec",
        help="When: as the loader maps it at the helper's exec, or with dlopen inside the namespaces.",
    ),
    Option(
        "--placement",
        kind=("hardened", "legacy"),
        default="hardened",
        help="Order of placing init in its cgroups; legacy is the old race, with --preload-lib only.",
    ),
    Option("--preload-timeout", kind="float", default=10.0, metavar="SECONDS", help="How long loading may take."),
)
"""The hostile-library mode."""

CREATING = (
    *(BUNDLE, CONFIG, CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, NO_PIVOT),
    flag("--no-new-keyring", help="Keep the caller's session keyring."),
    *(PRESERVE_FDS, PRESERVE_DIRECTORIES, *TRACE, *PRELOAD),
)
"""The options that create and run share."""

CRIU = (
    Option("--image-path", kind="path", default="checkpoint", metavar="DIR", help="Where the image is."),
    Option("--work-path", kind="path", default="", metavar="DIR", help="Where CRIU's logs go."),
    flag("--tcp-established", help="Also established TCP connections."),
    flag("--ext-unix-sk", help="Also external unix sockets."),
    flag("--shell-job", help="Also a shell's job."),
    flag("--lazy-pages", help="Memory is moved on demand."),
    flag("--file-locks", help="Also file locks."),
    Option(
        "--manage-cgroups-mode",
        kind=("soft", "full", "strict", "ignore"),
        default=None,
        help="How CRIU treats them.",
    ),
    Option("--empty-ns", kind="several", metavar="NAMESPACE", help="A namespace not to dump or restore (network)."),
    flag("--auto-dedup", help="Deduplicate the image."),
    flag("--link-remap", help="Also unlinked files."),
)
"""The options that checkpoint and restore share."""
