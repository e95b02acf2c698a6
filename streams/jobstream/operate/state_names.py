"""The states a job may be in: one list for the command, the API, the pages and the views.

No client of Kafka is loaded here, since the command line lists them in its help.
"""

from __future__ import annotations

from jobstream_processors.core.known import CANCELLED, DEAD, DONE, DUPLICATE, EXPIRED

RUNNING = "running"
WAITING = "waiting"
DELAYED = "delayed"
RETRYING = "retrying"
ENDS = (DEAD, DONE, CANCELLED, EXPIRED, DUPLICATE)
STATES = (RUNNING, WAITING, DELAYED, RETRYING, *ENDS)
ENDED = frozenset(ENDS)
