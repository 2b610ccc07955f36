"""Modules in an archive: without annotations, with stubs for rarely called functions, but with the same behaviour."""

import builtins
import errno
import marshal
import sys
from types import FunctionType, ModuleType

import pytest

from pyrunc.fastpath import archive_load
from pyrunc.fastpath.archive_build import _origin, called, imported
from pyrunc.fastpath.commands import HOT, ORDINARY
from pyrunc.fastpath.late_names import NAMED, SPACES
from pyrunc.fastpath.shrink import LATE, Late, shrink

SOURCE = b'''
"""A docstring."""
TYPE_CHECKING = False
if TYPE_CHECKING:
    import nothing_of_this_name

unset: int
SET: "dict[str, nothing]" = {"a": 1}

def often(a: "nothing") -> "nothing":
    return a + 1

def seldom(a, /, b=2, *rest: "x", c, d: "y" = SET["a"], **more) -> "z":
    """Padding of the code that is moved."""
    total = [a, b, *rest, c, d, *sorted(more.items()), SET["a"]]
    for index, value in enumerate(total):
        total[index] = (value, index * 1000, "some text that makes the function long enough to be moved", total[:0])
    return total

class Some:
    kept: int = 5
    gone: str

    def __init__(self, value):
        self.value = value
        self.text = "some text that makes the function long enough to be moved" + str(value) + "and some more of it"
        self.more = {"key": [1, 2, 3], "other": (4, 5, 6), "third": {"a": b"bytes", "b": 3.5}, "fourth": None}

    @property
    def half(self) -> float:
        found = {"key": [1, 2, 3], "other": (4, 5, 6), "third": {"a": b"bytes", "b": 3.5}, "fourth": None}
        return [self.value / 2, found, "some text that makes the function long enough to be moved, and some more"]

    @classmethod
    def made(cls, *values):
        found = {"key": [1, 2, 3], "other": (4, 5, 6), "third": {"a": b"bytes", "b": 3.5}, "fourth": None}
        return [cls(value).value for value in values] + ["some text that makes the function long enough", found]

    def each(self, count):
        found = {"key": [1, 2, 3], "other": (4, 5, 6), "third": {"a": b"bytes", "b": 3.5}, "fourth": None}
        for number in range(count):
            yield number, found, self.value, "some text that makes the function long enough to be moved"

    def __private(self):
        return "some text that makes the function long enough to be moved" * 2 + str(self.value) * 3 + repr([1, 2, 3])

    def private(self):
        return self.__private() + "some text that makes the function long enough to be moved" + repr({"a": 1, "b": 2})

class More(Some):
    def __init__(self, value):
        super().__init__(value * 2)
        self.text = "some text that makes the function long enough to be moved" + str(value) + "and some more of it"
'''


@pytest.fixture(params=["all late", "often called", "as it is"])
def space(request: pytest.FixtureRequest) -> "dict[str, object]":
    """The module, shrunk in one way or the other."""
    found: dict[str, object] = {"__name__": "some"}
    if request.param == "as it is":
        exec(compile(SOURCE, "some.py", "exec"), found)
        return found
    called = {"some:often", "some:Some.half"} if request.param == "often called" else set()
    load({"some": SOURCE}, called, found, request)
    return found


def load(
    sources: "dict[str, bytes]", called: "set[str]", space: "dict[str, object]", request: pytest.FixtureRequest
) -> "set[str]":
    """Executes the last of ``sources`` in ``space`` as archive_load.py does, and the others as modules. Returns the late
    names."""
    late = Late(called, sources)

    def function(offset: int, there: "dict[str, object]") -> FunctionType:
        return FunctionType(marshal.loads(late.section[offset:]), there)

    monkeypatch = pytest.MonkeyPatch()
    request.addfinalizer(monkeypatch.undo)
    monkeypatch.setattr(builtins, LATE, function, raising=False)
    monkeypatch.setattr(builtins, NAMED, archive_load.named, raising=False)
    spaces: dict[str, object] = {}
    monkeypatch.setattr(builtins, SPACES, spaces, raising=False)
    monkeypatch.setattr(archive_load, "_late", lambda offset: marshal.loads(late.section[offset:]))
    for name, source in sources.items():
        code, names = shrink(source, name, f"{name}.py", late)
        assert late.section
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        there = space if name == list(sources)[-1] else module.__dict__
        spaces[name] = there
        there["__getattr__"] = archive_load._definer(names, there)
        if code is not None:
            exec(code, there)
    return set(names)


class Globals:
    """A module's names, as another module sees them."""

    def __init__(self, space: "dict") -> None:
        self.space = space

    def __getitem__(self, name: str) -> "object":
        return self.space[name] if name in self.space else self.space["__getattr__"](name)


def test_what_a_module_does_is_the_same(space: "dict") -> None:
    space = Globals(space)
    assert space["often"](1) == 2
    plain = space["seldom"](1, c=3)
    assert [row[0] for row in plain] == [1, 2, 3, 1, 1]
    assert [row[0] for row in space["seldom"](1, 5, 6, 7, c=3, z=9, d=8)] == [1, 5, 6, 7, 3, 8, ("z", 9), 1]
    with pytest.raises(TypeError, match=r"seldom\(\) missing 1 required keyword-only argument: 'c'"):
        space["seldom"](1)
    some = space["Some"](4)
    assert some.half[0] == 2 and some.kept == 5 and space["Some"].made(1, 2)[:2] == [1, 2]
    assert [row[0] for row in some.each(3)] == [0, 1, 2]
    assert "4" in some.private() and space["More"](4).value == 8


