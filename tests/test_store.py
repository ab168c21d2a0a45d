"""The store: a conversation goes on after a restart, is gone after delete, and comes through every fault."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrain import history as history_module
from entrain import store as store_module
from entrain.emotion import Manner
from entrain.history import MAX_TURNS, History, HistoryError
from entrain.store import Store, StoreConflict, StoreError
from entrain.turn import Features, Turn

MARKER = "antidisestablishmentarianism"


def turn(i: int = 0, text: str = "hello") -> Turn:
    features = Features(f0_mean_st=5 + i % 3, rate_syll_s=4 + 0.37 * (i % 5), level_db=-20.0 - i % 2)
    speaker = "agent" if i % 2 else "user"
    return Turn(speaker=speaker, start_s=i, end_s=i + 0.7, text=text, features=features)


def talk(conversation_id: str, n: int, text: str = "hello") -> History:
    history = History(conversation_id)
    for i in range(n):
        history.add(turn(i, text))
    return history


def loaded(store: Store, conversation_id: str) -> History:
    history = store.load(conversation_id)
    assert history is not None
    return history


# --- a real PostgreSQL, where one is installed --------------------------------------------------------------------


def _program(name: str) -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    on_path = shutil.which(name)
    return found[-1] if found else Path(on_path) if on_path else None


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a fresh server on a socket in a temporary folder. It refuses to run as root, so then it is nobody."""
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is missing: pip install 'psycopg[binary]'")
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip(
            "no PostgreSQL server here: initdb and pg_ctl are neither on PATH nor in /usr/lib/postgresql"
        )
    as_nobody: list[str] = []
    folder = Path(
        tempfile.mkdtemp(prefix="pg-", dir="/tmp")
    )  # short: a socket's path may have 107 characters
    if os.geteuid() == 0:
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)

    def run(*command: object) -> None:
        subprocess.run([*as_nobody, *map(str, command)], check=True, capture_output=True, cwd=folder)

    data = folder / "data"
    try:
        run(initdb, "-D", data, "-U", "entrain", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run(pg_ctl, "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        yield f"postgresql+psycopg://entrain:hunter2@/postgres?host={folder}"
    finally:
        if (data / "postmaster.pid").exists():
            run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def _statement(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "talks.db")
        return
    server = request.getfixturevalue("postgresql")
    name = f"t{secrets.token_hex(4)}"
    _statement(server, f"CREATE DATABASE {name}")
    yield server.replace("/postgres?", f"/{name}?")
    _statement(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


# --- every kind of store ------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(store: Store) -> None:
    history = talk("kiosk", 7, text="Grüß Gott 👋 \x00 \ud800")
    store.save(history)
    found = loaded(store, "kiosk")
    assert found.turns == history.turns
    assert (found.user, found.agent) == (history.user, history.agent)


def test_how_a_speaker_sounds_is_kept_with_the_rest_and_deleted_with_it(store: Store) -> None:
    history = talk("kiosk", 2)
    history.manners["user"] = Manner(n=2, mean=(1.5,), m2=(0.25,))
    history.add(turn(2).model_copy(update={"emotion": {"angry": 0.75, "calm": 0.25}}))
    store.save(history)
    found = loaded(store, "kiosk")
    assert found.manners == history.manners
    assert found.turns[-1].emotion == {"angry": 0.75, "calm": 0.25}
    store.delete("kiosk")
    store.save(talk("kiosk", 1))
    assert loaded(store, "kiosk").manners == {}


def test_a_conversation_never_saved_is_none(store: Store) -> None:
    assert store.load("nobody") is None
    assert store.all_turns("nobody") == []
    assert store.list() == []


def test_a_conversation_without_turns_can_be_saved(store: Store) -> None:
    store.save(History("new"))
    assert len(loaded(store, "new")) == 0


def test_after_a_restart_the_next_z_is_that_of_an_uninterrupted_run(url: str) -> None:
    uninterrupted = talk("a", 9)
    first = Store(url)
    interrupted = talk("a", 5)
    first.save(interrupted)
    first.close()
    second = Store(url)
    interrupted = loaded(second, "a")
    for i in range(5, 9):
        assert interrupted.add(turn(i)) == uninterrupted.turns[i]
    second.save(interrupted)
    assert second.all_turns("a") == uninterrupted.turns
    second.close()


def test_another_process_goes_on_exactly(store: Store, url: str) -> None:
    store.save(talk("a", 5))
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_store import *; s = Store(sys.argv[1]);"
        "h = loaded(s, 'a'); h.add(turn(5)); s.save(h)"
    )
    subprocess.run([sys.executable, "-c", script, url, str(Path(__file__).parent)], check=True)
    assert store.all_turns("a") == talk("a", 6).turns


def test_each_save_writes_only_what_is_new(store: Store) -> None:
    history = History("a")
    for i in range(6):
        history.add(turn(i))
        if i % 2:
            store.save(history)
            store.save(history)
    assert store.all_turns("a") == history.turns


def test_more_turns_than_memory_holds_are_kept_whole(store: Store) -> None:
    history = talk("a", MAX_TURNS - 10)
    everything = list(history.turns)
    store.save(history)
    for i in range(30):
        everything.append(history.add(turn(i)))
        store.save(history)
    assert store.all_turns("a") == everything
    found = loaded(store, "a")
    assert (len(found), len(found.turns)) == (MAX_TURNS + 20, MAX_TURNS)
    assert found.turns == history.turns
    found.add(turn(3))
    store.save(found)
    assert len(store.all_turns("a")) == MAX_TURNS + 21


def test_turns_forgotten_before_they_could_be_saved_do_not_stop_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MAX_TURNS", 10)
    history = talk("a", 5)
    store.save(history)
    for i in range(5, 30):  # the store is away all this time
        history.add(turn(i))
    store.save(history)
    history.add(turn(30))
    store.save(history)
    assert [each.start_s for each in store.all_turns("a")] == [*range(5), *range(20, 31)]


def test_delete_leaves_the_others(store: Store) -> None:
    store.save(talk("a", 3))
    store.save(talk("b", 3))
    assert store.delete("a") is True
    assert store.delete("a") is False
    assert store.load("a") is None
    assert store.all_turns("a") == []
    assert store.list() == ["b"]
    assert len(loaded(store, "b")) == 3


def test_two_stores_can_be_open_on_one_place(store: Store, url: str) -> None:
    other = Store(url)

    def converse(place: Store, name: str) -> None:
        history = History(name)
        for i in range(25):
            history.add(turn(i, name))
            place.save(history)

    with ThreadPoolExecutor() as pool:
        for job in [pool.submit(converse, place, name) for place, name in ((store, "a"), (other, "b"))]:
            job.result()
    assert loaded(other, "a").turns == talk("a", 25, "a").turns
    assert loaded(store, "b").turns == talk("b", 25, "b").turns
    other.close()


def test_one_conversation_written_by_two_is_an_error_not_a_muddle(store: Store) -> None:
    store.save(talk("a", 3))
    mine, theirs = loaded(store, "a"), loaded(store, "a")
    theirs.add(turn(3, "theirs"))
    store.save(theirs)
    mine.add(turn(3, "mine"))
    with pytest.raises(StoreError, match="another process writes to it"):
        store.save(mine)
    assert loaded(store, "a").turns == theirs.turns
    assert loaded(store, "a").user == theirs.user


def test_a_newer_schema_is_a_history_error_that_says_so(store: Store) -> None:
    store.save(talk("a", 2))
    with store.engine.begin() as connection:
        connection.execute(
            sa.update(store_module.conversations).values(state='{"id": "a", "schema": "entrain-2"}')
        )
        connection.execute(sa.update(store_module.turns).values(body='{"new": 1}'))
    with pytest.raises(HistoryError, match="entrain-2"):
        store.load("a")


@pytest.mark.parametrize("body", ["{", "{}", '{"speaker": "user", "start_s": NaN, "end_s": 1}'])
def test_a_damaged_turn_is_named(store: Store, body: str) -> None:
    store.save(talk("a", 3))
    with store.engine.begin() as connection:
        connection.execute(
            sa.update(store_module.turns).where(store_module.turns.c.number == 1).values(body=body)
        )
    for read in (store.load, store.all_turns):
        with pytest.raises(HistoryError, match="turn 1 of conversation 'a' is damaged"):
            read("a")


@pytest.mark.parametrize("state", ["{", "[]", '{"schema": "entrain-1"}'])
def test_a_damaged_state_is_a_history_error(store: Store, state: str) -> None:
    store.save(talk("a", 1))
    with store.engine.begin() as connection:
        connection.execute(sa.update(store_module.conversations).values(state=state))
    with pytest.raises(HistoryError, match="damaged"):
        store.load("a")


def test_tables_dropped_in_the_middle_come_back_with_all_turns(store: Store) -> None:
    history = talk("a", 4)
    store.save(history)
    store_module.metadata.drop_all(store.engine)
    history.add(turn(4))
    with pytest.raises(StoreError, match="could not save to the store"):
        store.save(history)
    history.add(turn(5))
    store.save(history)
    assert store.all_turns("a") == history.turns


def test_an_error_tells_nothing_of_what_was_said(store: Store) -> None:
    history = talk("a", 3, MARKER)
    store.save(history)
    store_module.metadata.drop_all(store.engine)
    with pytest.raises(StoreError) as caught:
        store.save(history)
    seen: BaseException | None = caught.value
    while seen:  # a log shows the whole chain
        assert MARKER not in str(seen)
        assert "hunter2" not in str(seen)
        seen = seen.__cause__


@pytest.mark.parametrize("call", ["load", "all_turns", "delete", "list", "save"])
def test_every_call_on_a_store_that_went_away_is_a_store_error(store: Store, call: str) -> None:
    store_module.metadata.drop_all(store.engine)
    arguments: dict[str, tuple[Any, ...]] = {"list": (), "save": (talk("a", 1),)}
    with pytest.raises(StoreError):
        getattr(store, call)(*arguments.get(call, ("a",)))


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def test_a_database_dropped_in_the_middle_comes_back_with_all_turns(postgresql: str) -> None:
    _statement(postgresql, "CREATE DATABASE dropped")
    store, history = Store(postgresql.replace("/postgres?", "/dropped?")), talk("a", 4)
    store.save(history)
    _statement(postgresql, "DROP DATABASE dropped WITH (FORCE)")
    history.add(turn(4))
    with pytest.raises(StoreError) as caught:
        store.save(history)
    assert "hunter2" not in str(caught.value)
    _statement(postgresql, "CREATE DATABASE dropped")
    store.save(history)
    assert store.all_turns("a") == history.turns
    store.close()


def test_a_server_that_cut_the_connection_is_not_noticed(postgresql: str) -> None:
    _statement(postgresql, "CREATE DATABASE cut")
    store, history = Store(postgresql.replace("/postgres?", "/cut?")), talk("a", 2)
    store.save(history)
    _statement(postgresql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cut'")
    history.add(turn(2))
    store.save(history)
    assert len(store.all_turns("a")) == 3
    store.close()


# --- SQLite -------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "talks.db"


def bytes_of(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))


@pytest.mark.parametrize("n_words", [1, 40, 2_000])
def test_delete_leaves_no_byte_in_the_files(file: Path, n_words: int) -> None:
    store = Store(file)
    secret, other = History(f"{MARKER}-id"), History("other")
    for i in range(60):
        secret.add(turn(i, f"{MARKER} " * (1 + i % 7 * n_words // 6)))
        other.add(turn(i, "something else " * (i % 5 * n_words)))
        store.save(secret)
        store.save(other)
    assert MARKER.encode() in bytes_of(file)
    assert store.delete(secret.id)
    assert MARKER.encode() not in bytes_of(file)
    assert store.all_turns("other") == other.turns
    store.close()


def test_delete_says_so_when_a_reader_keeps_the_log_from_being_emptied(file: Path) -> None:
    store = Store(file)
    store.save(talk("a", 3, MARKER))
    reader = sqlite3.connect(file)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM entrain_turn").fetchone()
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 100")  # of the pooled connection: not 5 s
    with pytest.raises(StoreError, match="Delete it again"):
        store.delete("a")
    reader.close()
    store.delete("a")
    assert MARKER.encode() not in bytes_of(file)
    store.close()


def test_a_file_deleted_in_the_middle_is_noticed_and_the_next_save_writes_all(file: Path) -> None:
    store, history = Store(file), talk("a", 3)
    store.save(history)
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    history.add(turn(3))
    with pytest.raises(StoreError):
        store.save(history)
    store.save(history)
    store.close()
    assert Store(file).all_turns("a") == history.turns


def test_a_folder_that_goes_away_and_comes_back_gets_the_missing_turns(file: Path) -> None:
    store, history = Store(file), talk("a", 3)
    store.save(history)
    away = file.parent.rename(file.parent.with_name("away"))
    for i in range(3, 6):
        history.add(turn(i))
        with pytest.raises(StoreError, match="could not save to the store"):
            store.save(history)
    away.rename(file.parent)
    store.save(history)
    assert store.all_turns("a") == history.turns


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="limits on a file's size are POSIX")
def test_a_full_disk_is_a_store_error_and_later_the_turns_are_written(file: Path) -> None:
    import resource

    store, history = Store(file), talk("a", 3)
    store.save(history)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for i in range(3, 40):
        history.add(turn(i, "long " * 2_000))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 65_536, limits[1]))
        with pytest.raises(StoreError):
            store.save(history)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    store.save(history)
    assert store.all_turns("a") == history.turns


@contextmanager
def unwritable(file: Path) -> Iterator[None]:
    """Root may write to any file, so it becomes nobody meanwhile."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    file.chmod(0o444)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        file.chmod(0o644)


def test_an_unwritable_file_is_a_store_error_and_later_the_turns_are_written() -> None:
    folder = Path(tempfile.mkdtemp())  # tmp_path is closed to nobody
    folder.chmod(0o777)
    store, history = Store(folder / "talks.db"), talk("a", 3)
    store.save(history)
    store.close()
    history.add(turn(3))
    with unwritable(folder / "talks.db"), pytest.raises(StoreError, match="readonly"):
        store.save(history)
    store.save(history)
    assert store.all_turns("a") == history.turns
    shutil.rmtree(folder)


def test_folders_are_made_and_odd_names_are_files(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "what? 100 %#.db"
    store = Store(file)
    store.save(talk("a", 1))
    assert file.is_file()
    store.close()


def test_a_file_that_is_no_database_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreError, match=r"could not open the store .*letter\.txt"):
        Store(file)
    assert file.read_text().startswith("Dear Sir")


def test_a_path_through_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Give a file's path"):
        Store(tmp_path / "file" / "talks.db")


# --- URLs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://user:hunter2@host/base",
        "postgresql+nodriver://user:hunter2@host/base",
        "postgresql+psycopg://user:hunter2@host:port/base",
        "mysql+pymysql://user:hunt@er2:hunter2@host/base?password=hunter2",
        "://user:hunter2@host",
        "postgresql+psycopg://user:hunter2@127.0.0.1:1/base?connect_timeout=2",
    ],
)
def test_a_bad_url_is_a_store_error_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"Give a file's path|could not open") as caught:
        Store(url)
    assert "hunt" not in str(caught.value)
    assert "hunt" not in str(caught.value.__cause__)


def test_another_process_that_writes_or_deletes_is_noticed(store: Store) -> None:
    """Two `Store`s are two processes: each keeps in mind what it has saved or loaded."""
    mine = talk("a", 2)
    store.save(mine)
    assert not store.stale(mine)
    other = Store(store.engine.url.render_as_string(hide_password=False))
    try:
        theirs = loaded(other, "a")
        mine.add(turn(2))
        assert not store.stale(mine), "a turn that is not saved yet is no conflict"
        theirs.add(turn(4, "theirs"))
        other.save(theirs)
        assert store.stale(mine)
        with pytest.raises(StoreConflict, match="another process"):
            store.save(mine)
        assert store.all_turns("a") == theirs.turns, "nothing is lost"
        mine = loaded(store, "a")
        assert not store.stale(mine)
        other.delete("a")
        assert store.stale(mine)
        mine.add(turn(6))
        with pytest.raises(StoreConflict):
            store.save(mine)
        assert store.list() == [], "what was deleted stays so"
        store.save(talk("a", 1))  # begun anew
        assert len(store.all_turns("a")) == 1
    finally:
        other.close()
