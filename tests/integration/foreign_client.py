"""A record as clients in other languages can write it: header names that are no text.

Names are bytes on the wire. confluent-kafka takes them as text only, so this calls the C library
inside it. It knows no job and starts no broker.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from confluent_kafka import cimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

FLUSH_MS = 10_000
_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _HEADER = 1, 3, 4, 5, 7, 9
_COPY = 2
_PRODUCER = 0
_ERROR_BYTES = 512


class NotPut(Exception):
    """The record was not acknowledged."""


class _Bytes(ctypes.Structure):
    _fields_ = (("at", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("value", ctypes.c_char_p),
        ("size", ctypes.c_ssize_t),
    )


class _Told(ctypes.Union):
    _fields_ = (
        ("text", ctypes.c_char_p),
        ("number", ctypes.c_int32),
        ("bytes", _Bytes),
        ("header", _Header),
        ("room", ctypes.c_char * 64),
    )


class _Argument(ctypes.Structure):
    """rd_kafka_vu_t."""

    _fields_ = (("kind", ctypes.c_int), ("told", _Told))


_Reported = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)
"""A delivery report; a message begins with its error."""


def put_raw(
    servers: str,
    place: tuple[str, int],
    record: tuple[bytes, bytes],
    headers: Sequence[tuple[bytes, bytes]],
) -> None:
    """Append (key, value) to (topic, partition); blocks until acknowledged or raises NotPut."""
    reported: list[int] = []
    report = _Reported(lambda _client, message, _opaque: reported.append(message[0]))
    # The library is found through what is linked with it: its own file has a name of its build.
    library = ctypes.CDLL(cimpl.__file__)
    for made in (library.rd_kafka_conf_new, library.rd_kafka_new, library.rd_kafka_produceva):
        made.restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(
        conf, b"bootstrap.servers", servers.encode(), error, ctypes.c_size_t(_ERROR_BYTES)
    )
    library.rd_kafka_conf_set_dr_msg_cb(conf, report)
    client = ctypes.c_void_p(
        library.rd_kafka_new(_PRODUCER, conf, error, ctypes.c_size_t(_ERROR_BYTES))
    )
    if not client.value:
        raise NotPut(error.value.decode())
    topic, partition = place
    key, value = record
    given = [
        _Argument(_TOPIC, _Told(text=topic.encode())),
        _Argument(_PARTITION, _Told(number=partition)),
        _Argument(_VALUE, _Told(bytes=_Bytes(value, len(value)))),
        _Argument(_KEY, _Told(bytes=_Bytes(key, len(key)))),
        _Argument(_FLAGS, _Told(number=_COPY)),
        *(_Argument(_HEADER, _Told(header=_Header(n, v, len(v)))) for n, v in headers),
    ]
    arguments = (_Argument * len(given))(*given)
    try:
        if library.rd_kafka_produceva(client, arguments, ctypes.c_size_t(len(given))):
            raise NotPut(topic)
        library.rd_kafka_flush(client, FLUSH_MS)
    finally:
        library.rd_kafka_destroy(client)
    if reported != [0]:
        message = f"{topic}: {reported}"
        raise NotPut(message)
