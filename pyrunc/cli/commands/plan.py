"""`pyrunc plan`."""

from pyrunc.cli.commands.create import cgroup_manager
from pyrunc.cli.options import Command, Option
from pyrunc.cli.shared_options import BUNDLE, CONFIG
from pyrunc.container.create import Creation, check_bundle
from pyrunc.plan import explain
from pyrunc.plan.options import CreateOptions
from pyrunc.spec.json_text import dumps
from pyrunc.spec.load import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "plan",
    "Print every step that creating the container would take, in order. Touches nothing, needs no root.",
    (),
    (BUNDLE, CONFIG, Option("--format", kind=("text", "json"), default="text", help="How to print it.")),
)


def run(options: "Any") -> int:
    """Prints every step of creating the container."""
    bundle, file = options.bundle, options.config
    spec = load(file if file.startswith("/") else f"{bundle}/{file}")
    check_bundle(bundle, spec)
    chosen = CreateOptions(bundle=bundle, root=options.root, cgroup_manager=cgroup_manager(options))
    steps = Creation(bundle.rpartition("/")[2] or "container", spec, chosen).steps()
    print(dumps(explain.table(steps), 2) if options.format == "json" else explain.text(steps))
    return 0
