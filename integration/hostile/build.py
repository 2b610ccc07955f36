"""Builds the stand-ins: python integration/hostile/build.py DIRECTORY [SOCKET]."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ["-Wall", "-Wextra", "-Werror", "-O1"]
PROGRAMS = ("cgmanager", "loads", "look", "show_cgroups")
LIBRARIES = sorted(path.stem for path in HERE.glob("*.c") if path.stem not in PROGRAMS)


def build(directory: Path, socket: str = "/run/pyrunc-hostile.sock") -> None:
    """Builds the programs and every library in ``directory``. Daemon and libraries connect by ``socket``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        output, source = directory / f"{name}.so", HERE / f"{name}.c"
        define = f'-DSOCKET="{socket}"'
        subprocess.run(["gcc", *FLAGS, define, "-shared", "-fPIC", "-pthread", "-o", output, source], check=True)
    for name in ("cgmanager", "show_cgroups"):
        subprocess.run(["gcc", *FLAGS, "-o", directory / name, HERE / f"{name}.c"], check=True)
    linked = ["-Wl,--no-as-needed", directory / "lxc2.so", f"-Wl,-rpath,{directory}"]
    output = directory / "show_cgroups_linked"
    subprocess.run(["gcc", *FLAGS, "-o", output, HERE / "show_cgroups.c", *linked], check=True)


def build_libraries(directory: Path, names: list[str]) -> None:
    """Builds the libraries ``names`` of libraries/, and the program look.c, in ``directory``."""
    define = f'-DSCENE="{directory}"'
    for source in (HERE / "libraries" / f"{name}.c" for name in names):
        output = directory / f"{source.stem}.so"
        subprocess.run(
            ["gcc", *FLAGS, define, "-shared", "-fPIC", "-pthread", "-o", output, source, "-lrt"], check=True
        )
    subprocess.run(["gcc", *FLAGS, "-static", "-o", directory / "look", HERE / "look.c"], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:3])
