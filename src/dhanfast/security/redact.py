"""Masks what must not be read: tokens, PINs, secrets, in logs and in texts of errors.

Two nets. Patterns catch what looks like a secret (a JWT, the value of `token=`, `pin=`,
`access-token:`); known values catch a secret of any shape that a `Token` or the store has made
known. Neither is a licence to log secrets: they are for texts that come from elsewhere, such as a
broker's error that quotes the request.
"""

import logging
import re
import threading
import traceback
from typing import Final

MASK: Final = "***"
KNOWN_MIN: Final = 8  # shorter values (a PIN) would mask innocent numbers; patterns catch those
KNOWN_MAX: Final = 256  # values remembered, the oldest are forgotten first

_NAMES: Final = (
    r"access[-_]?token|token[-_]?id|token|app[-_]?secret|partner[-_]?secret|totp[-_]?secret|"
    r"client[-_]?secret|passphrase|password|authorization|secret|totp|pin"
)
# name=value, name: value, "name": "value", 'name': b'value'; the value ends at a blank or a bracket
_PAIR: Final = re.compile(
    rf"""(?ix)(?P<name>(?<![a-z])(?:{_NAMES})["']?\s*[=:]\s*(?:bearer\s+)?)
    (?P<value>b?"[^"]*"|b?'[^']*'|[^\s&,;"'<>()\[\]{{}}]+)"""
)
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,2}")
_HARMLESS: Final = frozenset({"none", "null", "true", "false", MASK})


class Redactor:
    """Masks secrets in text. Threads may share one."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._lock = threading.Lock()

    def know(self, secret: str) -> None:
        """Mask this value too from now on, wherever it stands.

        Args:
            secret: ignored when shorter than 8 characters: it would mask innocent numbers.
        """
        if len(secret) < KNOWN_MIN:
            return
        with self._lock:
            self._known.pop(secret, None)
            self._known[secret] = None
            while len(self._known) > KNOWN_MAX:
                self._known.pop(next(iter(self._known)))

    def clean(self, text: str) -> str:
        """The text with every secret replaced by three stars."""
        with self._lock:
            known = sorted(self._known, key=len, reverse=True)
        for secret in known:
            if secret in text:
                text = text.replace(secret, MASK)
        return _PAIR.sub(_masked, _JWT.sub(MASK, text))


def _masked(found: re.Match[str]) -> str:
    """A pair with its value hidden, its quotes kept."""
    value = found["value"]
    quote = value[-1] if value[-1] in "\"'" else ""
    bare = value.removeprefix("b").strip("\"'") if quote else value
    if not bare or bare.lower() in _HARMLESS:
        return found[0]
    return f"{found['name']}{quote}{MASK}{quote}"


REDACTOR: Final = Redactor()  # of the process: secrets are the same whoever logs


def redacted(text: str) -> str:
    """The text with every secret replaced by three stars."""
    return REDACTOR.clean(text)


class RedactFilter(logging.Filter):
    """Cleans a record before any handler sees it: message, arguments, traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place; it always goes on."""
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            lines = traceback.format_exception(record.exc_info[1])
            record.exc_text = redacted("".join(lines).rstrip("\n"))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = redacted(record.stack_info)
        return True


_FILTER: Final = RedactFilter()


def logger(name: str) -> logging.Logger:
    """A logger of the standard library whose records are cleaned.

    Args:
        name: dotted, as for `logging.getLogger`. A filter does not reach the loggers below, so
            every module that logs asks here for its own.
    """
    found = logging.getLogger(name)
    if _FILTER not in found.filters:
        found.addFilter(_FILTER)
    return found
