"""The socket that is served."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from jobstream.errors import ConfigError
from jobstream.web.listening import listen


def test_the_event_loop_sends_answers_on_it_at_once() -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP, "asyncio sets TCP_NODELAY on no other"


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        listener.listen()
        port = listener.getsockname()[1]

        with pytest.raises(ConfigError, match=f"{port}.*--port"):
            listen("127.0.0.1", port)
