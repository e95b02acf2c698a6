"""The fingerprint of a dead letter: alike for jobs that died of the same cause.

A cause is the job type, the exception's class, the module and function that raised it, and its
message without what differs from job to job. All of that stands in the letter's own headers, so a
reader computes the same for a letter whose writer knew no fingerprints. Time is linear in the
message, whatever it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.core.headers import Carried

FINGERPRINT_CHARS = 12
PATTERN_CHARS_MAX = 200
PLACE_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 8_000
"""Characters of a message that are looked at."""
VARIABLE = "*"
"""Stands in a pattern for whatever differs from job to job."""
BY_REASON = frozenset(
    (
        "bad_headers",
        "child_not_started",
        "crashed_worker",
        "id_conflict",
        "schema_mismatch",
        "too_large_to_copy",
        "undecodable",
        "unique_held",
        "unknown_type",
    )
)
"""Reasons of letters without an exception of a handler: the reason is the cause."""
_SEPARATOR_CHARS_MAX = 4
"""Between two variables of a list, such as `, ` or `: `."""
_QUOTES = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_OPENS = re.compile("['\"`\u201c\u2018\u00ab]")
_LITERAL_PREFIXES = "bBrRuU"
_BRACKETS = "(<[{"
_CLOSING = ")>]}"
_STOPS = ".,:;!?)>]}"
_CHUNKS = re.compile(r"\s+|\S+")
_PIECES = re.compile(r"[^\W_]+|[\W_]+")
_PARTS = re.compile(r"[=,;()\[\]{}<>|]+|[^=,;()\[\]{}<>|]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?")
_NAMED = re.compile(r"([^\W\d_]+)\d+")
_HEX = re.compile(r"[a-fA-F]+")
_NAME_CHARS_MIN = 2
_HASH_CHARS_MIN = 8
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_WELL_FORMED = re.compile(rb"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Cause:
    """What a letter's job died of, without what is of this job alone."""

    job_type: str
    """"" where the bytes do not say."""
    error: str
    """The exception's class with its module; "" where there was none."""
    reason: str
    """As in the letter. Part of the fingerprint only where nothing else tells the cause."""
    place: str
    """`module:function`, of the user's code; "" where nothing of it raised."""
    pattern: str
    """The message with `*` for its variables, cut to 200 characters; "" of a cause by reason."""
    fingerprint: str
    """12 hex digits."""


def cause_of(job_type: str, carried: Carried) -> Cause:
    """The cause that a letter's headers tell.

    `job_type` is the name in the schema that wrote the job.
    """
    reason = carried.reason
    if reason in BY_REASON:
        fingerprint = _hashed("reason", job_type, reason)
        return Cause(job_type, carried.error, reason, "", "", fingerprint)
    place, pattern = place_of(carried.frame), pattern_of(carried.message)
    error = carried.error
    fingerprint = _hashed("error", job_type, error, "" if error else reason, place, pattern)
    return Cause(job_type, error, reason, place[:PLACE_CHARS_MAX], pattern, fingerprint)


def is_fingerprint(raw: bytes) -> bool:
    """Whether the bytes have a fingerprint's form."""
    return _WELL_FORMED.fullmatch(raw) is not None


def place_of(frame: str) -> str:
    """`module:function` of `path/module.py:7 in function`: a deploy that moves lines keeps it."""
    file, _, function = frame.rpartition(" in ") if " in " in frame else (frame, "", "")
    head, _, line = file.rpartition(":")
    file = head if head and line.isdigit() else file
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}:{function}" if function else module


def pattern_of(message: str) -> str:
    """The message with `*` in place of its variables, on one line, cut to 200 characters.

    Variables are quoted texts, URLs, paths, e-mail addresses, and words that hold digits, such as
    numbers, dates, UUIDs and hashes. Several in a row, as in a list, are one.
    """
    pattern = _Pattern()
    for text, is_quoted in _unquoted(message[:MESSAGE_CHARS_MAX]):
        if is_quoted:
            pattern.variable()
        else:
            for chunk in _CHUNKS.findall(text):
                _add_chunk(pattern, chunk)
        if pattern.is_full:
            break
    return pattern.text()


