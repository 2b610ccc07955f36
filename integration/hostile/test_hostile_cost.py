"""The cost of a library in the init path, and the cost without one."""

import re
import subprocess
import sys
from pathlib import Path

from hostile_box import HOSTILE, Stage

from harness import PYRUNC


def test_hardened_costs_no_multiple_of_legacy() -> None:
    """cost.py measures the figure (docs/hostile-libraries.md); on a busy machine only its order of magnitude can be
    checked: two more calls of execve and a clone, not a second container."""
    done = subprocess.run([sys.executable, str(HOSTILE / "cost.py"), "20"], capture_output=True, text=True, check=True)
    figures = [float(found) for found in re.findall(r"(-?[0-9.]+) ms", done.stdout)]
    assert len(figures) == 4, done.stdout
    _, legacy, hardened, difference = figures
    assert hardened < 3 * legacy + 2 and difference < 2 * legacy + 2, done.stdout


def test_without_a_library_no_file_of_the_mode_is_opened(stage: Stage) -> None:
    trace = stage.box.directory / "trace"
    bundle = str(stage.box.bundle("true"))
    command = ["strace", "-f", "-o", trace, "-e", "trace=execve,openat,memfd_create,prctl", PYRUNC]
    words = ["--root", str(stage.box.root), "run", "-b", bundle]
    subprocess.run([*command, *words, stage.box.new_id()], check=True, capture_output=True)
    plain = Path(trace).read_text()
    assert "dynamic" not in plain and "/pyrunc/hostile/" not in plain and '"capture"' not in plain
    # Under a tracer no library is loaded (TracerPid is checked), but the files for loading have been opened by then.
    subprocess.run([*command, *words, *stage.preload("files"), stage.box.new_id()], check=False, capture_output=True)
    assert "nsenter-dynamic" in Path(trace).read_text() and '"capture"' in Path(trace).read_text()
