"""A desk so small that its configuration is one number: what the child process of the watcher's tests does with it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import tomllib
from pathlib import Path

import numpy as np

from resources.compiled_files import CompiledFiles, Pointer
from trading.config.change_events import Differences, Examined
from trading.config.compiled import compiled
from trading.config.snapshot_diffs import differences
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELDS
from trading.errors import ConfigError, StoreUnavailable

SYMBOLS = ("CORN", "US10")


def files(home: Path) -> CompiledFiles:
    """Where its versions are."""
    return CompiledFiles(home / "config")


def called(spike: float) -> str:
    """The hash of a configuration that is this number."""
    return hashlib.sha256(f"spike {spike}".encode()).hexdigest()


def apply(home: Path, spike: float, symbols: tuple[str, ...] = SYMBOLS) -> int:
    """Puts a number in force, of CORN only; gives the version."""
    kept = files(home)
    now = kept.pointer()
    fields = {
        field.name: np.full(len(symbols), 0 if field.kind == "choice" else field.default, DTYPES[field.kind])
        for field in FIELDS
    }
    fields["max_spike"][0] = spike
    none = np.zeros(len(symbols), np.uint16)
    columns = SymbolColumns(symbols, ("",), none, ("",), none, fields, np.zeros(len(symbols), np.uint32), {})
    facts = {
        "configuration_hash": called(spike), "environment": "development", "base_currency": "USD",
        "capital_base": 1e6, "max_gross_exposure_fraction": 20.0, "max_daily_loss_fraction": 0.05,
    }  # fmt: skip
    sections = {"risk": json.dumps({"spike": spike}).encode()}
    number = now.number + 1 if now else 1
    name = kept.put(compiled(columns, sections, facts))
    kept.point(Pointer(number, called(spike), name, "development", "2022-02-25T22:00:00Z"))
    return number


def examine(home: Path, applies: bool = True) -> Examined:
    """Reads desk.toml: applies its `spike`, or says what is wrong with it."""
    began = time.perf_counter()
    folders = (str(home), *(str(folder) for folder in [home / "tables"] if folder.is_dir()))
    try:
        found = tomllib.loads((home / "desk.toml").read_text())
    except tomllib.TOMLDecodeError as cause:
        return Examined("refused", said=(f"desk.toml: {cause}.",), folders=folders)
    if found.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if found.get("busy"):
        raise StoreUnavailable("the journal cannot be reached. Start it.")
    if found.get("fault"):
        raise ConfigError("fault is not a setting.")
    spike, faults = found.get("spike"), [f"{name} is not a setting." for name in found if name != "spike"]
    if not isinstance(spike, float) or spike < 1:
        faults.append(f"spike is {spike!r}, but must be a number of 1 or more.")
    if faults:
        return Examined("refused", said=tuple(faults), folders=folders)
    name = called(spike)
    if (now := files(home).pointer()) and now.configuration == name:
        return Examined("same", name, now.number, folders=folders)
    if not applies:
        return Examined("drift", name, said=(f"risk.spike: ... -> {spike}",), folders=folders)
    number = apply(home, spike)
    return Examined("applied", name, number, folders=folders, load_seconds=time.perf_counter() - began)


def compared(home: Path, old: str, new: str) -> Differences:
    """What differs between two snapshots."""
    kept = files(home)
    return differences(kept.open(old), kept.open(new))


def answer(what: str, home: Path, *given: str) -> Examined | Differences:
    """Both of these, for a child."""
    return examine(home) if what == "examine" else compared(home, *given)
