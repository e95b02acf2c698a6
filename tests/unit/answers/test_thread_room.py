"""Room for calls that block: its places, and who has one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobstream.answers.errors import TooBusy
from jobstream.answers.thread_room import ThreadRoom

LIMIT_S = 60


def test_a_place_is_taken_until_its_thread_ends_whoever_gave_up_waiting() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def block() -> str:
        begun.set()
        go_on.wait(LIMIT_S)
        return "done"

    async def ask() -> str:
        room = ThreadRoom("jobstream-web", 1, 0.05)
        asked = asyncio.ensure_future(room.ask(block))
        await asyncio.to_thread(begun.wait, LIMIT_S)
        asked.cancel()
        await asyncio.wait([asked])
        with pytest.raises(TooBusy, match="1 questions are under way"):
            await room.ask(str)
        go_on.set()
        patient = ThreadRoom("jobstream-web", 1, LIMIT_S)
        return await patient.ask(block)

    assert asyncio.run(ask()) == "done"
