"""Opens the directories for CRIU: of the image, and of CRIU's logs. Checks that of the parent image."""

import os

from pyrunc.criu.options import CriuOptions
from pyrunc.errors import PyruncError


class Directories:
    """Open directories. ``image`` and ``work`` are descriptors, which CRIU opens through /proc/PID/fd of this process.
    ``log``: the path of the directory with CRIU's log."""

    def __init__(self, options: CriuOptions, make: bool) -> None:
        """Opens the directories. ``make``: whether to make a missing image directory. PyruncError names one that cannot
        be opened."""
        self.log = options.work_path or options.image_path
        self.work = -1
        self.image = _open("--image-path", options.image_path, make)
        try:
            if options.parent_path:
                _check_parent(options)
            if options.work_path:
                self.work = _open("--work-path", options.work_path, True)
        except BaseException:
            self.close()
            raise

    def options(self) -> dict[str, int | None]:
        """Returns the directories as options of a request to CRIU."""
        return {"images_dir_fd": self.image, "work_dir_fd": self.work if self.work >= 0 else None}

    def close(self) -> None:
        """Closes the descriptors. To be called when CRIU has ended."""
        for descriptor in (self.image, self.work):
            if descriptor >= 0:
                os.close(descriptor)
        self.image = self.work = -1


def _open(option: str, path: str, make: bool) -> int:
    try:
        if make:
            os.makedirs(path, 0o700, exist_ok=True)
        # Do not follow a link when writing: another user could have made it, and the files of an image have fixed
        # names, which would replace files of the host.
        follow = os.O_NOFOLLOW if make else 0
        return os.open(path.rstrip("/") or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow)
    except OSError as error:
        raise PyruncError(f"{option} {path}: {(error.strerror or '').lower()}") from None


def _check_parent(options: CriuOptions) -> None:
    if options.parent_path.startswith("/"):
        raise PyruncError("--parent-path must be relative")
    path = os.path.join(options.image_path, options.parent_path)
    if not os.path.isdir(path):
        what = "not a directory" if os.path.exists(path) else "no such file or directory"
        raise PyruncError(f"invalid --parent-path: {path}: {what}")
