"""What looks like a secret, so that it is neither taken as a setting nor repeated in a sentence.

Belongs here: the one rule by which a text is judged. Does not belong here: where a secret is found instead
(`settings.py`), or cutting what is shown (`documents.py`, `symbol_fields.py`). Needs neither pydantic nor numpy.
"""

from __future__ import annotations

import re

from trading.errors import UsageError

HIDDEN = "not shown here"

_CREDENTIALS = re.compile(r"://[^/?#\s]*@")
_NAMED = re.compile(
    r"(?:^|[?&;,\s'\"{(\[])[\w-]*(?:password|passwd|pwd|token|secret|(?:api|access|private)[_-]?key|credentials?"
    r"|\bauth|authorization)['\"]?\s*[=:]",
    re.IGNORECASE,
)
_ISSUED = re.compile(  # what services that hand out tokens begin them with
    r"\b(?:[spr]k_(?:live|test)_\w{8}|gh[pousr]_\w{20}|xox[abposr]-\w{4}|AKIA[0-9A-Z]{16}\b|eyJ[\w-]{10,}\.eyJ)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_NAMES_ONE = re.compile(
    r"(?:^|_|-)(?:password|passwd|pwd|passphrase|token|secret|(?:api|access|private)[_-]?key|credentials?)s?$",
    re.IGNORECASE,
)
_HOOKS = re.compile(  # addresses that whoever knows them may write to
    r"hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot"
    r"|\.webhook\.office\.com/",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"://[^/?#\s'\"]*/([^?#\s'\"]*)")
_UNBROKEN = re.compile(r"[A-Za-z0-9]{24}")
_BETWEEN = re.compile(r"[^A-Za-z0-9]")
_KINDS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_LONG, _MIXED = 20, 6  # characters of a part of a path, and runs of small letters, capitals or digits in it


def looks_secret(text: str) -> bool:
    """Whether a text holds a password, a token, or an address that is one: of a known service of hooks, or with a part
    of its path that nobody would write by hand."""
    if any(form.search(text) for form in (_CREDENTIALS, _NAMED, _ISSUED, _HOOKS)):
        return True
    return any(_made_up(part) for path in _ADDRESS.findall(text) for part in path.split("/"))


def names_secret(name: str) -> bool:
    """Whether a setting is called as one that holds a secret: `password`, `api_key`, `gateway_token`."""
    return bool(_NAMES_ONE.search(name))


def refuse_secrets(**said: str) -> None:
    """Raises UsageError, naming the option and not repeating it, where what a person says for the journal looks like a
    secret: what stands there stands there for good, and in every backup."""
    for option, text in said.items():
        if looks_secret(text):
            raise UsageError(
                f"--{option} looks like it holds a password, a token or an address that is one, and what stands in the "
                f"journal cannot be taken out: it is {HIDDEN}, and nothing was recorded. Say it without; if it is a "
                "secret, change it: a shell keeps what was typed."
            )


def _made_up(part: str) -> bool:
    """24 letters and digits without a break, or 20 characters with digits among them that change between small letters,
    capitals and digits as no words do, whatever stands between."""
    if len(part) < _LONG:
        return False
    kinds = _KINDS.findall(_BETWEEN.sub("", part))
    return bool(_UNBROKEN.search(part)) or (len(kinds) >= _MIXED and any(each.isdigit() for each in kinds))
