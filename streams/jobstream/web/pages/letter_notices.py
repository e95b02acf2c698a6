"""What a page says of a trial, and of a corrected job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.operate.fix import Fixed
from jobstream.operate.trial import AGAIN, DONE, ENDED, FAILED, RETRYING, Trial
from jobstream.web.pages.notices import Notice

if TYPE_CHECKING:
    from jobstream.web.pages.page_paths import Places

ERROR_CHARS_MAX = 200


def notice_of(answer: object) -> Notice | None:
    """What is said of that answer; None for one that says nothing of its own."""
    if isinstance(answer, Trial):
        return _of_trial(answer)
    if isinstance(answer, Fixed):
        still = f" But {answer.closed}: give the same values once more." if answer.closed else ""
        text = f"This job takes the place of {answer.fixes}.{still}"
        return Notice(text, is_wrong=bool(answer.closed))
    return None


def place_after(places: Places, answer: object) -> str:
    """Where the browser is led after that act; empty for where it came from."""
    return places.to("jobs", answer.job_id) if isinstance(answer, Fixed) else ""


def _of_trial(found: Trial) -> Notice:
    job, why = f"Job {found.job_id}", found.detail[:ERROR_CHARS_MAX]
    within = f"within {found.waited_s:.0f} s"
    if found.outcome == DONE:
        return Notice(f"{job} is done {why}: the rest of the cause can be redriven.")
    if found.outcome == AGAIN and found.same_cause:
        text = f"{job} died again of the same cause: {why}. The rest is not redriven until a trial "
        return Notice(f"{text}goes well, or you force it.", is_wrong=True)
    if found.outcome == AGAIN:
        return Notice(f"{job} died again, of another cause: {why}.", is_wrong=True)
    if found.outcome == ENDED:
        return Notice(f"{job} ended, and not by being done: {why}.", is_wrong=True)
    if found.outcome == FAILED:
        return Notice(f"{job} was not redriven: {why}. Its letter is open.", is_wrong=True)
    if found.outcome == RETRYING:
        return Notice(f"{job} did not end {within}: {why}. Its page shows how it goes on.")
    return Notice(f"{job} is on its queue, and no worker settled it {within}.", is_wrong=True)
