"""The systemd driver's words; systemd itself does not run here."""

import pytest

from pyrunc.cgroup.systemd import arguments, change_arguments, expand, parse, properties, scope_path
from pyrunc.errors import SpecError
from pyrunc.spec.load import shaped_resources


def test_paths() -> None:
    assert parse("", "x") == ("system.slice", "pyrunc-x.scope")
    assert parse("machine.slice:libpod:abc", "x") == ("machine.slice", "libpod-abc.scope")
    assert (
        scope_path("kubepods-burstable.slice:cri:abc", "x") == "/kubepods.slice/kubepods-burstable.slice/cri-abc.scope"
    )
    assert expand("-.slice") == ""
    for wrong in ("/a/b", "a:b", "a:b:"):
        with pytest.raises(SpecError, match="slice:prefix:name"):
            parse(wrong, "x")
    for wrong in ("a", "a--b.slice", "a/b.slice"):
        with pytest.raises(SpecError, match="not the name of a slice"):
            expand(wrong)


def test_the_call() -> None:
    limits = properties(
        shaped_resources({"memory": {"limit": 5}, "pids": {"limit": -1}, "cpu": {"quota": 50000}}), True
    )
    words = arguments("a.slice", "b.scope", 42, limits)
    assert words[4:8] == ["ssa(sv)a(sa(sv))", "b.scope", "replace", "8"]
    assert "PIDs au 1 42" in " ".join(words) and "MemoryMax t 5" in " ".join(words)
    assert f"TasksMax t {2**64 - 1}" in " ".join(words) and "CPUQuotaPerSecUSec t 500000" in " ".join(words)


def test_the_call_of_an_update() -> None:
    words = change_arguments(
        "b.scope", properties(shaped_resources({"pids": {"limit": 7}, "cpu": {"shares": 1024}}), True)
    )
    assert words[3:] == [
        "SetUnitProperties",
        "sba(sv)",
        "b.scope",
        "true",
        "2",
        "CPUWeight",
        "t",
        "100",
        "TasksMax",
        "t",
        "7",
    ]
