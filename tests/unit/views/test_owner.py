"""Tables are one app's: whatever another's read side would write or answer is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.folded import fold_of, logs_of, made, rows_in, sqlite_in, whole
from tests.harness.postgres import Postgres

from jobstream import App
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.testing import memory
from jobstream.views.database import opened, own_turn
from jobstream.views.errors import DatabaseTaken
from jobstream.views.migrating import migrate
from jobstream.views.owner import claim
from jobstream.views.projection import Projection
from jobstream.views.rebuilding import rebuild
from jobstream.views.upkeep import Upkeep
from jobstream.views.views_reader import Views
from jobstream.views.views_retention import Keep
from jobstream.views.writing import Writer
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSAL = r"has the jobs of app 'shop', not of 'billing': .* database of its own, or a schema"


@dataclass(frozen=True)
class Order:
    number: int


def ran(name: str) -> App:
    app = App(name, size="small")

    @app.job
    async def work(order: Order) -> None:
        del order

    return app


def view_of(name: str) -> AppView:
    view = AppView(name, Settings.load(bootstrap_servers="127.0.0.1:1"))
    view.catalogue = Catalogue()  # as it was read before
    return view


def test_two_apps_never_share_a_table(tmp_path: Path) -> None:
    engine = opened(sqlite_in(tmp_path))
    shop, billing = ran("shop"), ran("billing")
    with memory(shop) as jobs, memory(billing, broker=jobs.broker) as others:
        for app in (shop, billing):
            app.jobs["work"].enqueue(Order(1))
        jobs.run_for("5s")
        others.run_for("5s")
        logs = [whole(*each) for each in logs_of(jobs.broker).items()]
        made(engine, jobs.broker, "shop").write(
            [run for run in logs if run.where.topic.startswith("shop.")]
        )
        before = rows_in(engine)

        with pytest.raises(DatabaseTaken, match=REFUSAL):
            Writer(engine, fold_of(jobs.broker, "billing"), "billing").write(
                [run for run in logs if run.where.topic.startswith("billing.")]
            )

    assert rows_in(engine) == before
    engine.dispose()


@pytest.mark.parametrize(
    "use",
    [
        lambda url: Upkeep(
            Projection(view_of("billing"), opened(url)), Keep(), lambda: None
        ).look(),
        lambda url: rebuild(view_of("billing"), url, lambda _done, _total: None),
        lambda url: Views(url, app="billing").totals(),
    ],
    ids=["upkeep", "rebuild", "questions"],
)
def test_another_app_is_refused_by_all_that_write_and_read(
    tmp_path: Path, use: Callable[[str], object]
) -> None:
    url = sqlite_in(tmp_path)
    engine = opened(url)
    migrate(engine)
    with own_turn(engine) as connection:
        claim(connection, "shop")
    before = rows_in(engine)

    with pytest.raises(DatabaseTaken, match=REFUSAL):
        use(url)

    assert rows_in(engine) == before
    engine.dispose()


def test_tables_that_are_nobodys_become_the_first_app_s(tmp_path: Path) -> None:
    url = sqlite_in(tmp_path)
    engine = opened(url)
    migrate(engine)
    assert Views(url, app="billing").totals() == ()

    for _ in range(2):
        with own_turn(engine) as connection:
            claim(connection, "shop")

    assert Views(url, app="shop").totals() == ()
    with pytest.raises(DatabaseTaken, match=REFUSAL):
        Views(url, app="billing").check()
    engine.dispose()


def test_the_refusal_shows_no_password_of_the_url() -> None:
    with Postgres() as server:
        engine = opened(f"{server.url}?sslpassword=hunter2")
        migrate(engine)
        with own_turn(engine) as connection:
            claim(connection, "shop")
            with pytest.raises(DatabaseTaken, match=r"sslpassword=\*\*\*") as refused:
                claim(connection, "billing")
        engine.dispose()

    assert "hunter2" not in str(refused.value)
