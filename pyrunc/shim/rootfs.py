"""Mounts the root file system of a Create request at ``BUNDLE/rootfs``, and unmounts it.

It uses the mount API (fsopen(2), Linux 5.2; mount_setattr(2), 5.12), which passes each option separately. mount(2)
limits all options together to a page, which is too little for an overlay of many layers (``lowerdir+``, Linux 6.7).
"""

import errno
import posix

from pyrunc.errors import PyruncError, SpecError
from pyrunc.plan import mount_options as flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SET_FLAG, SET_STRING, CMD_CREATE = 0, 1, 6
"""Commands of fsconfig(2)."""
LONGEST = 255
"""The longest value that fsconfig(2) accepts, in bytes."""
PAGE = 4095
SUPERBLOCK = (
    (flags.MS_RDONLY, "ro"),
    (flags.MS_SYNCHRONOUS, "sync"),
    (flags.MS_DIRSYNC, "dirsync"),
    (flags.MS_LAZYTIME, "lazytime"),
)
LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_CLR_FD = 0x4C82, 0x4C0A, 0x4C01
LOOP_CONFIG_SIZE, LOOP_FLAGS_AT = 304, 60
LOOP_READ_ONLY, LOOP_AUTOCLEAR = 1, 4
"""linux/loop.h."""
TRIES = 16


def mount_all(mounts: "Sequence[dict[str, Any]]", rootfs: str) -> None:
    """Mounts ``mounts`` (containerd.types.Mount) in order at ``rootfs``, which is created if it does not exist.

    Raises SpecError for an invalid mount and PyruncError if the kernel refuses; then all of them are unmounted.
    """
    if not mounts:
        return
    try:
        posix.mkdir(rootfs, 0o711)
    except FileExistsError:
        pass
    except OSError as error:
        raise PyruncError(f"rootfs: mkdir {rootfs}: {_words(error)}") from None
    try:
        for number, mount in enumerate(mounts):
            _Mount(mount, rootfs, f"rootfs[{number}]").make()
    except BaseException:
        unmount_all(rootfs)
        raise


def unmount_all(rootfs: str) -> None:
    """Detaches all mounts at ``rootfs`` itself. Does nothing if there are none, or if the directory does not exist."""
    from pyrunc.ffi._sys import lib

    while (answer := lib.pyrunc_detach(_bytes(rootfs))) == 0:
        pass
    if answer not in (-errno.EINVAL, -errno.ENOENT):
        raise PyruncError(f"rootfs: umount {rootfs}: {posix.strerror(-answer).lower()}")