def _hashed(*parts: str) -> str:
    made = blake2b(digest_size=FINGERPRINT_CHARS // 2)
    for part in parts:
        raw = part.encode("utf-8", "backslashreplace")
        made.update(b"%d:" % len(raw) + raw)
    return made.hexdigest()


class _Pattern:
    """A pattern as it grows: variables that only punctuation parts become one."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._since: list[str] | None = None
        """The punctuation after the last variable, as long as there is nothing else."""
        self._chars = 0

    @property
    def is_full(self) -> bool:
        """Whether what follows would be cut anyway."""
        # Punctuation at the end may vanish yet.
        return self._chars > PATTERN_CHARS_MAX

    def variable(self) -> None:
        """Add a variable, in place of the punctuation since the last one."""
        if self._since is not None and not _opens("".join(self._since)):
            self._since = []
            return
        self._flush()
        self._take(VARIABLE)
        self._since = []

    def punctuation(self, text: str) -> None:
        """Add what is neither a word nor a variable."""
        if self._since is None:
            self._take(text)
            return
        self._since.append(text)
        if sum(map(len, self._since)) > _SEPARATOR_CHARS_MAX:
            self._flush()

    def word(self, text: str) -> None:
        """Add a word that stays."""
        self._flush()
        self._take(text)

    def text(self) -> str:
        """The pattern so far."""
        self._flush()
        return "".join(self._pieces)[:PATTERN_CHARS_MAX].strip()

    def _flush(self) -> None:
        since, self._since = self._since, None
        for each in since or ():
            self._take(each)

    def _take(self, text: str) -> None:
        self._pieces.append(text)
        self._chars += len(text)


def _opens(between: str) -> bool:
    """Whether a bracket opens between two variables, as in `order 7 (2)`: then they are two."""
    return any(each in between for each in _BRACKETS) and not any(
        each in between for each in _CLOSING
    )


def _unquoted(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text by turns: outside of quotes, and (True) what is quoted.

    A quote opens at the beginning of a word, so that an apostrophe does not. One that nothing
    closes, as where the message was cut, goes to the end.
    """
    start = at = 0
    while (found := _OPENS.search(text, at)) is not None:
        at = found.end()
        if _is_within_word(text, found.start()):
            continue
        yield text[start : found.start()], False
        yield "", True
        sign = _QUOTES[found[0]]
        closing = text.find(sign, at)
        while closing > 0 and text[closing - 1] == "\\":
            closing = text.find(sign, closing + 1)
        if closing < 0:
            return
        start = at = closing + 1
    yield text[start:], False


def _is_within_word(text: str, at: int) -> bool:
    """Whether a quote stands behind a letter or digit that is no prefix, as in `b'…'`."""
    before = text[max(0, at - 2) : at]
    if not before[-1:].isalnum():
        return False
    return before[-1] not in _LITERAL_PREFIXES or before[:-1].isalnum()


def _add_chunk(pattern: _Pattern, chunk: str) -> None:
    """Add a run of characters without a space, or the space between two."""
    if chunk.isspace():
        pattern.punctuation(" ")
        return
    tail = len(chunk.rstrip(_STOPS))
    if (scheme := _SCHEME.search(chunk)) is not None:
        _add_variable(pattern, chunk, scheme.start(), tail)
    elif _is_rooted(chunk.lstrip(_BRACKETS)):
        _add_variable(pattern, chunk, len(chunk) - len(chunk.lstrip(_BRACKETS)), tail)
    else:
        for part in _PARTS.findall(chunk):
            body = part.rstrip(_STOPS)
            if _is_path(body) or _is_address(body) or _NUMBER.fullmatch(body):
                _add_variable(pattern, part, 0, len(body))
            else:
                _add_words(pattern, part)


def _add_variable(pattern: _Pattern, chunk: str, start: int, stop: int) -> None:
    _add_words(pattern, chunk[:start])
    pattern.variable()
    _add_words(pattern, chunk[max(start, stop) :])


def _is_address(part: str) -> bool:
    return 0 < part.find("@") < len(part) - 1


def _is_path(part: str) -> bool:
    return _is_rooted(part) or part.count("/") > 1 or part.count("\\") > 1


def _is_rooted(part: str) -> bool:
    rooted = part.startswith(("/", "./", "../", "~/")) or _DRIVE.match(part) is not None
    return rooted and len(part) > 1


def _add_words(pattern: _Pattern, part: str) -> None:
    for index, piece in enumerate(_UUID.split(part)):
        if index:
            pattern.variable()
        for word in _PIECES.findall(piece):
            _add_word(pattern, word)


def _add_word(pattern: _Pattern, word: str) -> None:
    if not word[0].isalnum():
        stars = word.split(VARIABLE)
        for index, text in enumerate(stars):
            if index:
                pattern.variable()
            if text:
                pattern.punctuation(text)
    elif not any(map(str.isdigit, word)):
        pattern.word(word)
    else:
        named = _NAMED.fullmatch(word)
        if named is not None and _is_name(named[1], len(word)):
            pattern.word(named[1])
        pattern.variable()


def _is_name(letters: str, length: int) -> bool:
    """Whether letters before a number are a name, as in `worker7`; not those of a hash or an id."""
    if len(letters) < _NAME_CHARS_MIN or not (letters.islower() or letters.isupper()):
        return len(letters) >= _NAME_CHARS_MIN and letters.istitle()
    is_hash = length >= _HASH_CHARS_MIN and len(letters) > _NAME_CHARS_MIN
    return not (is_hash and _HEX.fullmatch(letters))
