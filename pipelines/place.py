"""Where a desk lives, and what the environment says of it; the place that reads environment variables; those of keys
that sign live orders are read by `live_keys.py`.

Belongs here: the folder, the deployment, addresses of servers, ceilings and roots. Does not belong here: files of
settings (`authored.py`), or which configuration is in force (`settings.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel

from resources.config_documents import read_bounded
from trading.config.ceilings import CEILINGS, Ceilings
from trading.config.documents import DocumentCeilings, shown
from trading.config.refusals import did_you_mean
from trading.config.settings import ROOTS, TIMEZONES, Secret
from trading.errors import ConfigError

DEPLOYMENTS = ("local", "services")
ENVIRONMENTS = ("development", "paper", "production")
VARIABLES = (  # with those of ceilings, all that are read
    *("DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT", "DAYBOOK_BACKUPS", "DAYBOOK_SIGNING_KEY", "DAYBOOK_LIVE_KEYS"),
    *("DAYBOOK_LIVE_KEY", "DAYBOOK_PKCS11_MODULE", "DAYBOOK_PKCS11_PIN_FILE", "DAYBOOK_PKCS11_PIN"),
    *("DAYBOOK_ENVIRONMENT", "DAYBOOK_ROOTS"),
    *(f"DAYBOOK_MAX_{each.name.upper()}" for each in fields(Ceilings)),
)
PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = PROJECT / "daybook_data"
LARGEST_SECRET = 16_384  # bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a desk lives: its folder, its deployment, and what the environment says of servers. Addresses may hold a
    password: its `repr` leaves them out, so that no log, traceback or notebook shows one. `roots`: folders that
    absolute paths of the configuration must be in; None: anywhere. `configuration`: the hash of the one that counts,
    whatever came in force since; None: what is in force."""

    home: Path
    deployment: str
    backups: Path
    redis_url: str | None = field(default=None, repr=False)
    mongodb_uri: str | None = field(default=None, repr=False)
    postgres_uri: str | None = field(default=None, repr=False)
    signing_key: Path | None = None
    environment: str | None = None
    ceilings: Ceilings = field(default_factory=Ceilings)
    roots: tuple[Path, ...] | None = None
    configuration: str | None = None

    @property
    def desk_file(self) -> Path:
        """The home's own settings."""
        return self.home / "desk.toml"


def project_folder(name: str) -> Path:
    """`config` or `reference`: beside the code in a checkout, in `daybook_data` when installed."""
    beside = PROJECT / name
    return beside if beside.is_dir() else SHIPPED / name


def place(home: str | Path | None = None, deployment: str | None = None) -> Place:
    """The desk's place from arguments, then environment variables (DAYBOOK_HOME, DAYBOOK_DEPLOYMENT, DAYBOOK_BACKUPS,
    DAYBOOK_ENVIRONMENT, DAYBOOK_ROOTS, DAYBOOK_MAX_..., REDIS_URL, MONGODB_URI, POSTGRES_URI, DAYBOOK_SIGNING_KEY),
    then defaults (./var, local, <home>-backups, what the files say, anywhere, generous ceilings, a key of the home's
    own). Raises ConfigError on one that cannot be."""
    folder = _real(home or os.environ.get("DAYBOOK_HOME") or "var")
    chosen = deployment or os.environ.get("DAYBOOK_DEPLOYMENT") or "local"
    if chosen not in DEPLOYMENTS:
        raise ConfigError(f"deployment {shown(chosen)} is unknown. Choose one of: {', '.join(DEPLOYMENTS)}.")
    backups = os.environ.get("DAYBOOK_BACKUPS") or folder.parent / f"{folder.name}-backups"
    servers = (os.environ.get(name) for name in ("REDIS_URL", "MONGODB_URI", "POSTGRES_URI"))
    key = os.environ.get("DAYBOOK_SIGNING_KEY")
    return Place(
        folder,
        chosen,
        _real(backups),
        *servers,
        signing_key=_real(key) if key else None,
        environment=_environment(),
        ceilings=_ceilings(os.environ),
        roots=_roots(),
    )


def located(path: str, where: Place) -> Path:
    """The file or folder that a setting names, links followed: a relative one is below the home, an absolute one in one
    of the roots where there are any. Raises ConfigError on one that leads elsewhere."""
    found, home = _real(where.home / path), _real(where.home)
    allowed = (home,) if not Path(path).is_absolute() else (home, *(where.roots or (Path("/"),)))
    if not any(found.is_relative_to(root) for root in allowed):
        listed = ", ".join(map(str, allowed))
        raise ConfigError(f"{path} leads to {found}, which is not in {listed}. Correct the setting, or the link.")
    return found


