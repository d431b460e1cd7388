"""The code and the shipped data that a config's result depends on, found by reading source: nothing is imported.

One hash over the whole package would refuse every running folder whenever a leaf is added anywhere. So each config has
its own table, piece by piece:

* the modules its classes are written in, and what these import of longstep, directly or not, inside of functions too;
* of a family only the members that it names: a union ``AnyCurriculum`` that types a field leads nowhere by itself,
  since a config that holds a member holds an object of its class. Used in code (``TypeAdapter(AnySource)``) it leads to
  every member, because then a name in data or in a table chooses;
* modules from outside that it names as ``module:name``, with what they import from beside them;
* the models and other data shipped with longstep that it names.

A package's ``__init__`` and a module that defines a union are *fronts*: of these only the definitions that are asked
for count, each with what it uses, and a dictionary with text keys counts entry by entry. Every other module counts
whole. Importing a module executes the ``__init__`` above it, too, which defines names and does nothing else.
What parses a recipe or starts a stage (``run``, ``cli``) imports stages, not the other way round, so it never counts.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import longstep
from longstep.config import Strict, dump

PACKAGE = Path(longstep.__file__).parent
_NAMED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_][\w.]*")
#: A function of our own that a worker process looks up by its name.
_OWN = re.compile(r"longstep(?:\.\w+)+:\w+")
_UNION = re.compile(r"\bAny[A-Z]\w*")
_STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import[ \t]+(?:\([^)]*\)|[^\n(]+)|import[ \t]+[\w., \t]+)",
    re.M,
)
_TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)*", re.M)
_OTHER_TYPES = re.compile(r"if .*TYPE_CHECKING|[;\\][ \t]*\n[ \t]*(?:from|import) ")
_HIDDEN_FIELDS = ("annotation", "returns")

#: A module, and a name in it; without a name the whole module.
Wanted = tuple[str, str | None]


def code_of(
    config: Strict, readers: Iterable[Strict] = (), package: Path = PACKAGE
) -> dict[str, str]:
    """Give ``piece of code or data -> hash`` for everything a config's result depends on.

    Compare two tables with :func:`recoded`.

    Args:
        config: of a stage or a data job.
        readers: configs that rows came through before they are read here; the verifier that a source names travels in
            its rows, so outside modules that these name count as well.
        package: where the source of longstep lies.
    """
    words = set(_words(dump(config)))
    outside = {word for each in readers for word in _words(dump(each)) if _NAMED.fullmatch(word)}
    asked: set[Wanted] = {
        (type(each).__module__, type(each).__qualname__.partition(".")[0])
        for each in _configs(config)
    }
    for word in {word for word in words if _NAMED.fullmatch(word)} | outside:
        module, _, name = word.partition(":")
        asked.add((module, name.partition(".")[0]))
    homes = {_Home(package.parent, package.name)}
    homes |= {home for module, _ in asked if (home := _home(module)) is not None}
    found = _Closure(tuple(sorted(homes, key=str))).follow(asked)
    return dict(sorted({**found, **_shipped(words, package)}.items()))


def recoded(then: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """Reduce ``now`` to what ``then`` knew.

    A piece that only ``now`` has came in through a list of members: any other way to it is a change of a piece that
    both have. And no config, table or row that existed ``then`` can name a member that did not.
    """
    return {piece: digest for piece, digest in now.items() if piece in then}


def _configs(value: Any) -> Iterator[Strict]:
    if isinstance(value, Strict):
        yield value
        for name in type(value).model_fields:
            yield from _configs(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _configs(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _configs(each)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _words(each)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:12]


# -- shipped data ---------------------------------------------------------------------------------


def _shipped(words: set[str], package: Path) -> dict[str, str]:
    files = _data(package)
    return {
        f"data/{path.relative_to(package / 'data').as_posix()}": _digest(path.read_bytes())
        for word in words & files.keys()
        for path in files[word]
    }


@cache
def _data(package: Path) -> dict[str, list[Path]]:
    """A shipped model by its folder's name, without its card; any other file by its own name."""
    found: dict[str, list[Path]] = {}
    for folder in filter(Path.is_dir, (package / "data").glob("*")):
        is_model = any(folder.glob("*.safetensors"))
        for path in filter(Path.is_file, sorted(folder.glob("*"))):
            if not is_model:
                found.setdefault(path.stem, []).append(path)
            elif path.suffix != ".md":
                found.setdefault(folder.name, []).append(path)
    return found


