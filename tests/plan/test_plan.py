"""Plans as data: the order of steps, without root."""

import copy
import sys
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.plan import explain
from pyrunc.plan.compile import compile_create, compile_exec
from pyrunc.plan.facts import Facts
from pyrunc.plan.mount_options import RDONLY, Options, names, split
from pyrunc.plan.namespaces import FLAGS
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.scheduling import bits
from pyrunc.plan.steps import HELPER, Step
from pyrunc.plan.wire import encode
from pyrunc.spec.default import config as default_config
from pyrunc.spec.json_text import dumps
from pyrunc.spec.load import parse


def plan(change: Any = None, **settings: Any) -> list[Step]:
    made = copy.deepcopy(default_config())
    made["process"]["terminal"] = False
    # cgroup mounts depend on the host.
    made["mounts"] = [m for m in made["mounts"] if m["type"] != "cgroup"]
    if change:
        change(made)
    facts = Facts("id", CreateOptions(bundle="/bundle"))
    for name, value in settings.items():
        setattr(facts if hasattr(facts, name) else facts.options, name, value)
    return compile_create(parse(dumps(made).encode()), facts)


def kinds(steps: list[Step]) -> list[str]:
    return [step.kind for step in steps]


def index(steps: list[Step], kind: str) -> int:
    return kinds(steps).index(kind)


def user(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": 1000, "size": 10}]


def test_placement_comes_before_everything_that_init_does() -> None:
    steps = plan(cgroups={"memory": "/x"})
    assert index(steps, "cgroup-create") == 0
    assert steps[index(steps, "clone") + 1].kind == "cgroup-place"
    assert not steps[index(steps, "clone")].args[0] & FLAGS["cgroup"]
    assert steps[index(steps, "cgroup-place") + 1] == Step("unshare", "linux.namespaces", FLAGS["cgroup"])


def test_with_a_library_placement_comes_before_all_that_a_library_can_reach() -> None:
    steps = plan(cgroups={"memory": "/x"}, libraries=[1])
    place = index(steps, "cgroup-place")
    assert [step.kind for step in steps[:place] if step.actor == HELPER] == ["snapshot", "unshare", "propagation"]
    assert place < index(steps, "hand-over") < index(steps, "exec-helper")


def test_numbers_of_the_kernel_are_told_by_name() -> None:
    told = explain.text(plan())
    assert "types=mount,uts,ipc,pid,network" in told and "types=cgroup" in told
    assert "set=nosuid,strictatime" in told
    assert "/dev/null c major=1 minor=3 mode=0666" in told
    assert "effective=CAP_KILL" in told and "mask=0022" in told and "flags=slave" in told


def bind(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/m", "type": "bind", "source": "s", "options": ["bind"]})


def test_a_source_is_opened_when_its_mounts_turn_has_come() -> None:
    steps = plan(bind)
    opened = next(i for i, step in enumerate(steps) if step.args[:1] == ("/bundle/s",))
    assert index(steps, "clone") < index(steps, "propagation") < opened
    assert steps[opened + 1].kind == "attach"


def test_with_a_user_namespace_it_is_opened_before_the_clone_and_again_where_that_failed() -> None:
    def change(config: dict[str, Any]) -> None:
        user(config)
        bind(config)

    steps = plan(change)
    early, late = (i for i, step in enumerate(steps) if step.args[:1] == ("/bundle/s",))
    assert early < index(steps, "clone") < late
    assert (steps[early].args[-1], steps[late].args[-1]) == (1, 0)
    assert steps[late + 1].kind == "attach"


def test_without_privileges_it_is_opened_inside() -> None:
    steps = plan(user, privileged=False)
    assert index(steps, "clone") < index(steps, "open-tree")
    assert index(steps, "map-users") < index(steps, "undumpable")


def test_maps_are_written_between_clone_and_becoming_root() -> None:
    order = [kind for kind in kinds(plan(user)) if kind in ("clone", "map-users", "map-groups", "become-root", "mount")]
    assert order[:5] == ["clone", "map-users", "map-groups", "become-root", "mount"]


def test_joins_end_with_the_user_namespace_for_root_and_begin_with_it_otherwise() -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [
            {"type": "user", "path": "/proc/1/ns/user"},
            {"type": "ipc", "path": "/proc/1/ns/ipc"},
            {"type": "mount"},
        ]
        del config["hostname"]

    for privileged, expected in ((True, 1), (False, 0)):
        joins = [step for step in plan(change, privileged=privileged) if step.kind == "join"]
        assert [step.args[1] == 0x10000000 for step in joins].index(True) == expected


def test_hooks_stand_where_the_spec_says() -> None:
    hook = [{"path": "/h"}]
    points = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")
    steps = plan(lambda c: c.update(hooks=dict.fromkeys(points, hook)))
    order = [step.where.split("[")[0] for step in steps if step.kind in ("runtime-hook", "hook", "hook-confined")]
    assert order == [f"hooks.{point}" for point in points]
    create = [i for i, step in enumerate(steps) if step.where.startswith("hooks.create")]
    assert max(create) < index(steps, "pivot")
    start = next(i for i, step in enumerate(steps) if step.where.startswith("hooks.startContainer"))
    assert index(steps, "await-start") < start < index(steps, "execute")


@pytest.mark.parametrize(
    ("unprivileged", "order"),
    [(True, ["capabilities", "no-new-privileges", "seccomp"]), (False, ["effective", "seccomp", "capabilities"])],
)
def test_seccomp_is_loaded_as_late_as_it_can_be(unprivileged: bool, order: list[str]) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["noNewPrivileges"] = unprivileged
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}

    found = kinds(plan(change))
    found = found[found.index("arguments") :]
    assert [kind for kind in found if kind in order] == order


def test_masks_lie_over_what_is_read_only() -> None:
    steps = plan()
    assert max(i for i, s in enumerate(steps) if s.kind == "read-only") < index(steps, "mask") < index(steps, "pivot")


def test_unprivileged_time_namespace_takes_two_clones() -> None:
    def change(config: dict[str, Any]) -> None:
        user(config)
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}

    assert kinds(plan(change)).count("clone") == 1
    steps = plan(change, privileged=False)
    assert kinds(steps).count("clone") == 2
    assert index(steps, "become-root") < index(steps, "unshare") < index(steps, "time-offset")


