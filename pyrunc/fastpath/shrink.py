"""Makes a module's code smaller for an archive: removes what never runs, and defers what rarely runs.

Once the interpreter runs, most of the cost of a hot command is unmarshalling code, and making functions and classes of
which it uses few. So a module's syntax tree is changed:

- Annotations, and imports for them (``if TYPE_CHECKING``), are removed, because nothing on the hot path reads them.
- A function that no recorded run of the command called (``called.txt``) becomes a stub with the same signature. Its
code is in the archive's late section, and is unmarshalled when the stub is first called.
- A name that no recorded run referred to has not even a stub (late_names.py). Constants such as ``errno.ENOENT`` become
numbers.
"""

import ast
import marshal

from pyrunc.fastpath.late_names import Direct, LateNames, fold, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import CodeType

LATE = "__pyrunc_late__"
"""The name in builtins of archive_load.late, which a stub calls."""
SMALLEST = 300
"""Functions with less marshalled code, in bytes, are not replaced by a stub."""


class Late:
    """The late section of an archive: marshalled functions and definitions, found by offset.

    ``called``: ``module:function`` of those that a recorded run called; ``sources``: {module: its text} of all modules
    that may have late names; ``asked``: names that are never late.
    """

    def __init__(
        self,
        called: "Collection[str]",
        sources: "Mapping[str, bytes] | None" = None,
        asked: "Collection[tuple[str, str]]" = (),
    ) -> None:
        self.called = called
        self.section = b""
        self.analysis = LateNames(
            {name: plain(source, name) for name, source in (sources or {}).items()}, called, asked
        )

    def add(self, code: bytes) -> int:
        """Appends a function's marshalled code; returns its offset."""
        offset = len(self.section)
        self.section += code
        return offset


class _Plain(ast.NodeTransformer):
    """Removes annotations and imports for them."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        _fill(node.body, node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        _fill(node.body, node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> "ast.AST | None":
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)

    def visit_Assign(self, node: ast.Assign) -> "ast.AST | None":
        first = node.targets[0]
        return None if isinstance(first, ast.Name) and first.id == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> "ast.AST | None":
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        _fill(node.body, node)
        return node

    def visit_Expr(self, node: ast.Expr) -> "ast.AST | None":
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # docstrings


def _fill(body: "list[ast.stmt]", node: "ast.stmt") -> None:
    if not body:
        body.append(ast.copy_location(ast.Pass(), node))


def plain(source: bytes, file: str) -> ast.Module:
    """Returns the syntax tree of a module without what serves only readers and checkers."""
    return fold(_Plain().visit(ast.parse(source, file)))


def shrink(source: bytes, module: str, file: str, late: "Late | None") -> "tuple[CodeType | None, dict[str, int]]":
    """Returns (code, {late name: offset of its definition in the late section}). ``source``: the text of ``module``.
    The code is None if nothing is left of it."""
    tree = plain(source, file)
    offsets: dict[str, int] = {}
    if late is not None:
        direct = Direct(late.analysis)
        for name, node in split(tree, late.analysis.of(module)).items():
            alone = ast.fix_missing_locations(direct.visit(ast.Module([node], [])))
            code = compile(alone, file, "exec", dont_inherit=True, optimize=2)
            offsets[name] = late.add(marshal.dumps(code))
        direct.visit(tree)
        _stubs(tree.body, f"{module}:", file, late)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                _stubs(node.body, f"{module}:{node.name}.", file, late)
    if not tree.body:
        return None, offsets
    return compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True, optimize=2), offsets


def _stubs(body: "list[ast.stmt]", prefix: str, file: str, late: Late) -> None:
    """Replaces the functions in ``body`` that no recorded run called by stubs."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and f"{prefix}{node.name}" not in late.called and _movable(node):
            code = marshal.dumps(_alone(node, f"{prefix}{node.name}".partition(":")[2], file))
            if len(code) >= SMALLEST:
                node.body = [ast.copy_location(_stub(node.args, late.add(code)), node.body[0])]


def _movable(function: ast.FunctionDef) -> bool:
    """Whether the body means the same outside of its class: no super(), no private name (``__name`` is mangled)."""
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    private = any(name.startswith("__") and not name.endswith("__") for name in names)
    return not private and not names & {"super", "__class__"}


def _alone(function: ast.FunctionDef, qualified: str, file: str) -> "CodeType":
    """Returns the code of a function by itself. The stub passes all arguments."""
    arguments = function.args
    plain = ast.arguments(
        posonlyargs=arguments.posonlyargs,
        args=arguments.args,
        vararg=arguments.vararg,
        kwonlyargs=arguments.kwonlyargs,
        kw_defaults=[None] * len(arguments.kwonlyargs),
        kwarg=arguments.kwarg,
        defaults=[],
    )
    alone = ast.copy_location(ast.FunctionDef(function.name, plain, function.body, []), function)
    tree = ast.fix_missing_locations(ast.Module([alone], []))
    outer = compile(tree, file, "exec", dont_inherit=True, optimize=2)
    code: CodeType = next(constant for constant in outer.co_consts if hasattr(constant, "co_code"))
    return code.replace(co_qualname=qualified)


def _stub(arguments: ast.arguments, offset: int) -> ast.Return:
    """Makes ``return LATE(offset, globals())(every argument)``."""
    load = ast.Load()
    space = ast.Call(ast.Name("globals", load), [], [])
    function = ast.Call(ast.Name(LATE, load), [ast.Constant(offset), space], [])
    given: list[ast.expr] = [ast.Name(one.arg, load) for one in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg is not None:
        given.append(ast.Starred(ast.Name(arguments.vararg.arg, load), load))
    named = [ast.keyword(one.arg, ast.Name(one.arg, load)) for one in arguments.kwonlyargs]
    if arguments.kwarg is not None:
        named.append(ast.keyword(None, ast.Name(arguments.kwarg.arg, load)))
    return ast.Return(ast.Call(function, given, named))
