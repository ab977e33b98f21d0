"""The common rules of every settings model, and the kinds of values they are made of. Does not belong here: any model
of a section."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from trading.config.secrets import looks_secret

ROOTS = "roots"  # key of the validation context: folders that absolute paths must be in; none: anywhere
TIMEZONES = "timezones"  # and: says of a name whether it is a time zone; none: any name is
IN_THE_CLEAR = "secret_in_the_clear"  # type of the finding: its value must not be shown

_HIDDEN = (
    "a secret in the clear. Put it into an environment variable or a file, and write { env = 'NAME' } or "
    "{ file = 'path' } in its place"
)
_SPOKEN = (
    "a secret in the clear: what stands there stands in the history, in snapshots and in backups for good. Take it "
    "out, and change it where it is valid: it was readable"
)
_SECRET_ADDRESS = (
    "a secret in the clear: whoever knows the address can write to it. Take it out, put it into an environment "
    "variable or a file, and write operations.notifier.webhook = { env = 'NAME' } or { file = 'path' }"
)


def refuse_in_the_clear(given: str) -> str:
    """The text itself. Raises where it holds a password or a token; the finding does not repeat it."""
    if looks_secret(given):
        raise PydanticCustomError(IN_THE_CLEAR, _SPOKEN)
    return given


def refuse_secret_address(given: str) -> str:
    """As `refuse_in_the_clear`, for the address of the notifier, which has another setting for one that is a secret."""
    if looks_secret(given):
        raise PydanticCustomError(IN_THE_CLEAR, _SECRET_ADDRESS)
    return given


def _path(given: str, info: ValidationInfo) -> str:
    parts = PurePosixPath(given).parts
    if ".." in parts or given.startswith("~"):
        raise ValueError("the path leaves its folder. Write it without .. and ~")
    roots = (info.context or {}).get(ROOTS)
    absolute = parts[:1] == ("/",)
    if roots is not None and absolute and not any(PurePosixPath(given).is_relative_to(root) for root in roots):
        listed = ", ".join(map(str, roots)) or "none"
        raise ValueError(f"the path is in none of the folders of DAYBOOK_ROOTS ({listed}). Move it there, or add one")
    return given


PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,40}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]  # of an instrument, as in reference data
Text = Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE), AfterValidator(refuse_in_the_clear)]
Column = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=PRINTABLE), AfterValidator(refuse_in_the_clear)
]
OrNone = BeforeValidator(lambda given: given or None)  # TOML has no word for none: ""
FilePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, pattern=PRINTABLE),
    AfterValidator(refuse_in_the_clear),
    AfterValidator(_path),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Settings(BaseModel):
    """Frozen; unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StrictSettings(Settings):
    """Nothing is converted: text is not a number, and neither is true. No traceback repeats what was given: it may be a
    secret."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class Secret(StrictSettings):
    """Where a secret is found: an environment variable, or a file. Never the secret."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")] | None = Field(
        None, description="environment variable that holds it"
    )
    file: FilePath | None = Field(None, description="file that holds it, and nothing else")

    @model_validator(mode="before")
    @classmethod
    def _is_a_reference(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise PydanticCustomError(IN_THE_CLEAR, _HIDDEN)
        return given

    @model_validator(mode="after")
    def _is_one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env or file")
        return self
