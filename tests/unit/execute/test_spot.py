"""Where a run failed: the user's frame, and a traceback within its bound whatever was raised."""

from __future__ import annotations

import json
import sys
import traceback
from functools import partial
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.headers import TRACEBACK_BYTES_MAX
from jobstream_processors.core.outcome import Dead, DeclaredDead
from jobstream_processors.execute.spot import CHAIN_MAX, GROUP_MAX, PIECE_MAX, spot_of
from jobstream_processors.execute.user_errors import as_is, read
from jobstream_processors.hidden import Hidden

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = "test_spot.py"


def caught(raises: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as found:  # noqa: PT011 - whatever it is
        raises()
    return found.value


def from_there(raises: Callable[[], object]) -> Exception:
    """What it raises, without the frames of this module that stand before it."""
    error = caught(raises)
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    return error


def told(raises: Callable[[], object]) -> str:
    return spot_of(caught(raises), as_is).traceback


def looks_up() -> None:
    orders: dict[str, str] = {}
    orders["no_such_key"]


def in_the_library() -> None:
    json.loads("{")


def chains() -> None:
    try:
        looks_up()
    except KeyError as error:
        raise OSError("away") from error  # noqa: EM101 - as user code does


def gives_up() -> None:
    try:
        looks_up()
    except KeyError as error:
        raise Dead("gone") from error  # noqa: EM101 - as user code does


def recurses(left: int) -> None:
    if not left:
        looks_up()
    recurses(left - 1)


def test_the_frame_is_the_users_last_not_the_librarys() -> None:
    frame = spot_of(caught(in_the_library), as_is).frame

    assert frame.rpartition(":")[0].endswith(HERE)
    assert frame.endswith(" in in_the_library")


def test_the_frame_names_the_file_from_where_it_is_imported() -> None:
    module = ModuleType("shop.mail.tasks")
    source = "def send():\n    return {}['nobody']\n"
    exec(compile(source, "/srv/app/shop/mail/tasks.py", "exec"), vars(module))  # noqa: S102 - it is user code

    assert spot_of(caught(module.send), as_is).frame == "shop/mail/tasks.py:2 in send"


def test_the_frame_of_an_installed_project_is_in_the_package_of_the_handler() -> None:
    def module(name: str, source: str, **known: object) -> ModuleType:
        made = ModuleType(name)
        path = f"/venv/lib/python3.11/site-packages/{name.replace('.', '/')}.py"
        vars(made).update(known)
        exec(compile(source, path, "exec"), vars(made))  # noqa: S102 - it is user code
        return made

    client = module("client.http", "def get():\n    raise OSError('away')\n")
    last = module("shop.sending", "def send():\n    get()\n", get=client.get)
    first = module("shop.tasks", "def run():\n    send()\n", send=last.send)

    assert spot_of(from_there(first.run), as_is).frame == "shop/sending.py:2 in send"


def test_frames_of_ours_before_the_handler_are_left_out() -> None:
    module = ModuleType("jobstream_processors.execute.here")
    exec(compile("def call(f):\n    f()\n", "here.py", "exec"), vars(module))  # noqa: S102 - stands for ours

    error = from_there(partial(module.call, looks_up))

    assert "here.py" in "".join(traceback.format_exception(error))
    assert "here.py" not in spot_of(error, as_is).traceback


@pytest.mark.parametrize("raises", [looks_up, in_the_library, chains])
def test_it_reads_as_python_prints_it(raises: Callable[[], None]) -> None:
    error = caught(raises)

    assert spot_of(error, as_is).traceback == "".join(traceback.format_exception(error))


def test_a_group_tells_each_error_and_has_the_frame_of_the_first() -> None:
    def fails() -> None:
        inner = ExceptionGroup("in", [ValueError("a\nb")])
        raise ExceptionGroup("several", [caught(chains), caught(in_the_library), inner])  # noqa: EM101 - as user code does

    error = caught(fails)
    spot = spot_of(error, as_is)

    assert spot.traceback == "".join(traceback.format_exception(error))
    assert spot.frame.endswith(" in chains")


def test_a_traceback_that_is_too_long_loses_its_outer_frames_first() -> None:
    source = "".join(f"def f{n}():\n    f{n + 1}()  # {'x' * 200}\n" for n in range(60))
    module = ModuleType("deep")
    exec(compile(f"{source}def f60():\n    looks_up()\n", "deep.py", "exec"), vars(module))  # noqa: S102 - user code
    vars(module)["looks_up"] = chains

    text = told(module.f0)

    assert len(text.encode()) <= TRACEBACK_BYTES_MAX
    assert "in f60" in text
    assert "in f0\n" not in text
    assert " outer frames left out]" in text
    assert text.index("KeyError: 'no_such_key'") < text.index("OSError: away")
    assert text.endswith("OSError: away\n")


def test_a_line_that_calls_itself_is_told_a_few_times() -> None:
    text = told(partial(recurses, 500))

    assert text.count("recurses(left - 1)") == 3
    assert "[Previous line repeated 497 more times]" in text


def test_a_long_message_cuts_no_frame() -> None:
    def fails() -> None:
        raise ValueError("é" * 100_000)

    text = told(fails)

    assert "in fails" in text
    assert len(text.encode()) <= TRACEBACK_BYTES_MAX


def test_messages_alone_that_are_too_long_keep_the_first_cause_and_the_end() -> None:
    def fails() -> None:
        error: Exception = OSError("the root")
        for number in range(200):
            after = ValueError(f"{number} {'é' * 900}")
            after.__cause__, error = error, after
        raise error

    text = told(fails)

    assert len(text.encode()) <= TRACEBACK_BYTES_MAX
    assert text.startswith("OSError: the root\n")
    assert text.count("ValueError") < CHAIN_MAX
    assert "[... left out ...]" in text
    assert "ValueError: 199" in text


def test_a_wide_and_a_deep_group_end() -> None:
    error: Exception = ValueError("core")
    for _ in range(50):
        error = ExceptionGroup("level", [error, *[ValueError("x")] * GROUP_MAX])

    text = spot_of(error, as_is).traceback

    assert len(text.encode()) <= TRACEBACK_BYTES_MAX
    assert "and 1 more" in text


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert spot_of(first, as_is).traceback.count("ValueError: a") == 1


def test_a_secret_over_lines_within_a_group_is_masked_before_its_margin_parts_it() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"
    error = ExceptionGroup("several", [ValueError(key)])

    text = spot_of(error, Hidden([key]).clean).traceback

    assert "ValueError: ***" in text
    assert "MIIEv" not in text


def test_a_secret_at_the_cut_of_a_message_leaves_no_half() -> None:
    key = "MIIEvQIBADANBg"
    error = ValueError("x" * (PIECE_MAX - len("ValueError: ") - 5) + key)

    assert key[:4] not in spot_of(error, Hidden([key]).clean).traceback


def test_surrogates_are_written_as_utf8_can_say_them() -> None:
    assert "\\udcff" in told(partial(open, "/no/such/\udcff"))


def test_no_local_variable_is_told() -> None:
    def fails() -> None:
        account = bytes(4).hex()
        raise ValueError(len(account))

    assert "00000000" not in told(fails)


def test_an_outcome_of_the_handler_has_its_place_and_what_it_was_raised_from() -> None:
    with pytest.raises(Dead) as caught_one:
        gives_up()
    outcome = read(caught_one.value)

    assert isinstance(outcome, DeclaredDead)
    assert outcome.spot.frame.endswith(" in gives_up")
    assert "KeyError: 'no_such_key'" in outcome.spot.traceback


def test_frames_are_formatted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = caught(chains)
    first = spot_of(error, as_is)

    def refuses(_: CodeType) -> object:
        raise AssertionError

    monkeypatch.setattr(sys.modules["linecache"], "getline", refuses)

    assert spot_of(error, as_is) == first
