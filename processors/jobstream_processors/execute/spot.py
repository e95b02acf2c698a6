"""Where a run failed, as text: the frame of the user's code, and the traceback within a bound.

Nothing of an exception is kept alive, and no local variable is looked at. A frame looks the same
each time it fails, so its text is made once: in a storm of failures nothing is formatted anew.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from textwrap import indent
from traceback import FrameSummary, StackSummary, TracebackException
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING

from jobstream_processors.core.headers import TRACEBACK_BYTES_MAX
from jobstream_processors.core.outcome import Spot

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES_STEPS = (32, 16, 8, 4, 2, 1)
"""How many frames of each exception are shown, the first number with which the text fits: each
exception of the chain loses its outer frames first."""
CHAIN_MAX = 8
"""Exceptions of a chain that are shown: the first causes and the last ones."""
GROUP_MAX = 15
DEPTH_MAX = 4
"""Groups within groups."""
CLEANED_MAX = 100_000
"""Characters of a text that are looked at; it is cut to far less afterwards."""
PIECE_MAX = 1_000
"""Characters of one frame or one message."""
REPEATS_MAX = 3
TEXTS_KEPT = 4_096
"""Frames whose text is remembered."""

HEAD = "Traceback (most recent call last):\n"
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
OURS = frozenset({"jobstream", "jobstream_processors", "jobstream_schemas"})
BETWEEN = ("jobstream_processors.execute.", "importlib")
"""Modules that lead to user code, or into it, as a cancellation comes; their frames say nothing."""
_CHILD = "/jobstream_processors/execute/child.py"
_PACKAGES = ("/site-packages/", "/dist-packages/")
_LEFT_OUT = b"[... left out ...]\n"

Call = tuple[CodeType, int, int, str]
"""One frame: its code, the instruction, the line, and the name of its module."""


def spot_of(error: BaseException, clean: Callable[[str], str]) -> Spot:
    """Where `error` was raised; every text goes through `clean` before it is cut."""
    told = TracebackException(
        type(error), error, None, limit=0, lookup_lines=False, compact=True
    )  # The chain and its messages; the frames come from the exceptions themselves.
    blocks = [*_chain(told, error, 0, clean)]
    return Spot(clean(frame_of(error)), _within_bound(blocks))


def spot_of_run(innermost: FrameType, entry: CodeType, clean: Callable[[str], str]) -> Spot:
    """Where a handler is now that runs on another thread, which called it from `entry`."""
    calls: list[Call] = []
    frame: FrameType | None = innermost
    while frame is not None and frame.f_code is not entry:
        calls.append(_call(frame, frame.f_lasti, frame.f_lineno))
        frame = frame.f_back
    calls.reverse()
    block = _Block("", "Stack (most recent call last):\n", _texts(calls, clean))
    return Spot(clean(_frame_in(calls)), _within_bound([block]))


def frame_of(error: BaseException) -> str:
    """The last frame of the user's code, of a group that of its first exception; "" if none.

    Of a module that is no Python, it is the line that can't be read.
    """
    while isinstance(error, BaseExceptionGroup):
        inner: BaseException = error.exceptions[0]
        if inner.__traceback__ is None:
            break
        error = inner
    found = _frame_in(_calls(error.__traceback__))
    if not found and isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename.rpartition('/')[2]}:{error.lineno or 0}"
    return found


def line_of(error: BaseException) -> tuple[str, int] | None:
    """File and line of the last frame of the user's code; None if there is none."""
    chosen = _chosen(_calls(error.__traceback__))
    return None if chosen is None or _is_ours(chosen) else (chosen[0].co_filename, chosen[2])


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of the text: what stands around the frames stays when they are cut."""

    margin: str
    opening: str
    frames: Sequence[str] = ()
    closing: str = ""

    def text(self, most: int) -> str:
        hidden = len(self.frames) - most
        note = f"  [{hidden} outer frames left out]\n" if hidden > 0 else ""
        text = "".join((self.opening, note, *self.frames[-most:], self.closing))
        return indent(text, self.margin, lambda _: True) if self.margin else text


def _chain(
    told: TracebackException, error: BaseException, depth: int, clean: Callable[[str], str]
) -> Iterator[_Block]:
    """The blocks of an exception and of what led to it, the first cause first, as Python does."""
    links = [(told, error, "")]
    while True:
        after, raised, _ = links[-1]
        if after.__cause__ is not None and raised.__cause__ is not None:
            links.append((after.__cause__, raised.__cause__, CAUSE))
        elif after.__context__ is not None and raised.__context__ is not None:
            links.append((after.__context__, raised.__context__, CONTEXT))
        else:
            break
    if len(links) > CHAIN_MAX:
        del links[CHAIN_MAX // 2 : -CHAIN_MAX // 2]
    for each, raised, link in reversed(links):
        yield from _one(each, raised, depth, clean)
        if link:
            yield _Block(_margin(depth), link)


def _one(
    told: TracebackException, error: BaseException, depth: int, clean: Callable[[str], str]
) -> Iterator[_Block]:
    """The blocks of one exception, and of those within it if it is a group."""
    frames = _texts(_calls(error.__traceback__), clean)
    said = "".join(_piece(line, clean) for line in told.format_exception_only())
    if not isinstance(error, BaseExceptionGroup) or told.exceptions is None:
        yield _Block(_margin(depth), HEAD if frames else "", frames, said)
        return
    top, depth = not depth, max(depth, 1)
    if frames:
        yield _Block("  + " if top else _margin(depth), f"Exception Group {HEAD}")
    yield _Block(_margin(depth), "", frames, said)
    room = "  " * depth
    inside = list(zip(told.exceptions, error.exceptions, strict=False))
    shown = inside[: GROUP_MAX if depth < DEPTH_MAX else 0]
    for number, (within, each) in enumerate(shown):
        branch = "+-" if not number else "  "
        yield _Block(room, f"{branch}+---------------- {number + 1} ----------------\n")
        yield from _chain(within, each, depth + 1, clean)
    more = f" and {len(inside) - len(shown)} more" if len(inside) > len(shown) else ""
    if more or not isinstance(inside[-1][1], BaseExceptionGroup):
        yield _Block(room, f"  +------------------------------------{more}\n")


def _margin(depth: int) -> str:
    return f"{'  ' * depth}| " if depth else ""


def _within_bound(blocks: Sequence[_Block]) -> str:
    """The text of the blocks with as many inner frames as fit."""
    raw = b""
    for most in FRAMES_STEPS:
        text = "".join(block.text(most) for block in blocks)
        raw = text.encode("utf-8", "backslashreplace")
        if len(raw) <= TRACEBACK_BYTES_MAX:
            return raw.decode()
    # Messages alone are too long: keep how it began and how it ended.
    head = raw[: TRACEBACK_BYTES_MAX // 4]
    tail = raw[len(head) + len(_LEFT_OUT) - TRACEBACK_BYTES_MAX :]
    kept = head[: head.rfind(b"\n") + 1] + _LEFT_OUT + tail[tail.find(b"\n") + 1 :]
    return kept.decode("utf-8", "ignore")


def _calls(trace: TracebackType | None) -> list[Call]:
    """The frames of a traceback, the outermost first, without ours around the handler."""
    found: list[Call] = []
    while trace is not None:
        call = _call(trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
        if not call[3].startswith(BETWEEN) and not call[0].co_filename.endswith(_CHILD):
            found.append(call)
        trace = trace.tb_next
    first = next((at for at, call in enumerate(found) if not _is_ours(call)), 0)
    return found[first:]


def _call(frame: FrameType, lasti: int, line: int | None) -> Call:
    code, module = frame.f_code, frame.f_globals.get("__name__")
    return code, lasti, line or code.co_firstlineno, module if isinstance(module, str) else ""


def _texts(calls: Sequence[Call], clean: Callable[[str], str]) -> list[str]:
    """What each frame looks like; a line that calls itself again and again only a few times."""
    texts: list[str] = []
    for _, alike in groupby(calls, key=lambda call: (call[0], call[2])):
        same = list(alike)
        shown = [_piece(_text(*call[:3]), clean) for call in same[:REPEATS_MAX]]
        if len(same) > REPEATS_MAX:
            times = len(same) - REPEATS_MAX
            shown[-1] += f"  [Previous line repeated {times} more time{'s' * (times > 1)}]\n"
        texts += shown
    return texts


def _piece(text: str, clean: Callable[[str], str]) -> str:
    # Cleaned before it is cut, or half of a secret could stay.
    text = clean(text[:CLEANED_MAX])
    return text if len(text) <= PIECE_MAX else f"{text[:PIECE_MAX]}…\n"


@lru_cache(TEXTS_KEPT)
def _text(code: CodeType, lasti: int, line: int) -> str:
    """One frame as Python prints it, with its line of source where that can be had."""
    nothing = (None, None, None, None)
    at, end, column, end_column = next(
        islice(code.co_positions(), max(lasti, 0) // 2, None), nothing
    )
    frame = FrameSummary(
        code.co_filename,
        line,
        code.co_name,
        end_lineno=end if at == line else None,
        colno=column if at == line else None,
        end_colno=end_column if at == line else None,
    )
    return "".join(StackSummary.from_list([frame]).format())


def _frame_in(calls: Sequence[Call]) -> str:
    """`file:line in function`, the file from the folder on that it is imported from."""
    chosen = _chosen(calls)
    if chosen is None:
        return ""
    code, _, line, module = chosen
    parts = code.co_filename.replace("\\", "/").split("/")
    depth = module.count(".") + 1 + (parts[-1] == "__init__.py")
    return f"{'/'.join(parts[-depth:])}:{line} in {code.co_name}"


def _chosen(calls: Sequence[Call]) -> Call | None:
    """The last call of the user's project; where all of it is installed, of the handler's."""
    chosen = next((call for call in reversed(calls) if _is_project(call)), None)
    if chosen is None:
        # The outermost that is no library of Python's is the handler: its package is the project.
        first = next((call for call in calls if not _is_ours(call) and _package(call)), None)
        if first is None:
            return calls[-1] if calls else None
        chosen = next(call for call in reversed(calls) if _package(call) == _package(first))
    return chosen


def _is_ours(call: Call) -> bool:
    return call[3].partition(".")[0] in OURS


def _is_project(call: Call) -> bool:
    name = call[0].co_filename
    is_file = not name.startswith("<")
    return is_file and not (_is_ours(call) or _package(call) or name.startswith(_standard()))


def _package(call: Call) -> str:
    """The installed package that a call is in, "" if it is in none."""
    for folder in _PACKAGES:
        _, found, rest = call[0].co_filename.partition(folder)
        if found:
            return rest.partition("/")[0]
    return ""


@lru_cache(1)
def _standard() -> tuple[str, ...]:
    return tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})
