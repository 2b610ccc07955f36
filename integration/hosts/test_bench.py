"""`make bench` goes on without what a host lacks, and reports the output of a command that failed."""

import subprocess
import sys
from pathlib import Path

import bench_runtime
import legacy_host
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench.py"


def test_a_command_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    runtime = bench_runtime.Runtime("runc", "/bin/ls", tmp_path)
    with pytest.raises(bench_runtime.Failed, match=r"runc state nothing: exit status \d+: .*--root"):
        runtime.ok("state", "nothing")


@pytest.mark.parametrize("entry", ["name", "name=/nothing/there"])
def test_a_peer_that_is_no_program_is_told(entry: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCH, "--peers", ""], env={"BENCH_PEERS": entry}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, f"bench: BENCH_PEERS: {entry}: is to be name=path of a program\n")


def test_a_peer_that_runs_no_container_is_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import bench

    pyrunc, broken = (bench_runtime.Runtime(name, "/bin/false", tmp_path) for name in ("pyrunc", "broken"))
    pyrunc.refusal = lambda: ""  # type: ignore[method-assign]
    assert bench.able([pyrunc, broken]) == [pyrunc]
    assert capsys.readouterr().out.startswith("without broken: broken run -b ")


def test_a_controller_that_cannot_be_mounted_is_told_and_its_place_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "unified").mkdir()
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "file").touch()
    refused = subprocess.CompletedProcess([], 32, "", "mount: in use on v2\n")
    monkeypatch.setattr(legacy_host, "TOP", tmp_path)
    monkeypatch.setattr(legacy_host, "missing", lambda: ["left", "new"])
    monkeypatch.setattr(legacy_host, "mount", lambda controller: refused)
    with legacy_host.legacy_host() as notes:
        assert notes == [f"without the v1 controller {name}: mount: in use on v2" for name in ("left", "new")]
    assert (tmp_path / "left" / "file").exists() and not (tmp_path / "new").exists()
