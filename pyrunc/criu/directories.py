"""The directories of an image, of CRIU's logs, and of the image before, opened for CRIU."""

import os

from pyrunc.criu.options import CriuOptions
from pyrunc.errors import PyruncError


class Directories:
    """``image`` and ``work`` are descriptors: CRIU opens them through /proc/OUR-PID/fd. ``log``: where it writes."""

    def __init__(self, options: CriuOptions, make: bool) -> None:
        """Makes what is missing when ``make``; PyruncError names what can't be opened."""
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
        """The directories' part of the request to CRIU."""
        return {"images_dir_fd": self.image, "work_dir_fd": self.work if self.work >= 0 else None}

    def close(self) -> None:
        """Closes the descriptors; called when CRIU has ended."""
        for descriptor in (self.image, self.work):
            if descriptor >= 0:
                os.close(descriptor)
        self.image = self.work = -1


def _open(option: str, path: str, make: bool) -> int:
    try:
        if make:
            os.makedirs(path, 0o700, exist_ok=True)
        # What is written into is no link of another user's: an image has fixed names, that would replace the host's.
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
