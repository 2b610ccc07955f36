"""Compiles the config's hooks: when each runs, with which environment, and in which directory (config.md
"POSIX-platform Hooks").

The spec does not define the environment of a hook without ``env``, nor the working directory of a hook. As with runc
and crun, host hooks without ``env`` get the runtime's environment, and startContainer hooks, which belong to the
container, the process's. An empty ``env`` means no variables and differs from an absent one. Host hooks run in the
bundle, because a bundle's author writes paths relative to it. Hooks in the container's namespaces run in its root.
"""

from pyrunc.plan.process import NO_HOME, environment, home_of
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Config, Hook

THE_ROOT = ""
"""As a hook's directory: the container's root, which the helper has open."""


def before_root(spec: "Config", facts: "Facts", directory: str = THE_ROOT) -> "list[Step]":
    """Returns prestart and createRuntime on the host, createContainer in the namespaces and in ``directory``. All run
    before the change of root."""
    if spec.hooks is None:
        return []
    bundle = facts.options.bundle or "/"
    return [
        *_steps("runtime-hook", "prestart", spec.hooks.prestart, facts, "creating", bundle),
        *_steps("runtime-hook", "createRuntime", spec.hooks.create_runtime, facts, "creating", bundle),
        *_steps("hook", "createContainer", spec.hooks.create_container, facts, "creating", directory),
    ]


def at_start(spec: "Config", facts: "Facts") -> "list[Step]":
    """Returns the steps of startContainer: in the container, right before its program."""
    if spec.hooks is None or not spec.hooks.start_container:
        return []
    assert spec.process is not None
    hooks, own = spec.hooks.start_container, environment(spec.process.env)
    return _steps("hook", "startContainer", hooks, facts, "created", "/", own, home_of(spec.process))


def after_start(spec: "Config", facts: "Facts") -> "list[Step]":
    """Returns the steps of poststart: on the host, after the program was executed."""
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
    """``default`` and HOME of the user ``home`` are the environment of a hook without ``env``."""
    head, tail = facts.state_of(status)
    absent = facts.environment if default is None else default
    made = []
    for index, hook in enumerate(hooks):
        env = absent if hook.env is None else hook.env
        uid = (home if hook.env is None else NO_HOME,) if kind == "hook" else ()
        last = (head, tail, hook.timeout or 0, directory)
        made.append(Step(kind, f"hooks.{point}[{index}]", hook.path, hook.args or [hook.path], env, *uid, *last))
    return made
