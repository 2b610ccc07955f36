"""Builds the stand-ins: python integration/hostile/build.py DIRECTORY [SOCKET]."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ["-Wall", "-Wextra", "-Werror", "-O1"]
LIBRARIES = sorted(path.stem for path in HERE.glob("*.c") if path.stem != "cgmanager")


def build(directory: Path, socket: str = "/run/pyrunc-hostile.sock") -> None:
    """The daemon and every library into ``directory``; ``socket`` is where they meet."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", *FLAGS, "-o", directory / "cgmanager", HERE / "cgmanager.c"], check=True)
    for name in LIBRARIES:
        output, source = directory / f"{name}.so", HERE / f"{name}.c"
        define = f'-DSOCKET="{socket}"'
        subprocess.run(["gcc", *FLAGS, define, "-shared", "-fPIC", "-pthread", "-o", output, source], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:3])
