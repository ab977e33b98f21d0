"""What may be in the repository: no place of a machine, no registry, and a lock that holds what is asked for."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

# Written as patterns, so that this file does not name what it looks for.
REGISTRIES = re.compile(
    r"pypi[.]org|python[h]osted[.]org|/simple[/]|index[-]url\s*=|extra[-]index|registry[.]npm|conda[.]anaconda",
    re.IGNORECASE,
)
MACHINES = re.compile(r"(?<![\w.])/(wor[k]|roo[t]|far[m]|User[s]|home/[a-z]+)/")
LARGEST_BYTES = 1_000_000


def texts(tracked: list[Path]) -> list[tuple[Path, str]]:
    """Files of text, with their text."""
    found = []
    for file in tracked:
        content = file.read_bytes()
        if b"\0" not in content[:4096]:
            found.append((file, content.decode("utf-8", errors="replace")))
    return found


def hits(pattern: re.Pattern[str], tracked: list[Path], root: Path) -> list[str]:
    """Where a pattern occurs: file, line and the line's text."""
    return [
        f"{file.relative_to(root)}:{number}: {line.strip()[:120]}"
        for file, text in texts(tracked)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_registry(tracked: list[Path], root: Path) -> None:
    assert not hits(REGISTRIES, tracked, root)


def test_no_file_names_a_place_of_a_machine(tracked: list[Path], root: Path) -> None:
    assert not hits(MACHINES, tracked, root)


def test_the_patterns_find_what_they_look_for() -> None:
    assert REGISTRIES.search("https://files.python" + "hosted.org/packages")
    assert MACHINES.search("cd /" + "root/daybook")
    assert not MACHINES.search("<home>/reports")


def test_no_file_is_large(tracked: list[Path], root: Path) -> None:
    large = {str(file.relative_to(root)): file.stat().st_size for file in tracked}
    assert not {name: size for name, size in large.items() if size > LARGEST_BYTES}


def test_no_secret_and_no_data_is_in_git(tracked: list[Path], root: Path) -> None:
    names = [file.relative_to(root).as_posix() for file in tracked]
    kept = re.compile(r"(^|/)(\.env|var|.*\.sqlite|.*\.pem|id_rsa.*|.*\.parquet)$")
    assert not [name for name in names if kept.search(name) and not name.startswith("tests/")]


def locked(file: Path) -> dict[str, tuple[str, int]]:
    """Packages of a lock: version and number of hashes, by normalised name."""
    found: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=\S)", file.read_text("utf-8")):
        pinned = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", block)
        if pinned:
            found[normal(pinned[1])] = (pinned[2], block.count("--hash=sha256:"))
    return found


def normal(name: str) -> str:
    """A distribution's name as the packaging rules compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(root: Path, *extras: str) -> list[str]:
    """Names of direct dependencies, with those of some extras."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    return [normal(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in texts]


def test_every_direct_dependency_is_pinned_in_the_lock(root: Path) -> None:
    main, test = locked(root / "requirements/main.txt"), locked(root / "requirements/test.txt")
    assert len(main) > 50
    assert not [name for name in asked(root) if name not in main]
    assert not [name for name in asked(root, "test") if name not in test]


def test_every_pin_has_a_hash(root: Path) -> None:
    for name in ("main.txt", "test.txt"):
        bare = [package for package, (_, hashes) in locked(root / "requirements" / name).items() if not hashes]
        assert not bare, f"requirements/{name}: no hash for {bare}"


def test_both_locks_agree(root: Path) -> None:
    main, test = locked(root / "requirements/main.txt"), locked(root / "requirements/test.txt")
    assert not {name: (pin, test.get(name)) for name, pin in main.items() if test.get(name, ("",))[0] != pin[0]}


def test_exact_versions_of_the_project_are_those_of_the_lock(root: Path) -> None:
    main = locked(root / "requirements/main.txt")
    exact = re.findall(r'"([A-Za-z0-9._-]+)==([^";]+)"', (root / "pyproject.toml").read_text("utf-8"))
    wanted = {normal(name): version for name, version in exact if normal(name) in main}
    assert wanted
    assert {name: main[name][0] for name in wanted} == wanted


def test_every_target_of_make_says_what_it_does(root: Path) -> None:
    text = (root / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    told = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    assert sorted(phony) == sorted(told)


def test_the_license_is_apache_2(root: Path) -> None:
    lines = [line.strip() for line in (root / "LICENSE").read_text("utf-8").splitlines() if line.strip()]
    assert lines[:2] == ["Apache License", "Version 2.0, January 2004"]
    assert "END OF TERMS AND CONDITIONS" in lines
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "Apache-2.0"


def test_what_runs_on_every_change_checks_and_then_tests(root: Path) -> None:
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text("utf-8").splitlines()
    assert lines[0].startswith("#!")
    assert "set -euo pipefail" in lines, "a check that fails must end it"
    assert [line.strip() for line in lines if line.strip()][-2:] == ["make check", "make test"]
