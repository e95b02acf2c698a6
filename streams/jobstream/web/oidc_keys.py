"""The provider's keys, kept for a while and fetched anew within bounds. Pure but for the clock.

Tokens that name a key which nobody knows may come at any rate: they lead to one fetch in half a
minute at most, however many there are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FRESH_S = 600.0
"""Keys of this age are fetched anew, so that a key that was withdrawn is soon not taken."""
USABLE_S = 86_400.0
"""Older ones are taken no more, if the provider has been away for so long."""
PAUSE_S = 30.0
"""Between two fetches at least."""
KEYS_MAX = 100
FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""How an algorithm's name begins → type of its keys."""


class KeyRing:
    """The keys by id. One thread, or one event loop, uses it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._fetched_s: float | None = None
        self._tried_s: float | None = None

    def wants_fetch(self, key_id: str | None) -> bool:
        """Whether to fetch for a token that names this key; a fetch is to be told at once."""
        now_s = self._monotonic()
        if self._tried_s is not None and now_s - self._tried_s < PAUSE_S:
            return False
        if self._fetched_s is None or now_s - self._fetched_s >= FRESH_S:
            return True
        return key_id is not None and key_id not in self._keys

    def knows(self, key_id: str | None) -> bool:
        """Whether a token that names this key can be judged."""
        return self.is_usable and (key_id is None or key_id in self._keys)

    def trying(self) -> None:
        """A fetch begins."""
        self._tried_s = self._monotonic()

    def take(self, document: Mapping[str, Any]) -> None:
        """These are the keys now; those that are of no use are left out."""
        found: dict[str, PyJWK] = {}
        given = document.get("keys")
        for each in (given if isinstance(given, list) else [])[:KEYS_MAX]:
            if not isinstance(each, dict) or each.get("use", "sig") != "sig":
                continue
            if each.get("kty") not in FAMILIES.values():
                continue
            try:
                made = PyJWK.from_dict(each)
            except (PyJWTError, ValueError, TypeError, KeyError):
                continue
            found[str(each.get("kid", ""))] = made
        self._keys, self._fetched_s = found, self._monotonic()

    @property
    def is_usable(self) -> bool:
        """Whether keys are known that are not too old."""
        age_s = None if self._fetched_s is None else self._monotonic() - self._fetched_s
        return age_s is not None and age_s < USABLE_S

    def key(self, key_id: str | None, algorithm: str) -> Any:  # noqa: ANN401 - the library's
        """The key for a token; None without one whose type, and algorithm if it says, fits.

        A token that names no key is checked by the only one there is.
        """
        if key_id is None:
            found = next(iter(self._keys.values())) if len(self._keys) == 1 else None
        else:
            found = self._keys.get(key_id)
        if found is None or found.key_type != FAMILIES.get(algorithm[:2]):
            return None
        told = found._jwk_data.get("alg")  # noqa: SLF001 - what the provider said, not a default
        return found.key if told in {None, algorithm} else None
