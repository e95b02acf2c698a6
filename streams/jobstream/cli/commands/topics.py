"""`jobstream topics`: what the topics of an app must be like, and making them so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.hints import typed
from jobstream.cli.options import json_option, sink_of
from jobstream.cli.output import print_json, print_table, progress, say
from jobstream.cli.topics_table import GOOD, queue_lines, statuses, topic_lines
from jobstream.errors import ConfigError
from jobstream.exits import DIFFERS, OK, UNSAFE

if TYPE_CHECKING:
    from jobstream.app import App
    from jobstream.cli.app_name import AppName
    from jobstream.kafka.client.admin import Admin
    from jobstream.topics.plan import Plan
    from jobstream.topics.specs import TopicSpec


@click.group(cls=AppGroup)
def command() -> None:
    """Create and check the topics of MODULE:APP. These commands never delete a topic."""


@command.command("plan")
@click.option("--all", "each_topic", is_flag=True,
              help="Show a line for each topic, not for each queue.")  # fmt: skip
@json_option
def plan_command(app: AppName, *, each_topic: bool, as_json: bool) -> int:
    """Show the topics of each queue, and how they differ from those that the app declares.

    The exit code is 0 if nothing is to be done, 2 if `apply` would change something, and 3 if
    something is unsafe and must be mended by hand.
    """
    from jobstream.topics.by_queue import by_queue, counted  # noqa: PLC0415 - with the command only

    loaded, admin = _connect(app)
    planned = survey_app(loaded, admin)
    specs = _specs(loaded, admin)
    if as_json:
        print_json(_document(loaded, planned, specs))
        return code_of(planned)
    groups, status = by_queue(specs), statuses(planned)
    if each_topic:
        print_table(*topic_lines(specs, status))
    else:
        print_table(*queue_lines(groups, status))
    partitions = counted(sum(group.partitions for group in groups), "partition")
    say(f"\nin all: {counted(len(specs), 'topic')}, {partitions}, {groups[0].copies} of each")
    say_plan(planned, planned.details(), app)
    return code_of(planned)


@command.command("apply")
@click.option("--grow", metavar="QUEUE",
              help="Give this queue as many partitions as the code declares.")  # fmt: skip
@click.option("--was", type=click.IntRange(1), metavar="N",
              help="With --grow: number of partitions that QUEUE had before its topic of dead "
                   "letters was raised by hand.")  # fmt: skip
@click.option("--accept-waiting", is_flag=True,
              help="With --grow: go on although jobs wait; the order of their keys may "
                   "break.")  # fmt: skip
@json_option
def apply_command(
    app: AppName, *, grow: str | None, was: int | None, accept_waiting: bool, as_json: bool
) -> int:
    """Create missing topics, and alter settings that are safe to alter.

    The command shows the differences first. If something is unsafe and must be mended by hand, it
    changes nothing and the exit code is 3. With --grow it only adds partitions to one queue; stop
    all workers and delayers before, and let the jobs that wait run first.
    """
    from jobstream.topics.apply import apply  # noqa: PLC0415 - loads the Kafka client

    loaded, admin = _connect(app)
    if grow is not None:
        return _grow(loaded, admin, grow, was, accept_waiting=accept_waiting)
    planned = survey_app(loaded, admin)
    if as_json:
        print_json(_document(loaded, planned, _specs(loaded, admin)))
    else:
        say_plan(planned, planned.lines(), app)
    if planned.is_empty:
        return OK
    apply(planned, admin)
    if not as_json:
        say(f"applied: {len(planned.create)} created, {len(planned.alter)} settings altered")
    return OK


def _grow(app: App, admin: Admin, name: str, was: int | None, *, accept_waiting: bool) -> int:
    from jobstream.operate import growth  # noqa: PLC0415 - as above
    from jobstream.operate.view import AppView  # noqa: PLC0415 - as above
    from jobstream.topics.specs import specs  # noqa: PLC0415 - as above

    if name not in app.queues:
        message = f"the app declares no queue {name!r}; it has: {', '.join(sorted(app.queues))}"
        raise ConfigError(message)
    view = AppView(app.name, app.settings)
    declared = {spec.name: spec.partitions for spec in specs(app.name, [app.queues[name]], 1)}
    planned = growth.plan_growth(view, name, declared, was)
    growth.refuse_growth(view, planned, accept_waiting=accept_waiting)
    with sink_of(view) as sink, progress("copying rows") as heard:
        rows = growth.grow(view, admin, sink, planned, heard)
    say(f"grown: queue {name!r} from {planned.was} to {planned.to} partitions, {rows} rows copied")
    return OK


def survey_app(app: App, admin: Admin) -> Plan:
    """What `apply` would do for the queues that the app declares."""
    from jobstream.topics.apply import survey  # noqa: PLC0415 - loads the Kafka client

    return survey(admin, app.name, app.queues.values(), app.settings, schedules=app.has_schedules)


def say_plan(planned: Plan, lines: list[str], app: AppName) -> None:
    """The difference, line by line."""
    for line in lines:
        say(typed(line, app))
    if planned.is_empty:
        say("nothing to do")


def code_of(planned: Plan) -> int:
    """The exit code that tells what is to be done."""
    if planned.refused:
        return UNSAFE
    return OK if planned.is_empty else DIFFERS


def _connect(named: AppName) -> tuple[App, Admin]:
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.kafka.client.admin import Admin  # noqa: PLC0415 - as above

    app = load_app(named)
    return app, Admin(app.settings)


def _specs(app: App, admin: Admin) -> list[TopicSpec]:
    from jobstream.topics.plan import replication_for  # noqa: PLC0415 - with the command only
    from jobstream.topics.specs import specs  # noqa: PLC0415 - as above

    copies = replication_for(len(admin.cluster().brokers), app.settings.replication)
    return specs(app.name, app.queues.values(), copies, schedules=app.has_schedules)


def _document(app: App, planned: Plan, specs: list[TopicSpec]) -> dict[str, Any]:
    status = statuses(planned)
    return {
        "app": app.name,
        "topics": [
            {
                "topic": spec.name,
                "kind": spec.kind.value,
                "partitions": spec.partitions,
                "replication": spec.replication,
                "configs": dict(spec.configs),
                "status": status.get(spec.name, GOOD),
            }
            for spec in specs
        ],
        "differences": [
            {"topic": d.topic, "setting": d.setting, "found": d.found, "wanted": d.wanted,
             "action": d.action.value, "harm": d.harm, "fix": d.fix}
            for d in planned.differences
        ],
        "groups": {g.group: dict(g.changes) for g in planned.groups},
        "leftovers": list(planned.leftovers),
        "notes": [*planned.notes, *(note for g in planned.groups for note in g.notes)],
    }  # fmt: skip
