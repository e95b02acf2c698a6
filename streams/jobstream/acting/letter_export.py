"""Open dead letters as lines of JSON, byte for byte, for `jobstream dlq import`."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from jobstream.acting.act_record import audited
from jobstream.acting.letter_acts import meant_letters
from jobstream.operate.letter_file import SPOOL_BYTES, lines_of

if TYPE_CHECKING:
    from jobstream.acting.act_record import ActedBy
    from jobstream.acting.letter_acts import LettersMeant
    from jobstream.answers.app_site import Site

    Spool = tempfile.SpooledTemporaryFile[bytes]


def export_letters(site: Site, by: ActedBy, meant: LettersMeant) -> Spool:
    """A file with a line for each, at its start; the caller closes it.

    **Secrets are in it.** Blocks while they are read. It is in memory up to 16 MiB, beyond that on
    disk without a name.
    """
    found, _ = meant_letters(site, meant)
    made: Spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - handed out
    try:
        with audited(by, "export", f"{len(found)} dead letters") as more:
            with site.readers.one() as view:
                count = 0
                for line in lines_of(view, found):
                    made.write(line.encode() + b"\n")
                    count += 1
            more["letters"] = count
        made.seek(0)
    except BaseException:
        made.close()
        raise
    return made
