"""Builds the helper in nsenter/ and the cffi modules; everything else stands in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Command, Distribution, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
NSENTER = HERE / "nsenter"
PROGRAMS = HERE / "pyrunc" / "_bin"
LAUNCHER = ["launcher.c", "interpreter.c"]
APART = {*LAUNCHER, "probe.c"}
"""Programs of their own; every other file of nsenter/ is part of the helper."""

CC = os.environ.get("CC", "gcc").split()
FLAGS = [
    *("-std=c11", "-D_GNU_SOURCE", "-Os", "-Wall", "-Wextra", "-Werror"),
    *("-fstack-protector-strong", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,-z,noexecstack"),
    *os.environ.get("CFLAGS", "").split(),
]


def fail(sentence: str) -> None:
    sys.exit(f"pyrunc: {sentence}")


def check_tools() -> None:
    """One sentence instead of a compiler's: what is missing, and the Debian package that has it."""
    if shutil.which(CC[0]) is None:
        fail(f"the C compiler {CC[0]} is missing: apt-get install gcc")
    headers = {
        "sys/mount.h": "libc6-dev",
        "linux/mount.h": "linux-libc-dev",
        "seccomp.h": "libseccomp-dev",
        "Python.h": f"python3-dev (or the headers of {sys.executable})",
    }
    include = sysconfig.get_paths()["include"]
    for header, package in headers.items():
        command = [*CC, "-E", "-x", "c", f"-I{include}", "-"]
        if subprocess.run(command, input=f"#include <{header}>\n", capture_output=True, text=True).returncode:
            fail(f"the header {header} is missing: apt-get install {package}")


def compile_program(output: Path, sources: "list[Path]", *flags: str) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [*CC, *FLAGS, f"-I{output.parent}", f"-I{NSENTER}", "-o", str(output), *map(str, sources), *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        fail(f"{output.name} does not compile:\n{result.stderr}")


def commit() -> str:
    """What `pyrunc --version` calls the commit."""
    found = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def build_archives(directory: Path, checked: bool) -> None:
    """The hot modules (pyrunc/hot.py); ``checked``: of a checkout, whose sources may be edited later."""
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path[:0] = sys.argv[1].split(':')\n"]
    command[-1] += "from pyrunc.hot import build; build(sys.argv[2], sys.argv[3] == 'checked')"
    packages = ":".join([str(HERE), *sys.path])
    # Without them everything works, only slower.
    subprocess.run([*command, packages, str(directory), "checked" if checked else "installed"], check=False)


def python_flags() -> "list[str]":
    """For nsenter/interpreter.c: this interpreter's shared library and where its modules lie, if it has one."""
    variables = sysconfig.get_config_vars()
    library = Path(str(variables.get("LIBDIR")), str(variables.get("INSTSONAME")))
    if ("CC" in os.environ and "--check" in sys.argv) or library.suffix == ".a" or not library.exists():
        return []
    places = {
        "PYTHON_LIBRARY": library,
        "PYTHON_PREFIX": sys.base_prefix,
        "PYTHON_STDLIB": sysconfig.get_path("stdlib"),
        "PYTHON_DYNLOAD": variables.get("DESTSHARED"),
    }
    defines = [f'-D{name}="{place}"' for name, place in places.items()]
    return [*defines, f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}", "-ldl"]


def build_programs(directory: Path) -> None:
    """Everything of nsenter/ into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, str(NSENTER / "generate.py"), str(directory / "steps.h")], check=True)
    helper = [source for source in sorted(NSENTER.glob("*.c")) if source.name not in APART]
    compile_program(directory / "pyrunc-nsenter", helper, "-static", "-s")
    compile_program(directory / "pyrunc-nsenter-dynamic", helper, "-DPYRUNC_DYNAMIC", "-ldl", "-s")
    compile_program(directory / "pyrunc", [NSENTER / name for name in LAUNCHER], *python_flags(), "-s")
    if (NSENTER / "probe.c").exists():
        compile_program(directory / "pyrunc-probe", [NSENTER / "probe.c"], "-ldl", "-s")
    (directory / "steps.h").unlink()
    build_archives(directory / "hot", True)
    (directory / "commit").write_text(commit() + "\n")


class Build(build_py):
    """Programs first: they are data of the package, and the launcher is installed as bin/pyrunc."""

    def run(self) -> None:
        check_tools()
        build_programs(PROGRAMS)
        super().run()
        if "editable_wheel" not in sys.argv and not self.editable_mode:
            build_archives(Path(self.build_lib, "pyrunc", "_bin", "hot"), False)


class BuildPrograms(Command):
    """`setup.py build_programs`: nsenter/ and the cffi modules again, in place; --check only compiles."""

    user_options = [("check", None, "compile into a temporary directory, to see that it does")]
    boolean_options = ["check"]

    def initialize_options(self) -> None:
        self.check = False

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        if self.check:
            with tempfile.TemporaryDirectory() as directory:
                build_programs(Path(directory))
            return
        build_programs(PROGRAMS)
        self.reinitialize_command("build_ext", inplace=True)
        self.run_command("build_ext")
        # The installed command is a copy.
        shutil.copy(PROGRAMS / "pyrunc", Path(sys.prefix) / "bin" / "pyrunc")


class Binary(Distribution):
    """A wheel with programs in it is for one platform."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data(self) -> bool:
        """Asked by setuptools' editable_wheel, which would leave data_files out otherwise."""
        return bool(self.data_files)


def data_files() -> "list[tuple[str, list[str]]]":
    """The launcher; for an editable install also where the source is, which the launcher can't ask `site` for."""
    files = [("bin", ["pyrunc/_bin/pyrunc"])]
    if "editable_wheel" in sys.argv:
        note = HERE / "build" / "pyrunc.source"
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{HERE}\n")
        packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        files.append((packages, ["build/pyrunc.source"]))
    return files


if __name__ == "__main__":
    setup(
        distclass=Binary,
        cmdclass={"build_py": Build, "build_programs": BuildPrograms},
        data_files=data_files(),
        cffi_modules=[f"pyrunc/ffi/{name}_build.py:ffibuilder" for name in ("seccomp", "sys")],
    )
