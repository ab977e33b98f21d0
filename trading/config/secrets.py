"""What looks like a secret, so that it is neither taken as a setting nor repeated in a sentence.

Belongs here: the one rule by which a text is judged. Does not belong here: where a secret is found instead
(`settings.py`), or cutting what is shown (`documents.py`, `symbol_fields.py`). Needs neither pydantic nor numpy.
"""

from __future__ import annotations

import re

HIDDEN = "not shown here"

_CREDENTIALS = re.compile(r"://[^/?#\s]*@")
_NAMED = re.compile(
    r"(?:^|[?&;,\s'\"{(\[])(?:password|passwd|pwd|token|secret|api_?key|access_?key)['\"]?\s*[=:]", re.IGNORECASE
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
    if _CREDENTIALS.search(text) or _NAMED.search(text) or _HOOKS.search(text):
        return True
    return any(_made_up(part) for path in _ADDRESS.findall(text) for part in path.split("/"))


def _made_up(part: str) -> bool:
    """24 letters and digits without a break, or 20 characters with digits among them that change between small letters,
    capitals and digits as no words do, whatever stands between."""
    if len(part) < _LONG:
        return False
    kinds = _KINDS.findall(_BETWEEN.sub("", part))
    return bool(_UNBROKEN.search(part)) or (len(kinds) >= _MIXED and any(each.isdigit() for each in kinds))
