"""Who inherits from whom: chains of names by their parents.

Belongs here: the chain of a class or group, and what is wrong with it. Does not belong here: what is inherited
(`inheritance.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trading.config.symbol_fields import near


def lineage(name: str, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """A name and whom it inherits from, the eldest first. A name that nobody set stands alone. The chains must have
    been found free of faults (`faults_of_lineage`)."""
    chain, at = [name], parents.get(name)
    while at is not None:
        chain.append(at)
        at = parents[at]
    return tuple(reversed(chain))


def faults_of_lineage(section: str, parents: Mapping[str, str | None]) -> Iterator[str]:
    """A sentence for each parent that does not exist and for each cycle, which it shows."""
    for name, parent in parents.items():
        if parent is not None and parent not in parents:
            known = ", ".join(list(parents)[:20])
            yield (
                f"{section}.{name}.inherits is '{parent}', which is not among {section}.{near(parent, parents)} "
                f"They are: {known}."
            )
    for cycle in _cycles(parents):
        shown = " inherits ".join((*cycle, cycle[0]))
        yield f"{section}: {shown}, which is a cycle. Remove `inherits` from one of them."


def _cycles(parents: Mapping[str, str | None]) -> Iterator[tuple[str, ...]]:
    """Each cycle once, beginning with its first name in order of `parents`."""
    done: set[str] = set()
    for name in parents:
        walked: dict[str, int] = {}
        at: str | None = name
        while at is not None and at not in done and at not in walked:
            walked[at] = len(walked)
            at = parents.get(at)
        if at is not None and at in walked:
            yield tuple(walked)[walked[at] :]
        done.update(walked)
