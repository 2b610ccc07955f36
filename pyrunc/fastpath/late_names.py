"""Determines which names of a command's modules are made only when they are first looked up.

Functions, classes, constants and imported names that a recorded run of the command neither called nor referred to are
left out of the modules' code. Their definitions go into the archive's late section. A reference to such a name becomes
a call that executes its definition (archive_load.py). A module's ``__getattr__`` (PEP 562) does the same for other
modules.

An error of the analysis makes a command slower, but does not change what it does.
"""

import ast
import builtins
from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

NAMED = "__pyrunc_named__"
"""The name in builtins of archive_load.named, which looks up late names."""
SPACES = "__pyrunc_spaces__"
"""The name in builtins of {module: its globals}, for all modules of the archive."""
FOLDED = ("errno", "fcntl", "posix")
"""Modules whose constants are replaced by their numbers on the build system."""

Definition = tuple[str, str]
"""(module, name)."""


def fold(tree: ast.Module) -> ast.Module:
    """Replaces the constants of FOLDED in ``tree`` by numbers. Importing ``errno`` for one would make all 130."""
    there = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}

    class Numbers(ast.NodeTransformer):
        def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
            name = node.value.id if isinstance(node.value, ast.Name) else ""
            if name in there and name in FOLDED and isinstance(node.ctx, ast.Load):
                value = getattr(__import__(name), node.attr, None)
                if type(value) is int and node.attr.isupper():
                    return ast.copy_location(ast.Constant(value), node)
            return self.generic_visit(node)

    Numbers().visit(tree)
    return tree


class Module:
    """The definitions of module ``name``. ``definitions``: {name that can be late: its statement}."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree
        self.bound = bound = _bound(tree)
        self.definitions: dict[str, ast.stmt] = {}
        for node in tree.body:
            for each in _names(node):
                if bound[each] == 1 and not each.startswith("__"):
                    self.definitions[each] = node

    def origin(self, name: str) -> "Definition | None":
        """Returns where an imported name comes from."""
        node = self.definitions.get(name)
        if isinstance(node, ast.ImportFrom) and node.module:
            return node.module, next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
        return None


def _names(node: ast.stmt) -> "Iterator[str]":
    """Yields the names that a statement defines, if it does nothing else."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id


def _bound(tree: ast.Module) -> "Counter[str]":
    """Counts how often each name is bound in any scope. A name that is bound twice may mean different things."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.arg):
            found[node.arg] += 1
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            found[node.name] += 1
        elif isinstance(node, ast.alias):
            found[node.asname or node.name] += 1
        elif isinstance(node, ast.Global | ast.Nonlocal):
            found.update(node.names)
        elif isinstance(node, ast.pattern):  # contains names where expressions are not allowed
            found.update({each.id: 2 for each in ast.walk(node) if isinstance(each, ast.Name)})
            found.update(str(value) for key, value in ast.iter_fields(node) if key in ("name", "rest") and value)
    return found


def _references(node: ast.AST) -> "Iterator[ast.expr | ast.ImportFrom]":
    """Yields what ``node`` looks up if nothing fails: names, calls and attributes of a name, imports. Ignores raised
    values and the bodies of exception handlers."""
    if isinstance(node, ast.Raise | ast.ExceptHandler):
        return
    if isinstance(node, ast.Name | ast.ImportFrom):
        yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and isinstance(node, ast.Call | ast.Attribute) and child not in _arguments(node):
            yield node
        else:
            yield from _references(child)


def _arguments(node: ast.Call | ast.Attribute) -> "list[ast.expr]":
    return node.args if isinstance(node, ast.Call) else []


class LateNames:
    """The late names of all ``modules`` of an archive. ``called``: the functions that a run called. ``asked``: names
    that are looked up in other ways than by a statement of these modules."""

    def __init__(
        self, modules: "dict[str, ast.Module]", called: "Collection[str]", asked: "Collection[Definition]" = ()
    ) -> None:
        self.modules = {name: Module(name, tree) for name, tree in modules.items()}
        self.called = called
        self.early: set[Definition] = set()
        for name, defined in asked:
            self._mark(self.modules[name], defined)
        for module in self.modules.values():
            self._roots(module)

    def of(self, module: str) -> "set[str]":
        """Returns the late names of one module; none if the module has its own ``__getattr__``."""
        found = self.modules.get(module)
        if found is None or any(
            isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in found.tree.body
        ):
            return set()
        return {name for name in found.definitions if (module, name) not in self.early}

    def imports(self, external: str) -> bool:
        """Whether any module imports ``external``, a module outside of the archive, when it is executed."""
        return any(external in self._imported(module) for module in self.modules.values())

    def _imported(self, module: Module) -> "Iterator[str]":
        late = self.of(module.name)
        nodes: list[ast.AST] = list(module.tree.body)
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias for alias in node.names if (alias.asname or alias.name) not in late]
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in names)
                elif names:
                    yield node.module or ""
            elif not isinstance(node, ast.FunctionDef):
                nodes.extend(ast.iter_child_nodes(node))

    def _roots(self, module: Module) -> None:
        """Marks what a run executes: called functions, and statements that do more than define."""
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef):
                if f"{module.name}:{node.name}" in self.called:
                    self._mark(module, node.name)
                    self._all(module, node, False)
            elif isinstance(node, ast.ClassDef):
                methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
                for method in methods:
                    if f"{module.name}:{node.name}.{method.name}" in self.called:
                        self._mark(module, node.name)
                        self._all(module, method, False)
            if not set(_names(node)) & set(module.definitions):
                self._all(module, node, True)

    def _all(self, module: Module, node: ast.AST, at_once: bool) -> None:
        for found in _references(node):
            if isinstance(found, ast.Name):  # a function that is passed on must exist now
                self._refer(module, found.id, True)
            elif isinstance(found, ast.ImportFrom):
                self._refer_imported(found)
            elif isinstance(found, ast.Call) and isinstance(found.func, ast.Name):
                self._refer(module, found.func.id, at_once)
            elif isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name):
                self._refer(module, found.value.id, at_once)
                there = ".".join(module.origin(found.value.id) or ())
                if there in self.modules:
                    self._refer(self.modules[there], found.attr, at_once)

    def _refer_imported(self, node: ast.ImportFrom) -> None:
        """A function that imports from another module needs all names of the import."""
        if node.module in self.modules:
            for alias in node.names:
                self._refer(self.modules[node.module], alias.name, True)

    def _refer(self, module: Module, name: str, at_once: bool) -> None:
        """Handles a look-up of ``name``. ``at_once``: the module's own execution needs it, not only a function."""
        node = module.definitions.get(name)
        origin = module.origin(name)
        if origin is not None and origin[0] in self.modules:
            there = self.modules[origin[0]]
            self._refer(there, origin[1], at_once)
            if origin[1] not in there.definitions or origin in self.early:
                self._mark(module, name)
        elif isinstance(node, ast.FunctionDef):
            if at_once:
                self._mark(module, name)
        elif isinstance(node, ast.ClassDef):
            if at_once or not self._is_exception(module, name):
                self._mark(module, name)
        elif node is not None:
            self._mark(module, name)

    def _mark(self, module: Module, name: str) -> None:
        node = module.definitions.get(name)
        if node is None or (module.name, name) in self.early:
            return
        self.early.add((module.name, name))
        if isinstance(node, ast.FunctionDef):
            self._at_once(module, node)
        elif isinstance(node, ast.ClassDef):
            for part in (*node.bases, *node.keywords, *node.decorator_list, *node.body):
                self._at_once(module, part)
        elif isinstance(node, ast.Assign):
            self._all(module, node.value, True)

    def _at_once(self, module: Module, node: ast.AST) -> None:
        """Marks what is executed when a function is defined, or all of another node."""
        parts = [node]
        if isinstance(node, ast.FunctionDef):
            parts = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        for part in parts:
            self._all(module, part, True)

    def _is_exception(self, module: Module, name: str) -> bool:
        node = module.definitions.get(name)
        origin = module.origin(name)
        if origin is not None and origin[0] in self.modules:
            return self._is_exception(self.modules[origin[0]], origin[1])
        if isinstance(node, ast.ClassDef):
            return any(isinstance(base, ast.Name) and self._is_exception(module, base.id) for base in node.bases)
        known = getattr(builtins, name, None)
        return node is None and isinstance(known, type) and issubclass(known, BaseException)


