"""The structure of the code: which modules may know which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What begins the path of an import of the same crate.
RELATIVE = ("crate", "self", "super")


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The sets of modules that reach each other by imports (Tarjan's strongly connected components)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for other in sorted(imports.get(module, ())):
            if other not in numbers:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], numbers[other])
        if lowest[module] == numbers[module]:
            at = stack.index(module)
            members = stack[at:]
            del stack[at:]
            if len(members) > 1:
                found.append(sorted(members))

    for module in sorted(imports):
        if module not in numbers:
            visit(module)
    return found


# ---- Rust


def rust_paths(tree: str) -> Iterator[str]:
    """The paths of a use declaration, without braces: `a::{b, c::d}` is `a::b` and `a::c::d`."""
    opened = re.match(r"(?s)(.*?)::\{(.*)\}$", tree.strip())
    if not opened:
        yield tree.split(" as ")[0].strip()
        return
    part, depth = "", 0
    for char in opened[2] + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            if part.strip():
                yield from rust_paths(f"{opened[1].strip()}::{part.strip()}")
            part = ""
        else:
            part += char


def rust_imports(source: Path) -> dict[str, set[str]]:
    """The modules of a crate, and the modules of the crate that each names. A parent and its child count as one."""
    texts: dict[str, str] = {}
    for file in source.rglob("*.rs"):
        parts = [part for part in file.relative_to(source).with_suffix("").parts if part not in ("mod", "lib")]
        text = re.sub(r"//.*", "", file.read_text())
        texts["::".join(parts)] = re.split(r"#\[cfg\(test\)\]\s*mod ", text)[0]

    def module(path: str, here: str) -> str | None:
        parts = path.split("::")
        base = [] if parts[0] == "crate" else [part for part in here.split("::") if part]
        while parts and parts[0] in RELATIVE:
            if parts.pop(0) == "super":
                base = base[:-1]
        for length in range(len(parts), -1, -1):
            name = "::".join(base + parts[:length])
            if name in texts:
                return name
        return None

    imports: dict[str, set[str]] = {name: set() for name in texts}
    for here, text in texts.items():
        paths = [
            path for tree in re.findall(r"\buse ((?:crate|self|super)\b[^;]*);", text) for path in rust_paths(tree)
        ]
        paths += re.findall(r"\b((?:crate|super)(?:::\w+)+)", re.sub(r"\buse [^;]*;", "", text))
        for path in paths:
            other = module(path, here)
            is_related = not other or not here or other.startswith(f"{here}::") or here.startswith(f"{other}::")
            if other is not None and other != here and not is_related:
                imports[here].add(other)
    return imports


@pytest.mark.parametrize("crate", ["proto", "net", "load"])
def test_no_modules_of_a_crate_import_each_other(crate: str) -> None:
    imports = rust_imports(ROOT / "rust" / crate / "src")
    assert sum(map(len, imports.values())) > len(imports) / 2, "the imports were not read"
    assert circles(imports) == []


def test_only_the_reactor_knows_the_handler() -> None:
    source = ROOT / "rust" / "net" / "src"
    knows = {
        str(file.relative_to(source))
        for file in source.rglob("*.rs")
        if re.search(r"\bimpl Handler\b|handler::(\{[^}]*)?\bHandler\b", re.sub(r"//.*", "", file.read_text()))
    }
    assert {name for name in knows if not name.startswith("reactor/")} == {"lib.rs"}, "it is named elsewhere"


@pytest.mark.parametrize("folder", ["session", "http", "pubsub", "metrics", "io", "config"])
def test_the_parts_of_the_network_do_not_know_its_shards(folder: str) -> None:
    imports = rust_imports(ROOT / "rust" / "net" / "src")
    parts = {name: others for name, others in imports.items() if name.split("::")[0] == folder}
    assert parts
    upward = {
        f"{name} -> {other}" for name, others in parts.items() for other in others if other.split("::")[0] == "reactor"
    }
    assert upward == set()


# ---- Python


def python_imports(package: Path, *, types: bool) -> dict[str, set[str]]:
    """The modules of a package, and those that each imports when it is imported; with `types`, also for annotations."""
    files = {}
    for file in package.rglob("*.py"):
        parts = list(file.relative_to(package.parent).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    imports: dict[str, set[str]] = {name: set() for name in files}
    for here, file in files.items():
        for node in module_level(ast.parse(file.read_text()), types=types):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                while name and name not in files:
                    name = name.rpartition(".")[0]
                # Every module of a package imports the package, and a package its modules.
                if name and name != here and not here.startswith(f"{name}.") and not name.startswith(f"{here}."):
                    imports[here].add(name)
    return imports


def module_level(tree: ast.Module, *, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    todo: list[ast.stmt] = list(tree.body)
    for node in todo:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If):
            is_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            todo += node.orelse + (node.body if types or not is_types else [])
        elif isinstance(node, ast.Try):
            todo += node.body


def test_no_modules_of_the_package_import_each_other() -> None:
    imports = python_imports(ROOT / "python" / "hubbub", types=False)
    assert sum(map(len, imports.values())) > len(imports) / 2, "the imports were not read"
    assert circles(imports) == []


#: The circles of annotations that are left. What is mended goes from here, and nothing comes.
CIRCLES_OF_TYPES = [
    [
        f"hubbub.socketio.{name}"
        for name in ("adapter", "client", "engine", "lane", "namespace", "operators", "recovery", "server", "socket")
    ],
]


def test_no_further_modules_of_the_package_name_each_other_in_annotations() -> None:
    found = circles(python_imports(ROOT / "python" / "hubbub", types=True))
    assert sorted(found) == CIRCLES_OF_TYPES, "a circle is new, or one is mended: then it goes from the list"


def private_attributes(tree: ast.Module) -> Iterator[str]:
    """The attributes with an underscore of other objects than `self` and modules. A named tuple's are public."""
    modules = {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not re.match("_(?!_|replace$)", node.attr):
            continue
        text = ast.unparse(node.value)
        if text not in ("self", "cls", "super()") and text.split(".")[0] not in modules:
            yield ast.unparse(node)


#: Private attributes of other objects that the package reaches for. It falls with each interface, and never rises.
PRIVATE_ATTRIBUTES = 163


def test_private_attributes_of_other_objects_get_fewer() -> None:
    package = ROOT / "python" / "hubbub"
    files = [file for file in package.rglob("*.py") if "projects" not in file.parts]
    found = [name for file in files for name in private_attributes(ast.parse(file.read_text()))]
    assert len(found) == PRIVATE_ATTRIBUTES, "more: give the object an interface; fewer: lower the bound"
