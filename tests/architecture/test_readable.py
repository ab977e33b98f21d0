"""Code a stranger can read: docstrings everywhere, short functions, files named by nouns of the field."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

LONGEST_BODY = 35
MEDIAN_BODY = 6
NINE_IN_TEN = 30
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "service", "base", "misc", "core", "lib"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Every function of a tree, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes of a module or a public class; a method named like one of the language is not."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def says_what_it_is(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """A docstring, or for an asset the description that Dagster shows."""
    shown = any("description=" in text or "described(" in text for text in map(ast.unparse, node.decorator_list))
    return bool(ast.get_docstring(node)) or shown


def test_every_module_says_what_it_is_for(modules) -> None:
    silent = [module.path for module in modules if not ast.get_docstring(module.tree)]
    assert not silent


def test_modules_say_what_belongs_in_them_and_what_does_not(modules) -> None:
    # A rule is one decorated function in one file: its docstring is the rule.
    rules = ("trading/quality/rules/", "trading/strategies/rules/")
    asked = [module for module in modules if not module.path.startswith(rules)]
    silent = [
        m.path for m in asked if "elong" not in str(ast.get_docstring(m.tree)) and m.path != "resources/vended.py"
    ]
    assert not silent


def test_everything_public_has_a_docstring(modules) -> None:
    silent = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules
        for node in public(module.tree.body)
        if not says_what_it_is(node)
    ]
    assert not silent, "\n".join(silent)


def test_functions_are_short(modules) -> None:
    lengths = {
        f"{module.path}:{function.lineno} {function.name}": body_lines(function)
        for module in modules
        for function in functions(module.tree)
    }
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST_BODY}
    assert not long
    assert statistics.median(lengths.values()) <= MEDIAN_BODY
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= NINE_IN_TEN


def test_files_are_nouns_of_the_field(modules) -> None:
    vague = [
        module.path for module in modules if VAGUE & set(module.path.removesuffix(".py").replace("_", "/").split("/"))
    ]
    assert not vague, f"name what is in these files: {vague}"


def test_names_of_tests_are_unique(root: Path) -> None:
    names = [file.name for file in (root / "tests").rglob("*.py") if file.name != "conftest.py"]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"pytest would load one of these for the other: {twice}"


def test_tests_are_no_packages(root: Path) -> None:
    assert not list((root / "tests").rglob("__init__.py")), "a tests/resources package would shadow resources"


def test_nothing_is_patched_in_tests(root: Path) -> None:
    words = ("unittest." + "mock", "Magic" + "Mock", "mocker" + ".patch", "monkeypatch." + "setattr")
    found = [
        f"{file.relative_to(root)}: {word}"
        for file in sorted((root / "tests").rglob("*.py"))
        for word in words
        if word in file.read_text("utf-8")
    ]
    assert not found, f"use the in-memory adapter instead: {found}"


def test_the_length_of_a_function_leaves_out_its_docstring() -> None:
    tree = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n')
    assert [body_lines(function) for function in functions(tree)] == [2]
