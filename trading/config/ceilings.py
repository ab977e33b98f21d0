"""How large a configuration may be: the limits of sizes themselves, which the machine's owner may raise.

Belongs here: the ceilings and the mark that holds a field to one. Does not belong here: reading them from the
environment (`pipelines/place.py`), or any setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import AfterValidator, ValidationInfo

CEILINGS = "ceilings"  # key of the validation context


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most of everything that a configuration may ask for. Sizes of files are in bytes."""

    symbols: int = 100_000
    strategies: int = 200
    jobs: int = 200
    connections: int = 1_000
    buffered_messages: int = 1_000_000
    document_bytes: int = 4_000_000
    table_bytes: int = 64_000_000


USUAL = Ceilings()
BOUNDLESS = Ceilings(*[2**40] * 7)  # for who asks what a configuration says, not whether it may be used


def within(name: str) -> AfterValidator:
    """Holds a number, or the length of a list, to the ceiling of that name in the validation context, else the usual
    one."""

    def held(value: Any, info: ValidationInfo) -> Any:
        ceilings = (info.context or {}).get(CEILINGS, USUAL)
        most, size = getattr(ceilings, name), value if isinstance(value, int) else len(value)
        if size > most:
            raise ValueError(
                f"{size:,} is above the ceiling of {most:,} {name.replace('_', ' ')}. Lower it, or raise the ceiling "
                f"with DAYBOOK_MAX_{name.upper()}"
            )
        return value

    return AfterValidator(held)
