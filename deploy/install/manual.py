"""Makes man pages and completion from the commands' tables: python deploy/install/manual.py PREFIX

Writes PREFIX/share/man/man8/pyrunc.8 and pyrunc-COMMAND.8, and the completion of bash, zsh and fish.
"""

import os
import subprocess
import sys
from pathlib import Path

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.options import GLOBAL, Command, Option
from pyrunc.cli.parser import definition
from pyrunc.version import VERSION

COMPLETION = {
    "bash": "share/bash-completion/completions/pyrunc",
    "zsh": "share/zsh/site-functions/_pyrunc",
    "fish": "share/fish/vendor_completions.d/pyrunc.fish",
}


def escape(text: str) -> str:
    """Returns ``text`` escaped for roff (man(7))."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown[:1] in (".", "'") else shown


def option(row: Option) -> str:
    """Returns the entry of one option: its spellings, its value, its help text."""
    value = row.metavar or ("" if row.kind == "flag" else "|".join(row.kind) if type(row.kind) is tuple else "VALUE")
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in row.names)
    shown = f" \\fI{escape(value)}\\fR" if value else ""
    default = row.default if row.kind not in ("flag", "several", "path") and row.default not in (None, "", 0) else None
    end = f" Default: {escape(str(default))}." if default is not None else ""
    return f".TP\n{names}{shown}\n{escape(row.help)}{end}\n"


def options(rows: "tuple[Option, ...]") -> str:
    """Returns the section of all options that are not hidden."""
    shown = [option(row) for row in rows if not row.hidden]
    return ".SH OPTIONS\n" + "".join(shown) if shown else ""


def page(command: Command) -> str:
    """Returns the page pyrunc-NAME(8)."""
    words = " ".join(escape(a.metavar or a.attribute.upper()) for a in command.arguments)
    title = f"pyrunc-{command.name}"
    return (
        f'.TH "{title.upper()}" 8 "" "pyrunc {VERSION}"\n'
        f".SH NAME\n{escape(title)} \\- {escape(command.help)}\n"
        f".SH SYNOPSIS\n\\fBpyrunc {escape(command.name)}\\fR [\\fIOPTION\\fR]... {words}\n"
        f".SH DESCRIPTION\n{escape(command.help)}\n"
        f"{options(tuple(command.options))}.SH SEE ALSO\n\\fBpyrunc\\fR(8)\n"
    )


def top() -> str:
    """Returns the page pyrunc(8)."""
    rows = "".join(
        f".TP\n\\fBpyrunc\\-{escape(name)}\\fR(8)\n{escape(definition(name).help)}\n" for name in sorted(COMMANDS)
    )
    return (
        f'.TH "PYRUNC" 8 "" "pyrunc {VERSION}"\n'
        ".SH NAME\npyrunc \\- OCI runtime for Linux, a drop\\-in for runc\n"
        ".SH SYNOPSIS\n\\fBpyrunc\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARG\\fR]...\n"
        ".SH DESCRIPTION\nRuns containers as the OCI runtime specification describes them. "
        "\\fBpyrunc check\\fR says what works on this host.\n"
        f"{options(GLOBAL)}.SH COMMANDS\n{rows}"
    )


def main(prefix: Path) -> None:
    pages = prefix / "share" / "man" / "man8"
    pages.mkdir(parents=True, exist_ok=True)
    (pages / "pyrunc.8").write_text(top())
    for name in COMMANDS:
        (pages / f"pyrunc-{name}.8").write_text(page(definition(name)))
    program = Path(sys.prefix, "bin", "pyrunc")
    for shell, place in COMPLETION.items():
        environment = {**os.environ, "_PYRUNC_COMPLETE": f"{shell}_source"}
        done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout:
            (prefix / place).parent.mkdir(parents=True, exist_ok=True)
            (prefix / place).write_text(done.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
