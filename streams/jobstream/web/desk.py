"""What the routes of one application share: the app, the tokens, the bounds; handed to each."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream.acting.operations import Operations
from jobstream.answers.thread_room import ThreadRoom
from jobstream.errors import ConfigError
from jobstream.web.change_feed import ChangeFeed
from jobstream.web.page_sessions import Sessions
from jobstream.web.rate import RequestRate
from jobstream.web.request_meter import WebMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.answers.app_site import Site
    from jobstream.web.callers import Caller
    from jobstream.web.oidc import Oidc
    from jobstream.web.tokens import TokenFile
    from jobstream.web.web_options import WebOptions

T = TypeVar("T")


class Desk:
    """One application's. Used on its event loop; `ask` moves what blocks to a thread."""

    def __init__(self, site: Site, tokens: TokenFile, options: WebOptions) -> None:
        self.site = site
        self.tokens = tokens
        self.options = options
        self.rate = RequestRate(options.rate_per_s, options.rate_burst)
        self.closing = asyncio.Event()
        """Set when the server is to stop: what waits for long gives up."""
        self.operations = Operations()
        self._room = ThreadRoom("jobstream-web", options.threads_max, options.wait_s_max)
        self.feed = ChangeFeed(site, self.ask, self.closing, options.subscribers_max)
        self.meter = WebMeter()
        self.waiters = 0
        """Requests that wait for the end of a job."""
        self.oidc = _oidc_of(options)
        """The identity provider; None without one."""

    @property
    def is_open(self) -> bool:
        """Whether callers need no token: there is none, and the loopback alone is served."""
        is_open = self.options.open_to_loopback and self.oidc is None
        return is_open and not self.tokens.now().by_id

    @property
    def sessions(self) -> Sessions:
        """Those that the file's key signs; with no file, this process's own."""
        return Sessions(self.tokens.now().session_key or self.options.spare_key)

    def holder(self, token_id: str) -> Caller | None:
        """Who holds the token of that id now, or signed in so; None if it was revoked."""
        if token_id.startswith("oidc:"):
            return self.oidc.holder(token_id) if self.oidc is not None else None
        found = self.tokens.now().by_id.get(token_id)
        return found.caller() if found is not None else None

    async def ask(self, function: Callable[..., T], *given: Any) -> T:  # noqa: ANN401 - what it takes
        """Call what blocks on a thread of its own; raises TooBusy where too many do already."""
        return await self._room.ask(function, *given)

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def stop(self) -> None:
        """Let what waits for long give up, and operations end after what they do now."""
        self.closing.set()
        self.feed.end_all()
        self.operations.stop_all()

    def close(self) -> None:
        """Let go of what the site holds; blocks for some seconds at most."""
        self.operations.stop_all()
        self.site.close()


def _oidc_of(options: WebOptions) -> Oidc | None:
    if options.oidc is None:
        return None
    try:
        from jobstream.web.oidc import Oidc  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        message = f"a provider needs the extra: pip install 'jobstream[oidc]' ({error})"
        raise ConfigError(message) from error
    return Oidc(options.oidc)