def test_run_has_no_wait_and_create_has() -> None:
    assert "await-start" in kinds(plan(create=True))
    steps = plan(run=True)
    assert "await-start" not in kinds(steps) and index(steps, "record") < index(steps, "cgroup-verify") < index(
        steps, "execute"
    )


def test_exec_is_placed_before_it_joins_and_hides_first() -> None:
    made = default_config()
    made["linux"]["namespaces"].append({"type": "user"})
    made["linux"]["uidMappings"] = made["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 5, "size": 9}]
    spec = parse(dumps(made).encode())
    assert spec.process is not None
    spec.process.exec_cpu_affinity = None
    found = kinds(compile_exec(spec, spec.process, Facts("id", CreateOptions(bundle="/b"))))
    assert found.index("cgroup-place") < found.index("undumpable") < found.index("join") < found.index("clone")


def test_cpu_affinity_is_set_around_the_cgroup() -> None:
    made = default_config()
    made["process"]["execCPUAffinity"] = {"initial": "0", "final": "1"}
    spec = parse(dumps(made).encode())
    assert spec.process is not None
    steps = compile_exec(spec, spec.process, Facts("id", CreateOptions(bundle="/b")))
    first, last = (i for i, step in enumerate(steps) if step.kind == "affinity")
    assert first < index(steps, "cgroup-place") < last


def test_every_plan_can_be_encoded_printed_and_dumped() -> None:
    steps = plan(user)
    assert encode(steps)
    assert len(explain.text(steps).splitlines()) == len(steps) == len(explain.table(steps))
    dumps(explain.table(steps))


def test_options_later_ones_win() -> None:
    assert Options(["ro", "rw"]).set & RDONLY == 0
    assert Options(["rw", "ro"]).set & RDONLY
    options = Options(["noatime", "size=1m,mode=700", 'context="a:b,c"', "rslave", "rro", "tmpcopyup"])
    assert options.data == ["size=1m", "mode=700", 'context="a:b,c"']
    assert options.set == 0x10 and options.clear == 0xF0 and options.recursive_set == RDONLY and options.copy_up
    assert list(split(["a,b\\,c"])) == ["a", "b\\,c"]


def test_every_option_of_the_table_is_taken() -> None:
    for name in names():
        assert Options([name]).data == [], name


def test_bits() -> None:
    assert bits("0-3,8", "x")[:2] == b"\x0f\x01"
    assert len(bits("64", "x")) == 16
    for wrong in ("", "a", "3-1", "1-", "99999"):
        with pytest.raises(SpecError):
            bits(wrong, "x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("process"), "process: required"),
        (lambda c: c["mounts"].append({"destination": "/m", "options": ["bind"]}), "mounts[6].source: required"),
        (lambda c: c["mounts"].append({"destination": "/m"}), "mounts[6].type: required"),
        (
            lambda c: c["mounts"].append({"destination": "/m", "type": "bind", "source": "/", "options": ["size=1"]}),
            "mounts[6].options",
        ),
        (lambda c: c["process"].update(selinuxLabel="x"), "process.selinuxLabel: SELinux is not enabled"),
    ],
)
def test_what_cannot_be_compiled(change: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words.replace("[", r"\[").replace("]", r"\]")):
        plan(change)