# -- where modules lie ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Home:
    """A folder with modules; ``top`` is the only package of it that counts, for the folder of libraries has many."""

    folder: Path
    top: str | None

    def file(self, module: str) -> Path | None:
        """The source of a module."""
        if self.top is not None and module.partition(".")[0] != self.top:
            return None
        return _file(self.folder, module)


@cache
def _file(folder: Path, module: str) -> Path | None:
    path = folder.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


@cache
def _home(module: str) -> _Home | None:
    """Where a module from outside lies; looking for the first part of its name imports nothing."""
    top = module.partition(".")[0]
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # ``__main__`` has no place
        return None
    if spec is None or top == longstep.__name__:
        return None
    if spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))).parent
    elif spec.has_location and spec.origin:
        folder = Path(spec.origin).parent
    else:
        return None
    library = str(folder) in sysconfig.get_paths().values()
    return _Home(folder, top if library else None)


# -- what a module says ---------------------------------------------------------------------------


@dataclass
class _Piece:
    """Some code: its hash, unless it is a list of members, and what it uses."""

    digest: str
    names: set[str] = field(default_factory=set)
    asks: set[Wanted] = field(default_factory=set)


@dataclass
class _Source:
    """A module. ``whole`` stands for all of it; a front has definitions and knows where its other names come from."""

    whole: _Piece | None
    defined: dict[str, dict[str, _Piece]] = field(default_factory=dict)
    bound: dict[str, Wanted] = field(default_factory=dict)


@cache  # as it was when the process began to look: that is nearer to what it runs than what lies there later
def _read(path: Path, module: str) -> _Source:
    data = path.read_bytes()
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = _skimmed(data.decode()) if inside != module else None
        tree = tree or ast.parse(data)
    except (SyntaxError, UnicodeDecodeError):  # whoever imports it will say so
        return _Source(_Piece(_digest(data)))
    if inside == module or any(map(_UNION.fullmatch, _targets(tree.body))):
        return _front(tree, data.splitlines(), inside)
    bound = list(_imports(tree.body, inside))
    unions = {name for name, (_, origin) in bound if origin and _UNION.fullmatch(origin)}
    idle = unions - set(_names(tree)) if unions else set[str]()
    asks = {ask for name, ask in bound if name not in idle}
    return _Source(_Piece(_digest(data), asks=asks | _own(data)))


def _skimmed(text: str) -> ast.Module | None:
    """The import statements alone, which parse ten times faster; ``None`` where more must be read."""
    text = _TYPES_ONLY.sub("", text)
    if _UNION.search(text) or _OTHER_TYPES.search(text):
        return None
    try:
        return ast.parse("\n".join(found.lstrip() for found in _STATEMENT.findall(text)))
    except SyntaxError:  # a line of prose looked like one
        return None


def _front(tree: ast.Module, lines: list[bytes], package: str) -> _Source:
    source = _Source(None)
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            source.bound |= dict(_imports([statement], package))
            continue
        if _is_for_readers(statement):
            continue
        names = list(_targets([statement])) or [""]
        if names == ["__all__"]:
            continue
        pieces = _pieces(statement, lines, package)
        if _UNION.fullmatch(
            names[0]
        ):  # selected by ``kind``, so that another member changes nothing
            pieces = {"": _Piece("", *_uses(pieces.values()))}
        for name in names:
            table = source.defined.setdefault(name, {})
            table |= {
                f"{key}@{len(table)}" if key in table else key: p for key, p in pieces.items()
            }
    return source


def _is_for_readers(statement: ast.stmt) -> bool:
    """A docstring, or imports for the type checker alone."""
    if isinstance(statement, ast.If):
        return _for_types(statement) and not statement.orelse
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _pieces(statement: ast.stmt, lines: list[bytes], package: str) -> dict[str, _Piece]:
    """A definition as one piece; a dictionary with text keys as one piece per entry."""
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Dict):
        keys = [key.value for key in value.keys if isinstance(key, ast.Constant)]
        if keys and len(keys) == len(value.keys) and all(isinstance(key, str) for key in keys):
            entries = zip(keys, value.values, strict=True)
            return {f".{key}": _piece(each, lines, package) for key, each in entries}
    return {"": _piece(statement, lines, package)}


