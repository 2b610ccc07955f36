"""The root for `restore`. CRIU requires a mount point over whose parent nothing is mounted."""

import os

from pyrunc.errors import PyruncError

DIRECTORY = "criu-root"
"""Below the container's state directory, while `restore` runs."""


class Root:
    """A bind mount of the rootfs in the container's state directory, which exists while CRIU runs."""

    def __init__(self, state_directory: str) -> None:
        self.path = f"{os.path.realpath(state_directory)}/{DIRECTORY}"

    def mount(self, rootfs: str) -> None:
        """Binds ``rootfs``. Raises PyruncError if the kernel refuses."""
        from pyrunc.ffi._sys import lib

        os.mkdir(self.path, 0o755)
        result = lib.pyrunc_bind(os.fsencode(rootfs), os.fsencode(self.path))
        if result < 0:
            os.rmdir(self.path)
            raise PyruncError(f"root.path: bind {rootfs} for criu: {os.strerror(-result).lower()}")

    def remove(self) -> None:
        """Unmounts and removes it. Also used for a mount that a killed `restore` left."""
        if not os.path.lexists(self.path):
            return
        from pyrunc.ffi._sys import lib

        while lib.pyrunc_detach(os.fsencode(self.path)) == 0:
            pass
        os.rmdir(self.path)
