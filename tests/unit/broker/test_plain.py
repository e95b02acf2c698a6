"""What a cluster is told before it starts: places, ports, settings; and what is refused."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jobstream.broker import (
    BrokerDirectoryError,
    BrokerStateError,
    EmbeddedKafka,
    NoSuchNodeError,
    PortInUseError,
    down,
    ready,
    status,
    up,
)
from jobstream.broker.broker_folder import exclusive
from jobstream.broker.broker_settings import (
    NodeAddress,
    as_properties,
    node_settings,
    shared_settings,
)
from jobstream.broker.data_places import broker_state_directory, cache_directory
from jobstream.broker.free_ports import choose_addresses, local_port
from jobstream.broker.node import last_words
from jobstream.cli.commands import dev
from jobstream.cli.root import root

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_places_follow_the_environment() -> None:
    assert cache_directory({"JOBSTREAM_CACHE_DIR": "/c"}) == Path("/c")
    assert cache_directory({"XDG_CACHE_HOME": "/x"}) == Path("/x/jobstream")
    assert cache_directory({}) == Path.home() / ".cache/jobstream"
    assert broker_state_directory({"JOBSTREAM_STATE_DIR": "/s"}) == Path("/s/broker")
    assert broker_state_directory({"XDG_STATE_HOME": "/x"}) == Path("/x/jobstream/broker")
    assert broker_state_directory({}) == Path.home() / ".local/state/jobstream/broker"


@pytest.mark.parametrize(
    ("servers", "port"),
    [
        ("127.0.0.1:19092", 19092),
        ("localhost:9093", 9093),
        ("kafka-1:9092", None),
        ("127.0.0.1:9092,127.0.0.1:9093", None),
    ],
)
def test_one_address_of_this_machine_has_a_port(servers: str, port: int | None) -> None:
    assert local_port(servers) == port


def test_the_command_starts_it_where_other_commands_look(taken_port: int, tmp_path: Path) -> None:
    environ = {
        "JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{taken_port}",
        "JOBSTREAM_STATE_DIR": str(tmp_path),
    }

    said = CliRunner().invoke(root, ["broker", "up"], env=environ)

    assert said.exit_code == 1
    assert f"port {taken_port} in use" in said.output


def test_a_broker_that_takes_its_time_is_used_all_the_same(
    taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([frozenset[int](), frozenset({1})])
    monkeypatch.setattr(ready, "_listed", lambda _admin: next(answers))

    with dev._broker(f"127.0.0.1:{taken_port}"):  # noqa: SLF001 - one step of a command that goes on
        pass

    assert f"using the one at 127.0.0.1:{taken_port}" in capsys.readouterr().out


def test_a_directory_that_cannot_be_made_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path / "file"))

    told = CliRunner().invoke(root, ["broker", "up"])

    assert told.exit_code == 1
    assert f"{tmp_path / 'file' / 'broker'}: Not a directory; name a writable" in told.output
    assert "JOBSTREAM_STATE_DIR" in told.output
    assert status() is None
    with pytest.raises(BrokerDirectoryError, match="Not a directory; name a writable"):
        EmbeddedKafka(directory=tmp_path / "file" / "data").start()


def test_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with exclusive(tmp_path / "lock"):
            entered.set()

    with exclusive(tmp_path / "lock"):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(timeout=120)
    assert entered.is_set()


def test_free_ports_are_all_different() -> None:
    addresses = choose_addresses(3, None)

    ports = [port for a in addresses for port in (a.port, a.controller_port)]
    assert len(set(ports)) == 6
    assert [a.node for a in addresses] == [1, 2, 3]


def test_asked_for_ports_follow_each_other() -> None:
    first = choose_addresses(1, None)[0].port

    assert choose_addresses(1, first)[0].bootstrap == f"127.0.0.1:{first}"


def test_taken_port_is_refused_with_the_way_out(taken_port: int) -> None:
    with pytest.raises(PortInUseError, match=rf"port {taken_port} in use.*--port"):
        choose_addresses(1, taken_port)


def test_three_nodes_survive_one_and_one_node_stands_alone() -> None:
    alone, three = shared_settings(1), shared_settings(3)

    assert alone["default.replication.factor"] == "1"
    assert three["default.replication.factor"] == "3"
    factors = [name for name in three if name.endswith("replication.factor")]
    in_sync = [name for name in three if name.endswith(("min.isr", "min.insync.replicas"))]
    assert len(factors) == 4
    assert len(in_sync) == 3
    assert {three[name] for name in factors} == {"3"}
    assert {three[name] for name in in_sync} == {"2"}
    assert {alone[name] for name in factors + in_sync} == {"1"}
    assert three["unclean.leader.election.enable"] == "false"
    assert three["auto.create.topics.enable"] == "false"


def test_nodes_know_each_other_and_their_own_place(tmp_path: Path) -> None:
    cluster = (NodeAddress(1, 9092, 9192), NodeAddress(2, 9093, 9193))

    second = node_settings(cluster[1], cluster, tmp_path)

    assert second["node.id"] == "2"
    assert second["controller.quorum.voters"] == "1@127.0.0.1:9192,2@127.0.0.1:9193"
    assert second["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9093"
    assert second["log.dirs"] == str(tmp_path)


def test_properties_survive_a_backslash() -> None:
    assert as_properties({"a": "1", "b": "c\\d"}) == "a=1\nb=c\\\\d\n"


@pytest.mark.parametrize("nodes", [0, -1, 10])
def test_impossible_sizes_are_refused(nodes: int) -> None:
    with pytest.raises(NoSuchNodeError, match=f"nodes={nodes}"):
        EmbeddedKafka(nodes)


def test_detached_without_a_directory_is_refused() -> None:
    with pytest.raises(BrokerStateError, match="directory="):
        EmbeddedKafka(detached=True)


def test_cluster_that_is_not_started_has_no_address_and_stops_twice() -> None:
    kafka = EmbeddedKafka()

    with pytest.raises(BrokerStateError, match="not started"):
        _ = kafka.bootstrap_servers
    assert kafka.pids == []
    kafka.stop()
    kafka.stop()


def test_nothing_is_up_in_an_empty_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path))

    assert status() is None
    assert down() is False


def test_up_refuses_a_taken_port_before_it_starts_anything(
    taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path))

    with pytest.raises(PortInUseError, match=str(taken_port)):
        up(port=taken_port)
    assert status() is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"bootstrap_servers": 1, "processes": [1]}'])
def test_damaged_state_is_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path))
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "state.json").write_text(content)

    for command in (status, down):
        with pytest.raises(BrokerStateError, match=r"state\.json is not a broker state"):
            command()


def test_dead_broker_is_no_status_and_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path))
    (tmp_path / "broker").mkdir()
    state = tmp_path / "broker" / "state.json"
    # This process has its number, but started at another time.
    state.write_text(
        json.dumps(
            {
                "bootstrap_servers": "127.0.0.1:9092",
                "processes": [{"pid": os.getpid(), "started": "long ago"}],
                "directory": str(tmp_path),
            }
        )
    )

    assert status() is None
    assert down() is False
    assert not state.exists()


def test_last_words_are_the_cause_and_not_the_farewell() -> None:
    log = "INFO: starting\n2026 ERROR X: no\n\tat a.b\nCaused by: it is locked\n" + "bye\n" * 50

    assert last_words(log, "WARNING: old\n") == "2026 ERROR X: no\nCaused by: it is locked"
    assert last_words("", "Unrecognized option\n") == "Unrecognized option"
    assert last_words("INFO\n", "") == "it said nothing"
