"""A dead job as a form that corrects it: its fields by its type's schema, with their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.errors import NoSuch
from jobstream.answers.fix_fields import FixField, fix_fields
from jobstream.answers.letters_screen import LetterRow, all_letters, letter_row
from jobstream.operate.errors import CannotFix
from jobstream.operate.job_events import unmasked_args
from jobstream.operate.open_letters import Original, with_originals
from jobstream_schemas import DecodeError, masked

if TYPE_CHECKING:
    from jobstream.answers.app_site import Site
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.view import AppView


@dataclass(frozen=True, slots=True)
class FixForm:
    """What may be corrected of one dead job."""

    letter: LetterRow
    fields: tuple[FixField, ...]
    by_class: bool
    """The type's own class checks the values; else its schema does."""


def fix_form(site: Site, job_id: str, queue: str | None = None) -> FixForm:
    """The form of the job's newest open letter; blocks while the letter is read.

    Raises NoSuch where it has none, CannotFix for one whose bytes can't be read.
    """
    found = [
        each
        for each in all_letters(site).value.letters
        if each.id == job_id and queue in {None, each.queue}
    ]
    if not found:
        message = f"no open letter of job {job_id!r:.100}: it was closed, or never died"
        raise NoSuch(message)
    letter = max(found, key=lambda each: each.redrive)
    with site.readers.one() as view:
        return _form(site, view, letter)


def _form(site: Site, view: AppView, letter: Letter) -> FixForm:
    if letter.trouble:
        message = f"letter {letter.id} is no job that can be corrected: {letter.trouble}"
        raise CannotFix(message)
    ((_, original),) = with_originals(view, [letter])
    if not isinstance(original, Original):
        raise NoSuch(str(original))
    try:
        reader, _ = view.catalogue.read(original.value)
        args = unmasked_args(reader, original.value)
    except DecodeError as error:
        message = f"job {letter.id} can't be read, so not corrected: {error}"
        raise CannotFix(message) from error
    job = site.app.jobs_by_name.get(reader.job_type) if site.has_code else None
    secret = reader.secret | (job.codec.reader.secret if job is not None else frozenset())
    hidden = masked(reader.schema, args, secret)
    schema = job.codec.schema.schema if job is not None else reader.schema
    return FixForm(letter_row(letter), fix_fields(schema, args, hidden), job is not None)
