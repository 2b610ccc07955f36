"""Writes docs/hostile-findings.md from the output of findings.py: python integration/hostile/page.py FILE < JSON."""

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HEAD = """# What hostile libraries do, and what becomes of it

Made by `python integration/hostile/findings.py --json | python integration/hostile/page.py docs/hostile-findings.md`: {count}
libraries of `integration/hostile/libraries/`, each loaded under `audit-lib` and into containers. *undone*: the container's
program prints what it prints without a library; *refused*: it does not start, and the library is named. In brackets: what
happens without the hardened placement.

| library | | audit-lib names | at `exec` | at `init` |
|---|---|---|---|---|
"""
SHORT = {"as without it": "undone", "not started": "refused", "reaches the program": "reaches the program"}


def row(result: dict[str, Any]) -> str:
    """Returns one line of the table."""
    text = (HERE / "libraries" / f"{result['name']}.c").read_text()
    about = " ".join(re.sub(r"\n \* ?", " ", text[2 : text.index("*/")]).split())
    result["named"] = [re.sub(r"/tmp/pyrunc-findings-\w+/bundle/rootfs", "ROOTFS", row) for row in result["named"]]
    named = "; ".join(result["named"][:3]) + ("; ..." if len(result["named"]) > 3 else "") or "**nothing**"
    cells = []
    for at in ("exec", "init"):
        hardened = result["verdicts"].get(f"hardened/{at}", "")
        legacy = result["verdicts"].get(f"legacy/{at}", "")
        reaches = " (reaches the program)" if legacy == "reaches the program" else ""
        cells.append(f"{SHORT.get(hardened, f'**{hardened}**')}{reaches}")
    return " | ".join(["", f"`{result['name']}`", about, named, *cells, ""]).strip()


def main() -> None:
    """Writes the page."""
    results = json.load(sys.stdin)
    lines = [row(result).replace("\n", " ") for result in results]
    Path(sys.argv[1]).write_text(HEAD.format(count=len(results)) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
