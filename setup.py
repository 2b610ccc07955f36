"""Builds the helper in nsenter/ and the cffi modules; everything else stands in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from setuptools import Command, Distribution, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
NSENTER = HERE / "nsenter"
PROGRAMS = HERE / "pyrunc" / "_bin"
INSTALLED = HERE / "build" / "programs"
"""Those of a wheel, which another interpreter than the checkout's may build: it leaves the checkout's alone."""
SHIM = "containerd-shim-pyrunc-v1"
COMMANDS = ("pyrunc", SHIM)
"""One program, which looks at the name that it was called by."""

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


def compile_program(output: Path, program: str, *flags: str) -> None:
    """Every C file of ``nsenter/PROGRAM``."""
    output.parent.mkdir(parents=True, exist_ok=True)
    sources = map(str, sorted((NSENTER / program).glob("*.c")))
    command = [*CC, *FLAGS, f"-I{output.parent}", "-o", str(output), *sources, *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        fail(f"{output.name} does not compile:\n{result.stderr}")


def commit() -> str:
    """What `pyrunc --version` calls the commit."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"
    except FileNotFoundError:  # a source archive may be built where there is no git
        return "unknown"


def build_archives(directory: Path, checked: bool) -> None:
    """The hot modules (pyrunc/fastpath); ``checked``: of a checkout, whose sources may be edited later."""
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path[:0] = sys.argv[1].split(':')\n"]
    command[-1] += "from pyrunc.fastpath.archive_build import build; build(sys.argv[2], sys.argv[3] == 'checked')"
    packages = ":".join([str(HERE), *sys.path])
    # Without them everything works, only slower.
    subprocess.run([*command, packages, str(directory), "checked" if checked else "installed"], check=False)


def python_flags() -> "list[str]":
    """For nsenter/launcher/interpreter.c: the shared library of this interpreter, if it has one, and its modules."""
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
    defines.append(f"-DPYTHON_MAGIC={int.from_bytes(MAGIC_NUMBER[:2], 'little')}")
    return [*defines, f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}", "-ldl"]


def replace(source: Path, target: Path) -> None:
    """Copies ``source`` beside ``target`` and renames it, so that what runs ``target`` goes on with the old file."""
    new = target.with_name(f".{target.name}.new")
    shutil.copy(source, new)
    new.replace(target)


def build_programs(directory: Path) -> None:
    """The programs of nsenter/ into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, str(NSENTER / "generate.py"), str(directory)], check=True)
    compile_program(directory / "pyrunc-nsenter", "helper", "-static", "-s")
    compile_program(directory / "pyrunc-nsenter-dynamic", "helper", "-DPYRUNC_DYNAMIC", "-ldl", "-s")
    compile_program(directory / "pyrunc", "launcher", *python_flags(), "-s")
    shutil.copy(directory / "pyrunc", directory / SHIM)
    compile_program(directory / "pyrunc-probe", "probe", "-fno-pie", "-no-pie", "-ldl", "-s")
    for header in directory.glob("*.h"):
        header.unlink()
    build_archives(directory / "hot", True)
    (directory / "commit").write_text(commit() + "\n")


class Build(build_py):
    """Programs first: they are data of the package, and the launcher is installed as bin/pyrunc."""

    def run(self) -> None:
        check_tools()
        build_programs(programs())
        super().run()
        if not editable():
            packaged = Path(self.build_lib, "pyrunc", "_bin")
            shutil.rmtree(packaged, ignore_errors=True)
            shutil.copytree(INSTALLED, packaged)
            build_archives(packaged / "hot", False)


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
        # The installed commands are copies. They may be running, and then cannot be written to (ETXTBSY, execve(2)).
        for name in COMMANDS:
            replace(PROGRAMS / name, Path(sys.prefix) / "bin" / name)


class Binary(Distribution):
    """A wheel with programs in it is for one platform."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data(self) -> bool:
        """Asked by setuptools' editable_wheel, which would leave data_files out otherwise."""
        return bool(self.data_files)


def editable() -> bool:
    """Whether pip installs the checkout itself (PEP 660)."""
    return "editable_wheel" in sys.argv


def programs() -> Path:
    """Where the programs are built that are installed now."""
    return PROGRAMS if editable() else INSTALLED


def data_files() -> "list[tuple[str, list[str]]]":
    """The launcher; for an editable install also where the source is, which the launcher can't ask `site` for."""
    files = [("bin", [str((programs() / name).relative_to(HERE)) for name in COMMANDS])]
    if editable():
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
        cffi_modules=[f"pyrunc/ffi/{name}_build.py:ffibuilder" for name in ("seccomp", "sys", "sdbus")],
    )
