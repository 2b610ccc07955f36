"""Boots guests under QEMU and keeps track of the running ones."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from build import build_checkout, build_image
from recipe import RELEASES, TOP

PORTS = 4
"""The number of commands that can run at the same time."""

COMMAND_LINE = "console=ttyS0 quiet loglevel=4 mitigations=off nokaslr tsc=reliable random.trust_cpu=on panic=-1 systemd.show_status=false"


@dataclass(frozen=True)
class Guest:
    """A running guest. Its directory holds the ports' sockets, the console's log, and the directory shared with it."""

    name: str
    release: str
    pid: int

    @property
    def directory(self) -> Path:
        return guests() / self.name

    def runs(self) -> bool:
        try:
            return b"qemu" in Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False


def guests() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/run") / "pyrunc-guest"


def running() -> list[Guest]:
    found = [Guest(**json.loads(path.read_text())) for path in sorted(guests().glob("*/guest.json"))]
    return [guest for guest in found if guest.runs()]


def kvm_works(image: Path) -> bool:
    """True if KVM runs this kernel: in some virtual machines /dev/kvm can be opened but does not work."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    known = image / "kvm"
    if known.exists():
        return known.read_text() == "yes"
    words = [
        *(
            "qemu-system-x86_64",
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-m",
            "256",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ),
        *("-kernel", str(image / "vmlinux"), "-serial", "stdio", "-append", "console=ttyS0 panic=-1"),
    ]
    # The kernel ends in a panic, because there is nothing to mount; reaching that point is enough.
    try:
        done = subprocess.run(words, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
        works = b"Kernel panic" in done.stdout
    except subprocess.TimeoutExpired:
        works = False
    known.write_text("yes" if works else "no")
    return works


def qemu_words(
    image: Path, disk: Path, directory: Path, append: str, memory: str, cpus: int, shared: Path
) -> list[str]:
    fast = kvm_works(image)
    words = ["qemu-system-x86_64", "-name", directory.name, "-machine", "q35,usb=off,vmport=off,smbus=off"]
    # Five levels of page tables, and other features of new processors, slow down each access under emulation.
    words += (
        ["-accel", "kvm", "-cpu", "host"]
        if fast
        else ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off"]
    )
    words += ["-smp", str(cpus), "-m", memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-kernel", str(image / "vmlinux"), "-initrd", str(image / "initramfs"), "-append", append]
    words += ["-serial", f"file:{directory / 'console'}"]
    for path in (image / "disk", disk):
        # Writes go to a temporary file of this boot, because all guests share the images.
        words += ["-drive", f"file={path},format=raw,if=virtio,snapshot=on,cache=unsafe,discard=unmap"]
    words += ["-device", f"virtio-serial-pci,max_ports={PORTS + 1}"]
    for port in range(PORTS):
        words += ["-chardev", f"socket,id=p{port},path={directory / str(port)},server=on,wait=off"]
        words += ["-device", f"virtserialport,chardev=p{port},name=pyrunc.{port}"]
    words += ["-device", "virtio-rng-pci", "-nic", "user,model=virtio-net-pci"]
    share = f"local,path={shared},mount_tag=share,security_model=none,multidevs=remap"
    return [*words, "-virtfs", share]


def boot(
    number: str, name: str = "", hybrid: bool = False, append: str = "", memory: str = "2G", cpus: int = 2,
    checkout: Path = TOP, share: Path | None = None,
) -> Guest:  # fmt: skip
    """Starts a guest of that release and returns at once; a client waits until the guest answers."""
    release = RELEASES[number]
    image = build_image(release)
    disk = build_checkout(release, image, checkout)
    name = name or f"debian{number}-{os.getpid()}"
    directory = guests() / name
    if any(guest.name == name for guest in running()):
        raise SystemExit(f"guest: {name} runs already")
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "share").mkdir(parents=True)
    line = f"{COMMAND_LINE} {release.hybrid if hybrid else ''} {append}"
    words = qemu_words(image, disk, directory, line, memory, cpus, (share or directory / "share").resolve())
    with (directory / "qemu.log").open("w") as log:
        settings = {"TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **settings},
        )  # fmt: skip
    guest = Guest(name, number, process.pid)
    end = time.monotonic() + 20
    while not (directory / str(PORTS - 1)).exists():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"guest: QEMU does not start: {(directory / 'qemu.log').read_text()}")
        time.sleep(0.02)
    (directory / "guest.json").write_text(json.dumps(asdict(guest)))
    return guest


def stop(guest: Guest) -> None:
    """Ends QEMU. Only the console's log and the shared directory of a guest are kept."""
    try:
        process = os.pidfd_open(guest.pid)
    except ProcessLookupError:
        return
    try:
        if guest.runs():
            signal.pidfd_send_signal(process, signal.SIGTERM)
            end = time.monotonic() + 10
            while guest.runs() and time.monotonic() < end:
                time.sleep(0.05)
            if guest.runs():
                signal.pidfd_send_signal(process, signal.SIGKILL)
    finally:
        os.close(process)
    (guest.directory / "guest.json").unlink(missing_ok=True)
    for port in range(PORTS):
        (guest.directory / str(port)).unlink(missing_ok=True)


def last_words(guest: Guest, lines: int = 60) -> str:
    """Returns the ends of the console's log and of QEMU's log, for the report of a failure."""
    found = []
    for name in ("console", "qemu.log"):
        path = guest.directory / name
        text = path.read_text(errors="replace") if path.exists() else ""
        found.append("\n".join([f"guest: the end of {path}:", *text.splitlines()[-lines:]]))
    return "\n".join(found)


def panicked(guest: Guest) -> bool:
    """True if the guest's kernel has ended in a panic (panic=-1 ends QEMU as well)."""
    console = guest.directory / "console"
    return console.exists() and "Kernel panic" in console.read_text(errors="replace")


@contextmanager
def booted(number: str, **settings: object) -> Iterator[Guest]:
    """Runs a guest during the block."""
    guest = boot(number, **settings)  # type: ignore[arg-type]
    try:
        yield guest
    finally:
        stop(guest)