def revealed(secret: Secret, where: Place) -> str:
    """The secret that a setting refers to, without the line break at its end. A file's path is below the home unless it
    is absolute. Raises ConfigError saying which variable or file is missing; no sentence holds a secret."""
    if secret.env is not None:
        found = os.environ.get(secret.env)
        if not found:
            raise ConfigError(f"the environment variable {secret.env} is not set, and a setting refers to it. Set it.")
        return found
    file = located(str(secret.file), where)
    if not file.is_file():
        raise ConfigError(
            f"there is no file {file}, and a setting refers to it. Put the secret there, for you to read."
        )
    return read_bounded(file, LARGEST_SECRET).decode("utf-8", "replace").rstrip("\r\n")


def context(where: Place) -> dict[str, Any]:
    """What models are told of the environment: ceilings, the roots of paths with the home among them, time zones."""
    roots = None if where.roots is None else (where.home, *where.roots)
    return {CEILINGS: where.ceilings, ROOTS: roots, TIMEZONES: _is_timezone}


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def document_ceilings(where: Place) -> DocumentCeilings:
    """How large one file may be."""
    return DocumentCeilings(max_bytes=where.ceilings.document_bytes)


def strange_variables(settings: BaseModel | None = None) -> list[str]:
    """A sentence for each variable that is called as ours are, and that neither Daybook nor these settings read."""
    known = {*VARIABLES, *(_referred(settings) if settings is not None else ())}
    strange = sorted(name for name in os.environ if name.startswith("DAYBOOK_") and name not in known)
    said = "the environment variable {} is not one of Daybook's own.{}"
    return [said.format(name, _meant(name)) for name in strange]


def _meant(name: str) -> str:
    """` Did you mean DAYBOOK_X?`, or nothing: what all are called by says nothing of what is meant."""
    meant = did_you_mean(name.removeprefix("DAYBOOK_"), [each.removeprefix("DAYBOOK_") for each in VARIABLES])
    return meant.replace("mean ", "mean DAYBOOK_")


def unset_secrets(settings: BaseModel, where: Place) -> list[str]:
    """A sentence for each environment variable and each file that settings refer to for a secret, and that is not
    here."""
    missing = [name for name in _referred(settings) if not os.environ.get(name)]
    files = dict.fromkeys(secret.file for secret in _secrets(settings) if secret.file is not None)
    return [
        *(f"a setting refers to the environment variable {name}, which is not set here." for name in missing),
        *(said for file in files if (said := _missing(file, where)) is not None),
    ]


def _missing(file: str, where: Place) -> str | None:
    """Why a file of a secret cannot be read here; None where it can."""
    try:
        found = located(file, where)
    except ConfigError as cause:
        return str(cause)
    if not found.is_file():
        return f"a setting refers to the file {found}, which is not there."
    return None if os.access(found, os.R_OK) else f"a setting refers to the file {found}, which cannot be read."


def _referred(section: BaseModel) -> list[str]:
    return [secret.env for secret in _secrets(section) if secret.env is not None]


def _secrets(section: BaseModel) -> list[Secret]:
    if isinstance(section, Secret):
        return [section]
    return [secret for _, value in section if isinstance(value, BaseModel) for secret in _secrets(value)]


def _real(path: str | Path) -> Path:
    """The path with links followed; links in a circle are left as they are, for whoever opens it to say so."""
    return Path(os.path.realpath(path))


def _environment() -> str | None:
    given = os.environ.get("DAYBOOK_ENVIRONMENT") or None
    if given is not None and given not in ENVIRONMENTS:
        raise ConfigError(f"DAYBOOK_ENVIRONMENT is {shown(given)}. Choose one of: {', '.join(ENVIRONMENTS)}.")
    return given


def _roots() -> tuple[Path, ...] | None:
    given = os.environ.get("DAYBOOK_ROOTS")
    if not given:
        return None
    return tuple(_real(part) for part in given.split(os.pathsep) if part)


def _ceilings(variables: Mapping[str, str]) -> Ceilings:
    found: dict[str, int] = {}
    for each in fields(Ceilings):
        name = f"DAYBOOK_MAX_{each.name.upper()}"
        if variables.get(name):
            found[each.name] = _ceiling(name, variables[name])
    return Ceilings(**found)


def _ceiling(name: str, text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= 2**40:
        return int(text)
    raise ConfigError(
        f"{name} is {shown(text)}, but must be a whole number from 1 to {2**40}. Correct it, or unset it."
    )
