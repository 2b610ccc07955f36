"""The root that a container is restored in: CRIU wants a mount point whose parent nothing is mounted over."""

import os

from pyrunc.errors import PyruncError

DIRECTORY = "criu-root"
"""Below the container's state directory, while `restore` works."""


class Root:
    """The rootfs bound to a directory of the container's state, for as long as CRIU works."""

    def __init__(self, state_directory: str) -> None:
        self.path = f"{os.path.realpath(state_directory)}/{DIRECTORY}"

    def mount(self, rootfs: str) -> None:
        """Mounts it. PyruncError has the kernel's answer."""
        from pyrunc.ffi._sys import lib

        os.mkdir(self.path, 0o755)
        result = lib.pyrunc_bind(os.fsencode(rootfs), os.fsencode(self.path))
        if result < 0:
            os.rmdir(self.path)
            raise PyruncError(f"root.path: bind {rootfs} for criu: {os.strerror(-result).lower()}")

    def remove(self) -> None:
        """Unmounts it, also where a killed `restore` left it."""
        if not os.path.lexists(self.path):
            return
        from pyrunc.ffi._sys import lib

        while lib.pyrunc_detach(os.fsencode(self.path)) == 0:
            pass
        os.rmdir(self.path)
