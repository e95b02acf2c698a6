"""Errors of those who ask for an answer.

AnswerError
├── SourceAway   the source does not answer, and nothing is known from before: ask again later
├── TooBusy      as many readings of the log go on as may: ask again in a moment
├── NotFromViews the database of `jobstream views` does not serve: the log is asked, nobody hears it
└── NoSuch       the app has no job, queue, letter or schedule of that name: look at the name

None of them concerns a running job.
"""

from __future__ import annotations

from jobstream.errors import JobstreamError


class AnswerError(JobstreamError):
    """Base of every error raised by `jobstream.answers`."""


class SourceAway(AnswerError):
    """No broker, or no database, answers, and nothing is known from before."""

    retry_after: float = 2.0
    """Seconds until it is worth to ask again."""


class TooBusy(AnswerError):
    """Other readings of the log are under way; the same question is soon answered."""

    retry_after: float = 1.0
    """Seconds until it is worth to ask again."""


class NoSuch(AnswerError):
    """What was asked for is not there; the message says what is."""


class NotFromViews(AnswerError):
    """The database of the read side is not there, does not answer, or is behind: ask the log."""

    def __init__(self, message: str, *, expected: bool) -> None:
        """`expected`: there is a database, or one was named."""
        super().__init__(message)
        self.expected = expected

    @property
    def why(self) -> str:
        """What an answer says of it: nothing where there never was a database."""
        return str(self) if self.expected else ""
