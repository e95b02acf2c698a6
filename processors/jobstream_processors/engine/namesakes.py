"""Names records that have no id to trust, and tells jobs apart that came under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core import identity
from jobstream_processors.core.unique_mode import is_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.core.known import Known
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.job_types import JobSpec
    from jobstream_schemas import Catalogue


def unreadable(delivery: Delivery, reason: str, error: Exception) -> None:
    """Note why it can't be read; it is called by where it stands."""
    delivery.trouble = (reason, str(error))
    delivery.id = origin_id(delivery)


def origin_id(delivery: Delivery) -> str:
    """The name of a record without a trusted id: where it first stood."""
    if delivery.carried.origin:
        return f"@{delivery.carried.origin}"
    return identity.from_origin(*delivery.origin)


class Namesakes:
    """Compares a delivery with what the table knows under its id."""

    def __init__(self, specs: Mapping[str, JobSpec], catalogue: Catalogue) -> None:
        self._specs = specs
        self._catalogue = catalogue

    def distinct(self, delivery: Delivery, found: Known | None) -> Known | None:
        """What is known of the delivery under a name that no other record has taken."""
        names = [origin_id(delivery), identity.from_origin(*delivery.origin)]
        while found is not None and names and self._conflicts(delivery, found):
            if delivery.trouble is None:
                delivery.trouble = ("id_conflict", f"id {delivery.id} is another job's")
            # An origin is only a header: a stranger may name one that is taken.
            delivery.id = names.pop(0)
            (found,) = delivery.lane.shard.get([delivery.id])
        return found

    def _conflicts(self, delivery: Delivery, found: Known) -> bool:
        """Whether a row of this id tells of another job: other args bytes, or another type."""
        fingerprint, digest = found.identity
        meta = delivery.meta
        if meta is not None and meta.unique_key is not None and is_within(meta.unique_key):
            return False  # The first of its key wins, whatever the args of others say.
        reader = delivery.reader
        if reader is None or not fingerprint:
            return reader is None and digest != delivery.identity()[1]
        if fingerprint == reader.fingerprint:
            return digest != delivery.identity()[1]
        other = self._catalogue.get(fingerprint)
        return other is not None and not self._is_one_type(other.job_type, reader.job_type)

    def _is_one_type(self, name: str, other: str) -> bool:
        """Whether both name one job type, which may have been renamed."""
        return name == other or (
            (spec := self._specs.get(name)) is not None and spec is self._specs.get(other)
        )