class _Mount:
    """One mount being made. ``opened``: descriptors that stay open until it is made."""

    def __init__(self, mount: "dict[str, Any]", rootfs: str, where: str) -> None:
        from pyrunc.ffi._sys import ffi, lib

        self.lib, self.null = lib, ffi.NULL
        self.where = where
        self.kind = str(mount.get("type", ""))
        self.source = str(mount.get("source", ""))
        given = list(mount.get("options", ()))
        self.loop = "loop" in given
        # X-containerd.* are only for containerd itself, not for the kernel.
        self.options = flags.Options([o for o in given if o != "loop" and not o.startswith("X-containerd.")], where)
        self.opened: list[int] = []
        self.target = self._target(rootfs, str(mount.get("target", "")))

    def make(self) -> None:
        """Mounts it. Raises the errors of ``mount_all``."""
        options = self.options
        try:
            if options.remount:
                raise SpecError(f"{self.where}.options", "remount is not for a root file system")
            if options.bind or self.kind in ("bind", "rbind"):
                tree = self._bind()
            elif self._too_long() and not self._takes_layers():
                self._legacy()
                return
            else:
                tree = self._filesystem()
            self.opened.append(tree)
            if options.propagation:
                for kind in options.propagation:
                    recursive = kind & flags.MS_REC
                    self._checked(
                        self.lib.pyrunc_mount_setattr(tree, recursive, 0, 0, kind & ~flags.MS_REC), "propagation"
                    )
            self._checked(self.lib.pyrunc_move_mount(tree, _bytes(self.target)), f"attach at {self.target}")
        finally:
            for descriptor in self.opened:
                posix.close(descriptor)
            self.opened.clear()

    def _target(self, rootfs: str, below: str) -> str:
        """Returns ``rootfs``, or the mount's target directory in it. The kernel keeps the look-up below ``rootfs``."""
        if not below.strip("/"):
            return rootfs
        root = posix.open(rootfs, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            found = self._checked(self.lib.pyrunc_open_in_root(root, _bytes(below)), f"target {below}")
        finally:
            posix.close(root)
        return self._short(found)

    def _short(self, descriptor: int) -> str:
        self.opened.append(descriptor)
        return f"/proc/self/fd/{descriptor}"

    def _bind(self) -> int:
        options = self.options
        recursive = options.recursive or self.kind == "rbind"
        tree = self._checked(self.lib.pyrunc_open_tree(_bytes(self.source), recursive), f"bind {self.source}")
        self.opened.append(tree)
        for every, on, off in (
            (False, options.set, options.clear),
            (True, options.recursive_set, options.recursive_clear),
        ):
            if on or off:
                self._checked(self.lib.pyrunc_mount_setattr(tree, every, on, off, 0), f"options of {self.source}")
        return self.opened.pop()

    def _filesystem(self) -> int:
        filesystem = self._checked(self.lib.pyrunc_fsopen(_bytes(self.kind)), f"mount {self.kind}")
        self.opened.append(filesystem)
        source = self._loop_device() if self.loop else self.source
        if source:
            self._configure(filesystem, "source", source)
        for option in self.options.data:
            key, equals, value = option.partition("=")
            if key == "lowerdir" and len(_bytes(value)) > LONGEST:
                for layer in _layers(value):
                    self._configure(filesystem, "lowerdir+", self._path(layer))
            else:
                self._configure(filesystem, key, self._path(value) if equals else None)
        for bit, name in SUPERBLOCK:
            if self.options.superblock & bit:
                self._configure(filesystem, name, None)
        created = self.lib.pyrunc_fsconfig(filesystem, CMD_CREATE, self.null, self.null)
        self._checked(created, f"mount {self.kind}", filesystem)
        return self._checked(self.lib.pyrunc_fsmount(filesystem, self.options.set), f"mount {self.kind}", filesystem)

    def _configure(self, filesystem: int, key: str, value: "str | None") -> None:
        command = SET_FLAG if value is None else SET_STRING
        given = self.null if value is None else _bytes(value)
        answer = self.lib.pyrunc_fsconfig(filesystem, command, _bytes(key), given)
        self._checked(answer, f"mount {self.kind}: option {key}", filesystem)

    def _path(self, value: str) -> str:
        """Returns ``value``. If that is a path that is too long, returns a short path of the same file."""
        if len(_bytes(value)) <= LONGEST or not value.startswith("/"):
            return value
        try:
            return self._short(posix.open(value, posix.O_PATH | posix.O_CLOEXEC))
        except OSError as error:
            raise PyruncError(f"{self.where}: {value}: {_words(error)}") from None

    def _too_long(self) -> bool:
        return any(len(_bytes(option.partition("=")[2])) > LONGEST for option in self.options.data)

    def _takes_layers(self) -> bool:
        """Whether the kernel accepts layers one by one (Linux 6.7). True without layers: other long values get short
        paths."""
        if not any(option.startswith("lowerdir=") for option in self.options.data):
            return True
        filesystem = self._checked(self.lib.pyrunc_fsopen(_bytes(self.kind)), f"mount {self.kind}")
        try:
            return bool(self.lib.pyrunc_fsconfig(filesystem, SET_STRING, b"lowerdir+", b"/") == 0)
        finally:
            posix.close(filesystem)

    def _legacy(self) -> None:
        """Uses mount(2), with all options in one page. Uses short paths of the layers if they do not fit otherwise."""
        options = self.options
        data = ",".join(options.data)
        if len(_bytes(data)) > PAGE:
            parts = [option.partition("=") for option in options.data]
            data = ",".join(
                f"lowerdir={':'.join(self._open(layer) for layer in _layers(value))}"
                if key == "lowerdir"
                else key + equals + value
                for key, equals, value in parts
            )
        bits = options.superblock | options.set & 0xF | (options.set & flags.NOATIME) << 6
        source = _bytes(self.source or self.kind)
        answer = self.lib.pyrunc_mount(source, _bytes(self.target), _bytes(self.kind), bits, _bytes(data))
        self._checked(answer, f"mount {self.kind}")

    def _open(self, path: str) -> str:
        try:
            return self._short(posix.open(path, posix.O_PATH | posix.O_CLOEXEC))
        except OSError as error:
            raise PyruncError(f"{self.where}: {path}: {_words(error)}") from None

    def _loop_device(self) -> str:
        """Returns a loop device for the image ``source``. The kernel frees it after the unmount
        (LO_FLAGS_AUTOCLEAR)."""
        import fcntl
        import sys

        readonly = bool(self.options.superblock & flags.MS_RDONLY) or self.kind in ("erofs", "squashfs")
        mode = posix.O_CLOEXEC | (posix.O_RDONLY if readonly else posix.O_RDWR)
        try:
            image = posix.open(self.source, mode)
            self.opened.append(image)
            control = posix.open("/dev/loop-control", posix.O_RDWR | posix.O_CLOEXEC)
            self.opened.append(control)
            config = bytearray(LOOP_CONFIG_SIZE)
            config[0:4] = image.to_bytes(4, sys.byteorder)
            chosen = LOOP_AUTOCLEAR | (LOOP_READ_ONLY if readonly else 0)
            config[LOOP_FLAGS_AT : LOOP_FLAGS_AT + 4] = chosen.to_bytes(4, sys.byteorder)
            for last in range(TRIES, 0, -1):
                path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
                device = posix.open(path, mode)
                self.opened.append(device)
                try:
                    fcntl.ioctl(device, LOOP_CONFIGURE, bytes(config))
                    return path
                except OSError as error:
                    # Another process has got the same device.
                    if error.errno != errno.EBUSY or last == 1:
                        raise
        except OSError as error:
            raise PyruncError(f"{self.where}: loop device for {self.source}: {_words(error)}") from None
        raise AssertionError("not reached")

    def _checked(self, answer: int, what: str, filesystem: int = -1) -> int:
        if answer >= 0:
            return answer
        words = _kernel_words(filesystem) if filesystem >= 0 else ""
        raise PyruncError(f"{self.where}: {what}: {posix.strerror(-answer).lower()}{words}")


def _layers(value: str) -> "list[str]":
    """Returns the directories of ``lowerdir``. A backslash precedes a colon that is part of a name (overlayfs.rst)."""
    layers = [""]
    escaped = False
    for character in value:
        if character == ":" and not escaped:
            layers.append("")
            continue
        escaped = character == "\\" and not escaped
        if not escaped:
            layers[-1] += character
    return layers


def _kernel_words(filesystem: int) -> str:
    """Returns ``: `` and the last error in the context's log, which the kernel writes as "e overlay: ...", or ""."""
    words = ""
    try:
        while message := posix.read(filesystem, 512):
            if message[:2] == b"e ":
                words = ": " + message[2:].decode("utf-8", "replace").strip()
    except OSError:
        pass  # ENODATA: the end of the log
    return words


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
