"""Intel RDT: a container in a class of a fake resctrl, and the error on a host without resctrl."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import Box
from limits import limit
from pyrunc import Container

RESCTRL = Path("/sys/fs/resctrl/info")


def intel(**properties: Any) -> Any:
    return lambda config: config["linux"].update(intelRdt=properties)


@pytest.fixture
def resctrl(tmp_path: Path) -> Path:
    """A class ``gold`` with a monitoring group, as files."""
    root = tmp_path / "resctrl"
    (root / "info").mkdir(parents=True)
    for directory in (root, root / "gold"):
        (directory / "mon_groups").mkdir(parents=True)
        (directory / "tasks").write_text("")
        (directory / "schemata").write_text("L3:0=f;1=f\n")
    return root


@pytest.mark.parametrize("clos", ["gold", "/"])
def test_init_is_put_into_its_class(box: Box, resctrl: Path, clos: str) -> None:
    name = box.new_id()
    bundle = box.bundle("sleep 100", intel(closID=clos, schemata=["L3:0=3"]))
    container = Container.create(name, str(bundle), root=str(box.root), resctrl=str(resctrl))
    directory = resctrl / clos.strip("/")
    assert (directory / "tasks").read_text() == str(container.pid)
    assert (directory / "schemata").read_text().startswith("L3:0=3\n")
    container.start()
    box.ok("update", "--l3-cache-schema", "L3:0=1", name)
    assert (directory / "schemata").read_text().startswith("L3:0=1\nL3:0=3\n")
    box.ok("delete", "--force", name)
    assert (directory / "tasks").exists()  # the container did not make the class, so it must stay


def test_a_schema_for_a_container_without_one_is_refused(box: Box) -> None:
    if RESCTRL.exists():
        pytest.skip("this host has Intel RDT")
    name = box.start()
    done = box.call("update", "--mem-bw-schema", "MB:0=20", "--pids-limit", "7", name)
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.intelRdt: the host has no /sys/fs/resctrl")
    data = json.loads((box.root / name / "state.json").read_text())
    assert "intelRdt" not in data["config"]["linux"]
    assert limit(name, "pids.max") == "max"


def test_a_host_without_resctrl_says_so(box: Box) -> None:
    if RESCTRL.exists():
        pytest.skip("this host has Intel RDT")
    done = box.run("true", intel(l3CacheSchema="L3:0=f"))
    assert done.returncode == 1
    assert done.stderr == (
        "pyrunc: linux.intelRdt: the host has no /sys/fs/resctrl (no Intel RDT, or resctrl is not mounted)\n"
    )
    assert not box.leftovers()