def test_annotations_and_what_they_need_are_left_out() -> None:
    code, names = shrink(SOURCE, "some", "some.py", None)
    assert code is not None and not names
    assert not {"TYPE_CHECKING", "nothing_of_this_name", "__annotations__"} & set(code.co_names)
    assert b"nothing" not in marshal.dumps(code)


def test_of_a_package_with_a_docstring_only_nothing_is_left() -> None:
    assert shrink(b'"""A room."""\n', "some", "some/__init__.py", Late(())) == (None, {})


ERRORS = b"""
import errno
import json

class Refused(Exception):
    number = errno.EPERM

class MoreRefused(Refused):
    def __init__(self, why):
        super().__init__(why)
        self.__why = why

    def why(self):
        return self.__why

LIMIT = 5
UNUSED = {"a": [LIMIT]}
"""
USING = b"""
import json
from errors import LIMIT, MoreRefused, Refused, UNUSED as SPARE

TABLE = {"often": LIMIT, "last": lambda: last}
SPARES = SPARE["a"]

def check(value):
    try:
        if value > LIMIT:
            raise MoreRefused("too much")
        return seldom(value) if value == LIMIT else value
    except Refused as error:
        return error.why(), error.number, type(error) is MoreRefused

def seldom(json):
    return json + dumped()

def dumped():
    return len(json.dumps(SPARES))

class last(Refused):
    pass
"""


def test_what_is_not_looked_up_is_not_made(request: pytest.FixtureRequest) -> None:
    space: dict = {"__name__": "using"}
    late = load({"errors": ERRORS, "using": USING}, {"using:check"}, space, request)
    assert late == {"MoreRefused", "Refused", "SPARE", "SPARES", "TABLE", "dumped", "last", "seldom"}
    assert space["check"](3) == 3 and not late & set(space)
    assert not {"Refused", "MoreRefused", "UNUSED", "errno", "json"} & set(vars(sys.modules["errors"]))
    assert space["check"](9) == ("too much", errno.EPERM, True)
    assert space["check"](5) == 5 + len("[5]") and {"dumped", "SPARES"} <= set(space)
    assert issubclass(Globals(space)["TABLE"]["last"](), sys.modules["errors"].Refused)
    with pytest.raises(AttributeError, match="module 'using' has no attribute 'nothing'"):
        space["__getattr__"]("nothing")


TABLES = b"""
LIMIT = 5
OTHER = 6

def asked_for():
    return OTHER

def handed_on():
    return LIMIT + OTHER

def seldom():
    return 8
"""
IMPORTING = b"""
import house
from house import tables
from house.tables import LIMIT as bound, seldom

def run():
    from house.tables import handed_on
    return each(bound, handed_on), tables.LIMIT

def each(start, function):
    return start + function()

def other():
    from house.tables import nothing
    return seldom()
"""


HOUSE = {"house.tables": TABLES, "house": b"import sys\ntables = sys.modules['house.tables']\n"}


def test_imports_among_the_modules_are_looked_up(request: pytest.FixtureRequest) -> None:
    space: dict = {"__name__": "importing"}
    load({**HOUSE, "importing": IMPORTING}, {"importing:run", "importing:each"}, space, request)
    # Not by a statement, which would find no module.
    request.getfixturevalue("monkeypatch").delitem(sys.modules, "house.tables")
    assert space["run"]() == (16, 5)
    assert space["__getattr__"]("other")  # a name that the module lacks is left to the statement
    with pytest.raises(ModuleNotFoundError):
        space["other"]()


def test_what_is_handed_on_imported_or_asked_for_is_made_at_once() -> None:
    sources = {**HOUSE, "importing": IMPORTING}
    late = Late({"importing:run", "importing:each"}, sources, [("house.tables", "asked_for")]).analysis
    assert late.of("house.tables") == {"OTHER", "seldom"}
    assert late.of("importing") == {"house", "other", "seldom"}


def test_a_name_of_two_meanings_is_not_late(request: pytest.FixtureRequest) -> None:
    space: dict = {"__name__": "some"}
    source = (
        b"import json\nvalue = 1\nother = 2\n\ndef f(value):\n    return value + other\n\ndef g():\n    global other\n"
    )
    assert load({"some": source}, set(), space, request) == {"json", "f", "g"}
    assert space["__getattr__"]("f")(1) == 3


def test_no_command_makes_errors_for_nothing() -> None:
    for command in HOT:
        found = {name: _origin(name) for name in imported(("pyrunc.cli.dispatch", f"pyrunc.cli.commands.{command}"))}
        sources = {name: path.read_bytes() for name, path in found.items() if name.startswith("pyrunc") and path.suffix}
        late = Late(called(command), sources).analysis
        assert {"SpecError", "StepError", "ContainerExists"} <= late.of("pyrunc.errors")
        assert not late.imports("errno")


@pytest.mark.parametrize("command", HOT)
def test_a_run_of_each_hot_command_was_recorded(command: str) -> None:
    assert {"pyrunc.cli.dispatch:main", f"pyrunc.cli.commands.{command}:run"} <= called(command)


@pytest.mark.parametrize("command", ["create", "run", "exec", "start"])
def test_what_a_recorded_run_called_is_in_the_commands_archive(command: str) -> None:
    wanted = {function.partition(":")[0] for function in called(command)}
    wanted -= {"pyrunc.foreground.signals"}  # needs a whole interpreter: imported while the container runs
    assert wanted <= set(imported(("pyrunc.cli.dispatch", f"pyrunc.cli.commands.{command}", *ORDINARY[command])))
