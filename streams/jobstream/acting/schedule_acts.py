"""Acts on schedules: run, pause, resume. The scheduler acts on each within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.acting.act_record import audited

if TYPE_CHECKING:
    from jobstream.acting.act_record import ActedBy
    from jobstream.answers.app_site import Site


def run_schedule(site: Site, by: ActedBy, name: str) -> str:
    """Fire a schedule once, now; returns a number. Raises ConfigError for an unknown one."""
    with audited(by, "run schedule", name) as more:
        order_id = site.app.schedules.run(name, why=by.why, who=by.who)
        more["order"] = order_id
    site.kept.forget("schedules")
    return order_id


def pause_schedule(site: Site, by: ActedBy, name: str, for_: str | None) -> None:
    """Let a schedule fire no more, until it is resumed or for that long."""
    with audited(by, "pause schedule", name):
        site.app.schedules.pause(name, why=by.why, for_=for_, who=by.who)
    site.kept.forget("schedules")


def resume_schedule(site: Site, by: ActedBy, name: str) -> None:
    """End the pause of a schedule; harmless if there is none."""
    with audited(by, "resume schedule", name):
        site.app.schedules.resume(name)
    site.kept.forget("schedules")
