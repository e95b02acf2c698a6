"""What is shown of the URL of a database, and which file it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from jobstream.sql.database_url import database_url, file_of, shown
from jobstream.sql.opening import engine_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:secret@db/shop", "postgresql://me:***@db/shop"),
        ("postgresql+asyncpg://me@db/shop", "postgresql://me@db/shop"),
        (
            "postgresql://db/shop?user=me&password=secret&sslpassword=secret",
            "postgresql://db/shop?password=***&sslpassword=***&user=me",
        ),
    ],
)
def test_no_password_is_shown(url: str, says: str) -> None:
    assert shown(database_url(url)) == says


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite:///file:{}?uri=true&mode=rw"])
def test_a_file_is_found_by_each_of_its_names(tmp_path: Path, form: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "shop.db")

    assert file_of(make_url(form.format(tmp_path / "link"))) == tmp_path / "shop.db"


@pytest.mark.parametrize("name", ["typo.db", "100%?#.db"])
def test_a_connection_makes_no_file_and_finds_one_of_any_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    engine = engine_of(database_url("sqlite:///x").set(database=str(file)))
    with pytest.raises(OperationalError, match="unable to open"):
        engine.connect()
    assert not file.exists()

    file.touch()
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA database_list").all()[0][2] == str(file)
    engine.dispose()
