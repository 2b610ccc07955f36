"""The words of a command line, read as Go's flag package reads them: whoever drives runc writes them so.

One dash is as good as two, a value follows its option or an ``=``, a flag may have one (``--tty=false``), short options
are not joined, ``--`` ends the options. Imports nothing: both the fast path and click's tree begin here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
"""What strconv.ParseBool takes."""


def read(
    words: "Iterable[str]", table: "Mapping[str, tuple[Any, ...]]", stops: bool
) -> "tuple[list[tuple[str, str | None]], list[str]]":
    """([(option, value)], arguments).

    ``table`` has a row for each spelling, whose second item is ``flag`` for an option that needs no value. The value is
    None for a bare flag, and where one is missing; what is no option of ``table`` is returned as it was written.
    ``stops``: options end at the first argument.
    """
    given: list[tuple[str, str | None]] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            break
        if word[:1] != "-" or word == "-":
            rest.append(word)
            if stops:
                break
            continue
        spelled, equals, value = word.partition("=")
        name = _known(spelled, table)
        if not name:
            given.append((word, None))
        elif equals:
            given.append((name, value))
        else:
            given.append((name, None if table[name][1] == "flag" else next(left, None)))
    return given, rest + list(left)


def _known(spelled: str, table: "Mapping[str, Any]") -> str:
    """The spelling that ``table`` has for ``-name`` or ``--name``, or nothing."""
    bare = spelled[2:] if spelled[:2] == "--" else spelled[1:]
    for name in ("--" + bare, "-" + bare):
        if name in table:
            return name
    return ""
