"""`trading/` is pure: values and functions, no framework, no driver, no clock, no environment, no file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

# Everything `trading` may import besides itself. What is not here needs a reason here.
ALLOWED = {
    "__future__", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "difflib",
    "enum", "functools", "hashlib", "importlib", "inspect", "io", "itertools", "json", "math", "operator", "pkgutil",
    "re", "statistics", "types", "typing", "zlib", "numpy", "pandas", "pyarrow", "pydantic", "pydantic_core",
}  # fmt: skip
ALLOWED_IN = {
    ("trading/ports.py", "pathlib"): "a port says where its backups lie; nothing is opened",
    ("trading/continuity/manifest.py", "pathlib"): "names of files in a snapshot, as PurePosixPath",
    ("trading/config/data.py", "codecs"): "whether there is a text encoding of that name",
    ("trading/config/settings.py", "pathlib"): "paths of settings, as PurePosixPath",
    ("trading/config/in_force.py", "threading"): "writers of one reference exclude each other; readers take nothing",
    ("trading/risk/engine.py", "threading"): "who replaces arrays excludes others that do; who judges takes no lock",
    ("trading/risk/shared.py", "threading"): "reservations of a worker take turns; questions take no lock",
    ("trading/kernels/compiled.py", "numba"): "makes machine code of the loops, here only",
    (
        "trading/kernels/compiled.py",
        "sys",
    ): "keeps numba from looking for what no kernel uses; names a record of arrays",
    ("trading/config/live.py", "cryptography"): "checks a signature, a calculation on bytes",
    ("trading/strategies/garch.py", "arch"): "fits the model, where somebody chooses that volatility",
    ("trading/reports/html.py", "jinja2"): "the page's template, which lies beside the code",
    ("trading/reports/html.py", "markupsafe"): "escaping",
    ("trading/reports/html.py", "matplotlib"): "writes a drawing as SVG into memory",
    ("trading/reports/drawings.py", "matplotlib"): "draws figures in memory",
    ("trading/reports/heat_maps.py", "matplotlib"): "draws figures in memory",
}
CALLS = {"open", "input", "print", "exec", "eval", "breakpoint", "__import__"}
METHODS = {
    "now", "utcnow", "today", "fromtimestamp", "getenv", "read_text", "read_bytes", "write_text", "write_bytes",
    "mkdir", "unlink", "iterdir", "glob", "rglob", "exists", "is_file", "is_dir", "read_csv", "read_parquet",
    "to_csv", "to_parquet", "to_pickle", "savefig",
}  # fmt: skip
ALLOWED_CALLS = {
    ("trading/reports/html.py", "savefig"): "into a buffer in memory",
}


def is_banned_method(called: ast.expr, path: str) -> bool:
    """Whether what is called is a method that reaches a clock or a file, and has no reason to."""
    return isinstance(called, ast.Attribute) and called.attr in METHODS and (path, called.attr) not in ALLOWED_CALLS


def impurities(module) -> Iterator[str]:
    """Sentences on what in a module of `trading` reaches outside."""
    for name, line in module.imports():
        top = name.split(".")[0]
        if top != "trading" and top not in ALLOWED and (module.path, top) not in ALLOWED_IN:
            yield f"{module.path}:{line} imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in CALLS:
                yield f"{module.path}:{node.lineno} calls {called.id}"
            elif is_banned_method(called, module.path):
                yield f"{module.path}:{node.lineno} calls {ast.unparse(called)}"
        elif isinstance(node, ast.Attribute) and node.attr == "environ":
            yield f"{module.path}:{node.lineno} reads the environment"


def test_trading_reaches_nothing_outside_itself(modules) -> None:
    found = [text for module in modules if module.package == "trading" for text in impurities(module)]
    assert not found, "\n".join(found)


def test_calculations_do_not_know_the_ports(modules) -> None:
    found = [
        f"{module.path}:{line}"
        for module in modules
        if module.package == "trading"
        for name, line in module.imports()
        if name.startswith("trading.ports")
    ]
    assert not found, f"trading.ports is for assets, checks, pipelines and resources, not for: {found}"


def test_the_clock_is_read_where_it_is_wired_and_where_a_write_is_stamped(modules) -> None:
    readers = {
        module.path
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("datetime.now", "date.today", "datetime.utcnow")
    }
    allowed = {"pipelines/wiring.py", "resources/memory.py", "resources/delta_frames.py"}
    assert readers <= allowed, f"pass the time in instead: {sorted(readers - allowed)}"


def test_the_environment_is_read_and_set_in_pipelines_only(modules) -> None:
    readers = {
        module.path
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    }
    # Great Expectations reads its switch for telemetry when it is imported, and from nowhere else.
    outside = {path for path in readers if not path.startswith("pipelines/")} - {"checks/expectations.py"}
    assert not outside, f"read settings in pipelines/settings.py: {sorted(outside)}"


def test_every_exception_to_the_rule_is_still_needed(modules) -> None:
    imported = {(module.path, name.split(".")[0]) for module in modules for name, _ in module.imports()}
    assert set(ALLOWED_IN) <= imported, f"no longer imported: {set(ALLOWED_IN) - imported}"


def test_the_rule_finds_what_it_looks_for(module_from: Callable[[str, str], object]) -> None:
    impure = (
        "import os\nimport dagster\nfrom datetime import datetime\n"
        "def f(path):\n"
        "    now = datetime.now()\n"
        "    home = os.environ['HOME']\n"
        "    return open(path).read(), path.read_text(), now, home\n"
    )
    found = list(impurities(module_from("trading/example.py", impure)))
    lines = sorted(text.split(":")[1].split()[0] for text in found)
    assert lines == ["1", "2", "5", "6", "7", "7"], found
