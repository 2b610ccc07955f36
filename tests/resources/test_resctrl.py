"""Intel RDT with a fake resctrl: a directory whose new subdirectories get the files that the kernel would make."""

import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.resources import resctrl as module
from pyrunc.spec.linux import IntelRdt

SCHEMATA = "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n"


class Resctrl:
    """mkdir makes a group, rmdir removes it with its files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        for name, text in {
            "L3/cbm_mask": "fffff", "L3/min_cbm_bits": "1", "L3/num_closids": "16",
            "MB/bandwidth_gran": "10", "MB/delay_linear": "1", "MB/min_bandwidth": "10", "MB/num_closids": "8",
        }.items():  # fmt: skip
            (root / "info" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "info" / name).write_text(f"{text}\n")
        (root / "info" / "last_cmd_status").write_text("ok\n")
        self.fill(root)

    def fill(self, group: Path) -> None:
        (group / "tasks").write_text("")
        if group.parent.name == "mon_groups":
            for number in (0, 1):
                data = group / "mon_data" / f"mon_L3_0{number}"
                data.mkdir(parents=True)
                for name, value in (("llc_occupancy", 5), ("mbm_total_bytes", 70), ("mbm_local_bytes", 60)):
                    (data / name).write_text(f"{value + number}\n")
        else:
            (group / "schemata").write_text(SCHEMATA)
            (group / "mon_groups").mkdir(exist_ok=True)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)
        self.fill(Path(path))

    def rmdir(self, path: str) -> None:
        for name in ("schemata", "tasks"):
            Path(path, name).unlink(missing_ok=True)
        for directory, _, files in os.walk(path, topdown=False):
            for name in files:
                os.unlink(f"{directory}/{name}")
            os.rmdir(directory)

    def text(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def resctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resctrl:
    made = Resctrl(tmp_path / "resctrl")

    class Posix:
        mkdir, rmdir = made.mkdir, made.rmdir

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    monkeypatch.setattr(module, "posix", Posix())
    return made


def make(resctrl: Resctrl, **properties: Any) -> IntelRdt:
    """Checks and creates the group of container ``c1``, pid 7."""
    rdt = IntelRdt.model_validate(properties)
    module.check(str(resctrl.root), "c1", rdt)
    module.create(str(resctrl.root), "c1", rdt, 7)
    return rdt


def test_a_group_of_its_own_goes_with_it(resctrl: Resctrl) -> None:
    rdt = make(resctrl, l3CacheSchema="L3:0=f0\nMB:0=5", memBwSchema="MB:0=20", schemata=["L3:1=f"])
    assert resctrl.text("c1/schemata").startswith("L3:0=f0\nMB:0=20\nL3:1=f\n") and resctrl.text("c1/tasks") == "7"
    owned = module.owned(str(resctrl.root), "c1", rdt)
    assert owned == [f"{resctrl.root}/c1"]
    module.remove(owned)
    module.remove(owned)  # again, after a crash
    assert not (resctrl.root / "c1").exists()


def test_monitoring(resctrl: Resctrl) -> None:
    rdt = make(resctrl, enableMonitoring=True)
    assert resctrl.text("c1/mon_groups/c1/tasks") == "7"
    assert module.owned(str(resctrl.root), "c1", rdt) == [f"{resctrl.root}/c1/mon_groups/c1", f"{resctrl.root}/c1"]
    assert module.stats(str(resctrl.root), "c1", rdt) == {
        "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=fffff;1=fffff",
        "l3_cache_schema": "L3:0=fffff;1=fffff",
        "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=100;1=100",
        "mbm_stats": [{"mbm_total_bytes": 70, "mbm_local_bytes": 60}, {"mbm_total_bytes": 71, "mbm_local_bytes": 61}],
        "cmt_stats": [{"llc_occupancy": 5}, {"llc_occupancy": 6}],
    }


def test_the_default_class(resctrl: Resctrl) -> None:
    rdt = make(resctrl, closID="/")
    assert resctrl.text("tasks") == "7" and module.owned(str(resctrl.root), "c1", rdt) == []


def test_a_named_class_is_others_too(resctrl: Resctrl) -> None:
    resctrl.mkdir(f"{resctrl.root}/gold", 0o755)
    rdt = make(resctrl, closID="gold", enableMonitoring=True)
    assert resctrl.text("gold/tasks") == "7" and resctrl.text("gold/schemata") == SCHEMATA
    assert module.owned(str(resctrl.root), "c1", rdt) == [f"{resctrl.root}/gold/mon_groups/c1"]


def test_a_named_class_that_exists_is_as_the_config_says(resctrl: Resctrl) -> None:
    resctrl.mkdir(f"{resctrl.root}/gold", 0o755)
    make(resctrl, closID="gold", l3CacheSchema="L3:0=fffff;1=0fffff")
    with pytest.raises(SpecError, match=r"^linux\.intelRdt\.memBwSchema: differs .* CLOS gold"):
        make(resctrl, closID="gold", memBwSchema="MB:0=20")
    make(resctrl, closID="gold", schemata=["MB:0=30"])  # these are always written
    assert resctrl.text("gold/schemata").startswith("MB:0=30\n")


def test_a_named_class_that_is_not_there(resctrl: Resctrl) -> None:
    with pytest.raises(SpecError, match=r"^linux\.intelRdt\.closID: .*/gold: no such class"):
        make(resctrl, closID="gold")
    make(resctrl, closID="gold", schemata=["MB:0=30"])
    assert (resctrl.root / "gold" / "tasks").exists()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/x"])
def test_names_that_lead_elsewhere(resctrl: Resctrl, name: str) -> None:
    with pytest.raises(SpecError, match=r"^linux\.intelRdt\.closID: "):
        make(resctrl, closID=name)


def test_the_kernels_own_words_about_a_refusal(resctrl: Resctrl) -> None:
    (resctrl.root / "info" / "last_cmd_status").write_text("Mask f0f has non-consecutive 1-bits\n")
    resctrl.mkdir(f"{resctrl.root}/c1", 0o755)
    (resctrl.root / "c1" / "schemata").unlink()
    with pytest.raises(SpecError, match=r"^linux\.intelRdt\.schemata: write 'L3:0=f0f' .*non-consecutive 1-bits\)$"):
        make(resctrl, schemata=["L3:0=f0f"])
