"""A dead job corrected by its own class: checked as at an enqueue, with its keys made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.composing import When
from jobstream.operate.correction import fields_of, require_fields
from jobstream.operate.errors import CannotFix
from jobstream_processors.core.identity import from_letter
from jobstream_schemas import JsonMisfit
from jobstream_schemas.shapes.declared import record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.enqueue.client import Client
    from jobstream.job import Job
    from jobstream.operate.fix import Changes
    from jobstream_schemas import Decoded

HIDDEN = "values are left out: some fields are secret"


class ByClass:
    """Corrects jobs of the types of one app."""

    def __init__(
        self, jobs: Callable[[], Mapping[str, Job[Any, Any]]], client: Callable[[], Client]
    ) -> None:
        """`jobs` by every name they answer to."""
        self._jobs = jobs
        self._client = client

    def __call__(
        self, old: Decoded, redrive: int, job_type: str, args: object, changes: Changes
    ) -> str | None:
        """Enqueue the corrected job and block until it is acknowledged; None for a foreign type.

        Raises CannotFix for values that the class refuses, and what an enqueue raises.
        """
        job = self._jobs().get(job_type)
        if job is None:
            return None
        codec, kind = job.codec, job.kind
        new = changes.of(codec.schema.schema)
        require_fields(new, fields_of(codec.schema.schema), job_type)
        assert isinstance(args, dict), "args are a record"  # noqa: S101
        has_secrets = codec.secrets is not None or bool(codec.reader.secret)
        try:
            made = record_of(codec.cls).from_json({**args, **new}, codec.cls.__name__)
        except JsonMisfit as misfit:
            told = HIDDEN if has_secrets else str(misfit)
            message = f"{job_type}: the corrected args do not fit its class: {told}"
            raise CannotFix(message) from (None if has_secrets else misfit)
        key = old.order_key if kind.keys is None else None
        lasts = None if old.expires_in_ms is None else timedelta(milliseconds=old.expires_in_ms)
        when = When(key=key, expires_in=lasts, correlation_id=old.correlation_id or old.id)
        job_id = from_letter(old.id, redrive)
        return self._client().enqueue(kind, made, when, job_id, old.id).job_id
