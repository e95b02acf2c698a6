"""Whether what a filter names exists: a slip of the pen must not pass for an empty answer. Pure."""

from __future__ import annotations

import builtins
from collections import Counter
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from jobstream.operate.errors import NotThere
from jobstream.operate.ids import PREFIX_CHARS_MIN, begins_with, is_prefix, only_one
from jobstream.operate.letter_count import REASONS
from jobstream.operate.near_names import close_first, listed
from jobstream_processors.core.fingerprint import is_fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from jobstream.operate.filters import LetterFilter
    from jobstream.operate.open_letters import Letter

LISTED_MAX = 20
"""Names that a message lists."""
IDS_COMPARED_MAX = 10_000
_ERRORS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


def is_pattern(text: str) -> bool:
    """Whether the text stands for others than itself."""
    return any(sign in text for sign in "*?[")


def unknown_type(app: str, given: str, there: Iterable[str]) -> NotThere:
    """The error that lists the job types of the app, since it has none of that name."""
    shown = listed(close_first(given, there), LISTED_MAX) or "none"
    return NotThere(f"app {app!r} has no job type {given!r}; it has: {shown}")


def require_known(
    wanted: LetterFilter, letters: Sequence[Letter], job_types: Collection[str]
) -> None:
    """Raise NotThere, listing the known ones, for an unknown reason, type or error.

    A reason is known if jobstream gives it, a type if the app has it, an error if it is Python's
    own, and all of them if an open letter has them. A pattern must match a known reason or type;
    one of errors may match nothing, since the errors to come are not known.
    """
    if wanted.reason is not None:
        _require("reason", wanted.reason, [letter.carried.reason for letter in letters], REASONS)
    for job_type in wanted.job_types:
        _require("job type", job_type, [letter.job_type for letter in letters], job_types)
    if wanted.error is not None and not is_pattern(wanted.error):
        errors = [letter.carried.error for letter in letters]
        short = {name.rpartition(".")[2] for name in errors}
        if wanted.error not in short | _ERRORS:
            _require("error", wanted.error, errors, ())


def _require(what: str, given: str, found: Iterable[str], known: Collection[str]) -> None:
    there = Counter(name for name in found if name)
    names = there.keys() | set(known)
    if any(fnmatchcase(name, given) for name in names):
        return
    near = get_close_matches(given, sorted(names))
    rest = [name for name, _ in there.most_common()] if there else sorted(names)
    counted = [f"{name} ({there[name]})" for name in dict.fromkeys((*near, *rest))]
    shown = listed(counted, LISTED_MAX)
    known = f"known, with their open letters: {shown}" if shown else "there are none"
    message = f"no {what} {given!r}; {known}"
    raise NotThere(message)


def whole_ids(wanted: LetterFilter, letters: Sequence[Letter]) -> LetterFilter:
    """The filter with each id in full, in the same order; patterns stay.

    Raises NotThere for one without an open letter, and for the beginning of several.
    """
    there = {letter.id for letter in letters}
    return replace(wanted, ids=tuple(_whole_id(given, there) for given in wanted.ids))


def whole_fingerprints(wanted: LetterFilter, letters: Sequence[Letter]) -> LetterFilter:
    """The filter with each fingerprint in full.

    A whole one need not have a letter: its last may have just been closed. Raises NotThere for the
    beginning of none or of several.
    """
    given = wanted.fingerprints
    if all(is_fingerprint(each.encode("utf-8", "replace")) for each in given):
        return wanted
    there = {letter.fingerprint for letter in letters}
    return replace(wanted, fingerprints=tuple(whole_fingerprint(each, there) for each in given))


def whole_fingerprint(given: str, there: Collection[str]) -> str:
    """The fingerprint that begins so, among those there are; raises NotThere for none or several.

    A whole one is given back even if it is not there.
    """
    if is_fingerprint(given.encode("utf-8", "replace")):
        return given
    begun = sorted(each for each in there if each.startswith(given))
    if len(given) < PREFIX_CHARS_MIN or not begun:
        message = (
            f"no cause {given!r} among {len(there)}; give the first {PREFIX_CHARS_MIN} characters "
            "of a fingerprint, or all, as in: jobstream dlq groups MODULE:APP"
        )
        raise NotThere(message)
    if len(begun) > 1:
        shown = listed(begun, LISTED_MAX)
        message = f"{len(begun)} causes begin with {given!r}: {shown}; give more characters"
        raise NotThere(message)
    return begun[0]


def _whole_id(given: str, there: Collection[str]) -> str:
    if given in there or is_pattern(given):
        return given
    if is_prefix(given) and (begun := [each for each in there if begins_with(each, given)]):
        return only_one(given, begun)
    near = get_close_matches(given, sorted(there)[:IDS_COMPARED_MAX], cutoff=0.9)
    meant = f"did you mean {', '.join(near)}? If not, see" if near else "see"
    message = (
        f"no open letter of job {given!r} among {len(there)} jobs; {meant} its timeline: "
        f"jobstream job show MODULE:APP {given}"
    )
    raise NotThere(message)
