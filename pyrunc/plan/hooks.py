"""Hooks of the config: when each runs, with which environment, and where (config.md "POSIX-platform Hooks").

The spec says nothing of the environment of a hook that names none, nor of any hook's working directory. As with runc
and crun the first is the runtime's, for the hooks that belong to the host, and the process's for startContainer, which
belongs to the container. An empty list is an environment without variables, not an absent one. Hooks run in the
bundle, where the paths of a bundle's author begin; those inside of the container's namespaces in its root.
"""

from pyrunc.plan.process import NO_HOME, environment, home_of
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Config, Hook

THE_ROOT = ""
"""As a hook's directory: the container's root, by descriptor."""


def before_root(spec: "Config", facts: "Facts", directory: str = THE_ROOT) -> "list[Step]":
    """prestart and createRuntime on the host, createContainer in the namespaces and in ``directory``; all before the
    root is changed."""
    if spec.hooks is None:
        return []
    bundle = facts.options.bundle or "/"
    return [
        *_steps("runtime-hook", "prestart", spec.hooks.prestart, facts, "creating", bundle),
        *_steps("runtime-hook", "createRuntime", spec.hooks.create_runtime, facts, "creating", bundle),
        *_steps("hook", "createContainer", spec.hooks.create_container, facts, "creating", directory),
    ]


def at_start(spec: "Config", facts: "Facts") -> "list[Step]":
    """startContainer: in the container, right before its program."""
    if spec.hooks is None or not spec.hooks.start_container:
        return []
    assert spec.process is not None
    hooks, own = spec.hooks.start_container, environment(spec.process.env)
    return _steps("hook", "startContainer", hooks, facts, "created", "/", own, home_of(spec.process))


def after_start(spec: "Config", facts: "Facts") -> "list[Step]":
    """poststart: on the host, when the program runs."""
    if spec.hooks is None:
        return []
    return _steps("runtime-hook", "poststart", spec.hooks.poststart, facts, "running", facts.options.bundle or "/")


def _steps(
    kind: str,
    point: str,
    hooks: "Sequence[Hook]",
    facts: "Facts",
    status: str,
    directory: str,
    default: "Sequence[str] | None" = None,
    home: int = NO_HOME,
) -> "list[Step]":
    """``default``, and HOME of the user ``home``: the environment of a hook that names none."""
    head, tail = facts.state_of(status)
    absent = facts.environment if default is None else default
    made = []
    for index, hook in enumerate(hooks):
        env = absent if hook.env is None else hook.env
        uid = (home if hook.env is None else NO_HOME,) if kind == "hook" else ()
        last = (head, tail, hook.timeout or 0, directory)
        made.append(Step(kind, f"hooks.{point}[{index}]", hook.path, hook.args or [hook.path], env, *uid, *last))
    return made
