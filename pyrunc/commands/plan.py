"""`pyrunc plan`."""

from pyrunc.commands.create import cgroup_manager
from pyrunc.container.container import absolute
from pyrunc.container.create import Creation, check_bundle
from pyrunc.container.options import CreateOptions
from pyrunc.plan import explain
from pyrunc.spec.json_text import dumps
from pyrunc.spec.load import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Prints every step of creating the container."""
    bundle = absolute(options.bundle or ".")
    file = options.config or "config.json"
    spec = load(file if file.startswith("/") else f"{bundle}/{file}")
    check_bundle(bundle, spec)
    chosen = CreateOptions(bundle=bundle, root=options.root, cgroup_manager=cgroup_manager(options))
    steps = Creation(bundle.rpartition("/")[2] or "container", spec, chosen).steps()
    print(dumps(explain.table(steps), 2) if options.format == "json" else explain.text(steps))
    return 0