class References(ast.NodeTransformer):
    """Replaces references to late names by look-ups."""

    def __init__(self, late: "Collection[str]") -> None:
        self.late = late

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Makes ``NAMED('name', globals())``."""
        if node.id not in self.late or not isinstance(node.ctx, ast.Load):
            return node
        load = ast.Load()
        space = ast.Call(ast.Name("globals", load), [], [])
        return ast.copy_location(ast.Call(ast.Name(NAMED, load), [ast.Constant(node.id), space], []), node)


class Direct(ast.NodeTransformer):
    """Replaces imports from ``modules``, all of which are loaded, by look-ups. ``from pyrunc.a import b`` takes some
    thousand instructions, most of them for the internal error that ``pyrunc.a`` is not a package."""

    def __init__(self, modules: LateNames) -> None:
        self.modules = modules

    def visit_ImportFrom(self, node: ast.ImportFrom) -> "ast.stmt | list[ast.stmt]":
        """Makes ``b = SPACES['pyrunc.a']['b']``, or NAMED('b', SPACES['pyrunc.a']) if ``b`` may be late."""
        module = self.modules.modules.get(node.module or "")
        if module is None:
            return node
        made: list[ast.stmt] = []
        late, load = self.modules.of(module.name), ast.Load()
        for alias in node.names:
            defined = alias.name in module.bound and alias.name not in late
            if alias.name not in module.bound and f"{module.name}.{alias.name}" not in self.modules.modules:
                return node  # the module's own __getattr__ makes it
            space = ast.Subscript(ast.Name(SPACES, load), ast.Constant(module.name), load)
            value: ast.expr = ast.Subscript(space, ast.Constant(alias.name), load)
            if not defined:
                value = ast.Call(ast.Name(NAMED, load), [ast.Constant(alias.name), space], [])
            made.append(ast.copy_location(ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], value), node))
        return made


def split(tree: ast.Module, late: "Collection[str]") -> "dict[str, ast.stmt]":
    """Removes the definitions of ``late`` names from ``tree``. Returns each as a statement of its own."""
    References(late).visit(tree)
    taken: dict[str, ast.stmt] = {}
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in [alias for alias in node.names if (alias.asname or alias.name) in late]:
                node.names.remove(alias)
                one = ast.Import([alias])
                if isinstance(node, ast.ImportFrom):
                    one = ast.ImportFrom(node.module, [alias], node.level)  # type: ignore[assignment]
                taken[alias.asname or alias.name] = ast.copy_location(one, node)
            if node.names:
                body.append(node)
        elif late_names := set(_names(node)) & set(late):
            taken[late_names.pop()] = node
        else:
            body.append(node)
    tree.body = body
    return taken