def _piece(node: ast.stmt | ast.expr, lines: list[bytes], package: str) -> _Piece:
    decorated = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    first = node.decorator_list[0] if decorated and node.decorator_list else node
    inside = lines[first.lineno - 1 : node.end_lineno]  # several entries may share a line
    inside[-1] = inside[-1][: node.end_col_offset]
    inside[0] = inside[0][first.col_offset :]
    text = b"\n".join(inside)
    inner = _imports([node], package) if isinstance(node, ast.stmt) else ()
    return _Piece(_digest(text), set(_names(node)), {ask for _, ask in inner} | _own(text))


def _uses(pieces: Iterable[_Piece]) -> tuple[set[str], set[Wanted]]:
    names, asks = set[str](), set[Wanted]()
    for piece in pieces:
        names |= piece.names
        asks |= piece.asks
    return names, asks


def _targets(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that statements define at the top of a module; none for an ``if`` or a call."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def _names(node: ast.AST) -> Iterator[str]:
    """Names a piece of code uses; types of fields and parameters are left out, for values come from elsewhere."""
    if isinstance(node, ast.Name):
        yield node.id
    for name, value in ast.iter_fields(node):
        if name not in _HIDDEN_FIELDS:
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    yield from _names(each)


def _imports(body: Iterable[ast.AST], package: str) -> Iterator[tuple[str, Wanted]]:
    """``name it is bound to, what is imported`` of statements and all statements inside of them."""
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], (alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = [*(above if node.level else []), *([node.module] if node.module else [])]
            for alias in node.names:
                name = None if alias.name == "*" else alias.name
                yield alias.asname or alias.name, (".".join(parts), name)
        elif isinstance(node, ast.If) and _for_types(node):
            yield from _imports(node.orelse, package)
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _imports(ast.iter_child_nodes(node), package)


def _for_types(node: ast.If) -> bool:
    return ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"


def _own(text: bytes) -> set[Wanted]:
    return {(m, n) for m, _, n in (w.partition(":") for w in _OWN.findall(text.decode()))}


# -- following ------------------------------------------------------------------------------------


class _Closure:
    """Everything that is reached from some definitions."""

    def __init__(self, homes: tuple[_Home, ...]) -> None:
        self._homes = homes
        self._seen: set[Wanted] = set()
        self._waiting: list[Wanted] = []
        self._found: dict[str, str] = {}

    def follow(self, asked: Iterable[Wanted]) -> dict[str, str]:
        """``piece -> hash`` of what is asked for and of all that it uses."""
        self._ask(asked)
        while self._waiting:
            module, name = self._waiting.pop()
            path = self._file(module)
            if path is None:
                continue  # a library, whose version requirements.txt pins
            source = _read(path, module)
            if source.whole is not None:
                self._take(module, source.whole, module)
            elif name is not None:
                self._take_from_front(module, source, name)
            else:
                self._ask((module, each) for each in [*source.defined, *source.bound])
        return self._found

    def _file(self, module: str) -> Path | None:
        for home in self._homes:
            if (path := home.file(module)) is not None:
                return path
        return None

    def _ask(self, asks: Iterable[Wanted]) -> None:
        for ask in asks:
            if ask not in self._seen:
                self._seen.add(ask)
                self._waiting.append(ask)

    def _take(self, key: str, piece: _Piece, module: str) -> None:
        if piece.digest:
            self._found[key] = piece.digest
        self._ask(piece.asks)
        self._ask((module, name) for name in piece.names)

    def _take_from_front(self, module: str, source: _Source, name: str) -> None:
        self._ask([(module, "")])  # what is executed whatever is asked for
        if name in source.bound:
            self._ask([source.bound[name]])
        for key, piece in source.defined.get(name, {}).items():
            self._take(f"{module}{'.' * bool(name)}{name}{key}", piece, module)
        if name not in source.bound and name not in source.defined and name:
            self._ask([(f"{module}.{name}", None)])  # perhaps a module of this package
