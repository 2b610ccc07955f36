"""Compares audit-lib with strace on ordinary Debian libraries: python integration/hostile/soak_debian.py [NAME...]

Each library of PACKAGES is loaded with dlopen(3) and with LD_PRELOAD, under audit-lib and under strace. Whatever audit-lib
reports must be in strace's log (else a false alarm), and every call in that log that is not in QUIET must be reported.
apt downloads the packages and their dependencies, which are unpacked into build/hostile/debian: nothing is installed.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from account import ALONE, look
from scene import PYRUNC, TOP

HERE = Path(__file__).resolve().parent
DIRECTORY = TOP / "build" / "hostile" / "debian"
PRELOADED = """
libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 libfaketime libfakeroot libeatmydata1 liblttng-ust1 libasan8 libtsan2
libubsan1 liblsan0 torsocks libgtk3-nocsd0 libnss-mdns libnss-myhostname libnss-resolve libnss-mymachines libnss-systemd
libnss-ldapd libnss-extrausers libnss-wrapper libuid-wrapper libsocket-wrapper libpam-wrapper libresolv-wrapper
libkeepalive0 libproxychains4 authbind libfakechroot cowdancer datefudge electric-fence libdmalloc5 duma tsocks
libdsocksd0 trickle nocache alsa-oss libpulsedsp libheaptrack
"""
"""Packages of libraries that are meant to be preloaded, or are loaded into every program (nss)."""
LINKED = """
libgcc-s1 libstdc++6 libgomp1 zlib1g libzstd1 liblzma5 libbz2-1.0 liblz4-1 libssl3 libgnutls30 libgcrypt20 libnettle8
libgmp10 libcurl4 libglib2.0-0 libxml2 libexpat1 libsqlite3-0 libdbus-1-3 libsystemd0 libudev1 libpam0g libcap2
libcap-ng0 libseccomp2 libselinux1 libapparmor1 libaudit1 libacl1 libattr1 libkrb5-3 libldap-2.5-0 libsasl2-2 libpq5
libpcre2-8-0 libncurses6 libreadline8 libevent-2.1-7 libuv1 libarchive13 libicu72 libffi8 libp11-kit0 libtirpc3
libfuse3-3 liblxc1 libaio1 liburing2 libbpf1 libnuma1 libunwind8 libhwloc15 libopenblas0-pthread libpython3.11 libbsd0
libnl-3-200 libmnl0 libpng16-16 libjpeg62-turbo libfreetype6 libx11-6 libdrm2 libasound2 libpulse0 libusb-1.0-0
libprotobuf32 libmagic1 libyaml-0-2 libjansson4 libidn2-0
"""
"""Packages of libraries that programs are linked to."""
LIBC = ("libc6_", "libc-bin_", "libc6-dev_")
"""The host's libc is used: two versions cannot be mixed."""
LONGEST = 60


def fetch(packages: list[str]) -> list[Path]:
    """Downloads and unpacks ``packages`` with their dependencies; returns the shared objects of ``packages``."""
    archives, status, tree = DIRECTORY / "archives", DIRECTORY / "status", DIRECTORY / "tree"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status.write_text("")  # an empty list of installed packages: every dependency is downloaded
    settings = {"Dir::State::status": status, "Dir::Cache::archives": archives, "Debug::NoLocking": 1}
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    command = ["apt-get", *options, "-y", "-qq", "--no-install-recommends", "--download-only", "install", *packages]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    chosen = []
    for archive in sorted(archives.glob("*.deb")):
        if archive.name.startswith(LIBC):
            continue
        mark = tree / f".{archive.name}"
        if not mark.exists():
            subprocess.run(["dpkg-deb", "--extract", archive, tree], check=True)
            mark.touch()
        if archive.name.partition("_")[0] in packages:
            chosen += shared_objects(archive, tree)
    return chosen


def shared_objects(archive: Path, tree: Path) -> list[Path]:
    """Returns the shared objects of one package, without links to them."""
    listed = subprocess.run(["dpkg-deb", "--contents", archive], check=True, capture_output=True, text=True).stdout
    names = [line.split()[5] for line in listed.splitlines() if line.startswith("-")]
    return [tree / name for name in names if ".so" in Path(name).name and is_ours(tree / name)]


def is_ours(path: Path) -> bool:
    """True for a 64-bit shared object of this machine's architecture."""
    ours = Path("/proc/self/exe").read_bytes()[:20]
    head = path.read_bytes()[:20]
    return (head[:5], head[16:]) == (ours[:5], b"\x03\0" + ours[18:])


@dataclass
class Result:
    """The result of one library, loaded one way."""

    outcome: str
    harmless: bool
    named: list[str]
    false: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def compare(library: Path, at: str, loads: Path, environment: dict[str, str]) -> Result:
    """Runs audit-lib and strace, one after the other."""
    words = ["audit-lib", "--format", "json", "--preload-at", at, str(library)]
    done = subprocess.run(
        [*ALONE, PYRUNC, *words],
        cwd=DIRECTORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if not done.stdout:
        return Result("audit-lib failed", False, [], [done.stderr.strip()])
    said = json.loads(done.stdout)
    account = look(library, at, loads, environment)
    rows = [row for row in said["rows"] if row["verdict"] != "unchanged"]
    named = [f"{row['subject']}: {row['after']} {row['verdict']}" for row in rows]
    result = Result(said["outcome"], said["harmless"], named)
    result.false = [text for row, text in zip(rows, named, strict=True) if not account.backs(row)]
    result.missed = account.missed(rows)
    loaded = said["outcome"] == "loaded"
    if loaded != account.loaded:
        result.false.append(f"outcome {said['outcome']!r}, and with strace status {account.status}")
    return result


def main() -> int:
    """Returns 0 if there is no false alarm and nothing is missed."""
    chosen = sys.argv[1:]
    environment = {**os.environ, "LC_ALL": "C"}
    libraries = fetch((PRELOADED + LINKED).split())
    if chosen:
        libraries = [path for path in libraries if any(word in path.name for word in chosen)]
    places = [f"{DIRECTORY}/tree/{place}/{os.uname().machine}-linux-gnu" for place in ("usr/lib", "lib")]
    environment["LD_LIBRARY_PATH"] = ":".join(places)
    loads = DIRECTORY / "loads"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", loads, HERE / "loads.c"], check=True)
    count: Counter[str] = Counter()
    for library in libraries:
        for at in ("init", "exec"):
            result = compare(library, at, loads, environment)
            count[f"{at}, {'harmless' if result.harmless else kind(result)}"] += 1
            count["false alarms"] += len(result.false)
            count["missed"] += len(result.missed)
            print(f"{library.name:<34} {at:<4} {shown(result)}", flush=True)
    print(f"\n{len(libraries)} libraries of {len((PRELOADED + LINKED).split())} packages, each loaded both ways:")
    for key, number in sorted(count.items()):
        print(f"  {number:4} {key}")
    return 1 if count["false alarms"] or count["missed"] else 0


def kind(result: Result) -> str:
    """Returns why the library is not harmless."""
    return "did something" if result.outcome == "loaded" else "cannot be loaded so"


def shown(result: Result) -> str:
    """Returns one line, and one more for each fault."""
    text = "harmless" if result.harmless else "; ".join(result.named) or result.outcome
    faults = [f"\n    FALSE ALARM: {line}" for line in result.false] + [
        f"\n    MISSED: {line}" for line in result.missed
    ]
    return text[:150] + "".join(faults)


if __name__ == "__main__":
    sys.exit(main())
