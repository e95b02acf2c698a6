"""The App of the project, with a job of its own beside the tasks."""

from dataclasses import dataclass

from jobstream import App

app = App("site", size="small", enqueue_timeout="2s")


@dataclass(frozen=True)
class Note:
    """What is noted."""

    text: str


@app.job
def note(_: Note) -> None:
    """Note it nowhere."""
