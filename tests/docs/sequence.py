"""The sequence of a `create` in docs/architecture.md, drawn from the plan: python tests/docs/sequence.py

Writes the drawing between the two markers of the page; test_architecture.py fails if the page differs.
"""

from itertools import groupby
from pathlib import Path

from pyrunc.plan.compile import compile_create
from pyrunc.plan.facts import Facts
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.steps import RUNTIME, Step, ahead
from pyrunc.spec.default import config
from pyrunc.spec.load import config_from

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
BEGIN, END = "<!-- the plan: made by tests/docs/sequence.py -->\n", "<!-- end of the plan -->\n"
WIDTH = 30


def example() -> list[Step]:
    """Returns the plan of runc's default config with a limit and a hook of each kind, on a host with cgroup v2."""
    made = config()
    made["hooks"] = {
        point: [{"path": "/hook"}] for point in ("createRuntime", "createContainer", "startContainer", "poststart")
    }
    made["mounts"] = [mount for mount in made["mounts"] if mount["type"] != "cgroup"]
    facts = Facts("id", CreateOptions(bundle="/bundle"))
    facts.cgroups = {"": "/sys/fs/cgroup/id"}
    return compile_create(config_from(made), facts)


def rows(steps: list[Step]) -> list[tuple[int, str]]:
    """(column, words): 0 the runtime, 1 the helper before its clone, 2 the process that becomes init."""
    found, column = [], 1
    begins = ahead(steps)
    for kind, group in groupby(enumerate(steps), lambda pair: (pair[1].kind, pair[1].actor)):
        numbers = [number for number, _ in group]
        name = kind[0] if len(numbers) == 1 else f"{kind[0]} x {len(numbers)}"
        if kind[1] == RUNTIME:
            ended = any(step.kind == "execute" for step in steps[: numbers[0]])
            waiting = "" if numbers[0] < begins or ended else "  <-- init waits"
            found.append((0, f"{name}{waiting}"))
            continue
        if kind[0] == "clone":
            found.append((1, "clone, exit  -->"))
            column = 2
            continue
        found.append((column, name))
        if kind[0] == "await-start":
            found.append((0, "(`create` ends; `start` connects)"))
        if kind[0] == "execute":
            found.append((2, "(the user's program)"))
    return found


def drawing() -> str:
    """Returns the three columns as text."""
    heads = ("pyrunc", "helper (H)", "its child, init (I)")
    lines = [
        "".join(head.ljust(WIDTH) for head in heads).rstrip(),
        "".join("-" * (WIDTH - 2) + "  " for _ in heads).rstrip(),
    ]
    lines += [f"{' ' * WIDTH * column}{words}" for column, words in rows(example())]
    return BEGIN + "\n" + "".join(f"    {line}\n" for line in lines) + "\n" + END


def page(text: str) -> str:
    """Returns the page's ``text`` with the current drawing."""
    before, _, rest = text.partition(BEGIN)
    return before + drawing() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