def test_every_step_of_the_runtime_has_an_action() -> None:
    """A step without an action would be in the plan, but never be executed."""
    from pyrunc.launch.actions import ACTIONS
    from pyrunc.plan.steps import KINDS, RUNTIME

    ours = {kind for kind, (actor, _, _) in KINDS.items() if actor == RUNTIME}
    hostile = {
        kind for kind in KINDS if kind.startswith("preload-")
    }  # added by hostile/observer.py, with the libraries
    assert set(ACTIONS) == ours - hostile - {"record", "pid-file"}  # added by container/create.py and exec.py
    of_exec = compile_exec(parse(dumps(everything()).encode()), process(), Facts())
    assert set(ACTIONS) >= {step.kind for step in of_exec if step.actor == RUNTIME}


def test_a_launch_refuses_a_step_without_an_action() -> None:
    from pyrunc.launch.conversation import Launch

    with pytest.raises(LookupError, match="no action for step record"):
        Launch([Step("record", "")], {}).run({})


def everything() -> dict[str, Any]:
    """Returns a config for which exec has steps of the runtime: a filter that notifies."""
    made = copy.deepcopy(default_config())
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    made["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/l", "syscalls": [rule]}
    return made


def process() -> Any:
    made = everything()
    made["process"]["oomScoreAdj"] = 1
    return parse(dumps(made).encode()).process


def test_only_the_execve_comes_after_the_filter_and_its_listener() -> None:
    for settings in ({}, {"run": True}):
        steps = kinds(plan(lambda c: c.update(everything()), **settings))
        assert steps[-3:] == ["seccomp-notify", "seccomp-listener", "execute"]
    found = encode(
        [Step("seccomp-notify", "", b"", 0), Step("seccomp-listener", "", "/l", "", "{", "}"), Step("execute", "")]
    )
    assert int.from_bytes(found[4:8], sys.byteorder) == 2  # the helper waits in the first: no sync between them


def test_labels_of_an_enforcing_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks which file gets which label, because the tests' kernel has neither module."""
    from pyrunc.plan import labels

    there = {name: ("/", attribute, prefix) for name, (_, attribute, prefix) in labels.MODULES.items()}
    monkeypatch.setattr(labels, "MODULES", there)

    def change(config: dict[str, Any]) -> None:
        config["process"].update(selinuxLabel="a:b:c:s0", apparmorProfile="profile")
        config["linux"]["mountLabel"] = "x:y:z:s0:c1,c2"

    steps = plan(change)
    assert [step.args for step in steps if step.kind == "security-label"] == [
        ("exec", "a:b:c:s0"),
        ("apparmor/exec", "exec profile"),
    ]
    labelled = {step.args[2] for step in steps if step.kind == "mount" and "context=x:y:z:s0:c1,c2" in step.args[3]}
    assert labelled == {"/dev", "/dev/pts", "/dev/shm"}
    assert {step.args[1] for step in steps if step.kind == "mask"} == {"context=x:y:z:s0:c1,c2"}
