"""Histories that outlive the process: SQLite by default, any SQLAlchemy URL otherwise."""

from __future__ import annotations

import json
import os
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import event, exc

from entrain.history import MAX_TURNS, History, HistoryError
from entrain.turn import Turn

T = TypeVar("T")
Turns: TypeAlias = list[Turn]
Names: TypeAlias = list[str]

metadata = sa.MetaData()
conversations = sa.Table(
    "entrain_conversation",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
)
turns = sa.Table(
    "entrain_turn",
    metadata,
    sa.Column("conversation_id", sa.String(200), sa.ForeignKey("entrain_conversation.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)


class StoreError(RuntimeError):
    """The store can't be reached or written."""


class StoreConflict(StoreError):
    """Another process has changed this conversation since it was loaded or saved here: load it again."""


class Store:
    """`url` is a path to a SQLite file, or a SQLAlchemy URL such as "postgresql+psycopg://user@host/base".

    Voices are personal data: features and words are kept here, sound is not; `delete` leaves nothing of a conversation.
    """

    def __init__(self, url: str | Path) -> None:
        try:
            address = _address(url)
            self.url = _without_password(address.render_as_string())
            # hidden: a failed statement's parameters are what people said, and errors go to logs
            self.engine = sa.create_engine(address, hide_parameters=True, pool_pre_ping=True)
        except (exc.ArgumentError, ImportError, OSError, ValueError) as error:
            why = "its port is no number" if type(error) is ValueError else _without_password(str(error))
            raise StoreError(
                f"{_without_password(str(url))!r} is no store: {why}. "
                "Give a file's path, or a SQLAlchemy URL whose driver is installed."
            ) from None
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _sqlite_settings)
            event.listen(self.engine, "checkout", _same_file)
        self._has_tables = False
        self._n_saved: weakref.WeakKeyDictionary[History, int] = weakref.WeakKeyDictionary()
        self._attempt("open", lambda: None)

    def save(self, history: History) -> None:
        """Write what is not written yet, in one transaction: after a failure the next call writes that too. Raises
        `StoreConflict` when another process has added turns to this conversation meanwhile, or has deleted it."""
        self._attempt("save to", lambda: self._save(history))

    def load(self, conversation_id: str) -> History | None:
        """The conversation as it was left, or None. Raises `HistoryError` for a newer schema or a damaged turn."""
        return self._attempt("load from", lambda: self._load(conversation_id))

    def stale(self, history: History) -> bool:
        """True when another process has changed the conversation since this history was loaded or saved here."""
        return self._attempt("load from", lambda: self._stale(history))

    def all_turns(self, conversation_id: str) -> Turns:
        """Every turn, however many."""
        return self._attempt("load from", lambda: self._turns(conversation_id))

    def list(self) -> Names:
        """The conversations' ids, sorted."""
        return self._attempt("list", self._list)

    def delete(self, conversation_id: str) -> bool:
        """Delete the conversation whole; True if there was one."""
        return self._attempt("delete from", lambda: self._delete(conversation_id))

    def close(self) -> None:
        self.engine.dispose()

    def _save(self, history: History) -> None:
        state = json.dumps(history.state())
        with self.engine.begin() as connection:
            known = connection.execute(
                sa.update(conversations).where(conversations.c.id == history.id).values(state=state)
            ).rowcount
            if not known:
                connection.execute(sa.insert(conversations).values(id=history.id, state=state))
            row = connection.execute(self._latest(history.id, 1)).first()
            n_saved = row.number + 1 if row else 0
            if self._changed(history, row):
                raise StoreConflict(
                    f"conversation {history.id!r} has other turns in the store {self.url}: another process writes to it. "
                    "Load it again, or give this one an id of its own."
                )
            at = n_saved - history.n_forgotten  # of the first turn to save, in the history's memory
            fresh = history.turns[max(0, at) :]
            first = len(history) - len(fresh)
            if fresh:
                bodies = [json.dumps(turn.model_dump(mode="json")) for turn in fresh]
                rows = [
                    {"conversation_id": history.id, "number": number, "body": body}
                    for number, body in enumerate(bodies, first)
                ]
                connection.execute(sa.insert(turns), rows)
        self._n_saved[history] = len(history)

    def _stale(self, history: History) -> bool:
        with self.engine.connect() as connection:
            return self._changed(history, connection.execute(self._latest(history.id, 1)).first())

    def _changed(self, history: History, last: Any) -> bool:
        """Whether the last stored turn is not the history's own, or some that were stored are gone."""
        n_stored = last.number + 1 if last else 0
        at = n_stored - history.n_forgotten  # of the first turn that is not stored, in the history's memory
        differs = at > 0 and history.turns[at - 1 : at] != [_turn(history.id, *last)]
        return differs or n_stored < self._n_saved.get(history, 0)

    def _load(self, conversation_id: str) -> History | None:
        with self.engine.connect() as connection:
            the_one = sa.select(conversations.c.state).where(conversations.c.id == conversation_id)
            state = connection.scalar(the_one)
            if state is None:
                return None
            rows = connection.execute(self._latest(conversation_id, MAX_TURNS)).all()[::-1]
        n_forgotten = rows[0].number if rows else 0
        parsed = (_turn(conversation_id, *row) for row in rows)
        history = History.from_records(_state(conversation_id, state), parsed, n_forgotten)
        self._n_saved[history] = len(history)
        return history

    def _turns(self, conversation_id: str) -> Turns:
        with self.engine.connect() as connection:
            rows = connection.execute(self._select(conversation_id).order_by(turns.c.number)).all()
        return [_turn(conversation_id, *row) for row in rows]

    def _list(self) -> Names:
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(conversations.c.id).order_by(conversations.c.id)))

    def _delete(self, conversation_id: str) -> bool:
        with self.engine.begin() as connection:
            connection.execute(sa.delete(turns).where(turns.c.conversation_id == conversation_id))
            the_one = sa.delete(conversations).where(conversations.c.id == conversation_id)
            found = connection.execute(the_one).rowcount > 0
        if self.engine.dialect.name == "sqlite":  # or the write-ahead log would still hold the pages
            with self.engine.connect() as connection:
                if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar():
                    raise StoreError(
                        f"conversation {conversation_id!r} is deleted, but the store's log {self.url}-wal still holds it, "
                        "since another process is reading. Delete it again."
                    )
        return found

    @staticmethod
    def _select(conversation_id: str) -> Any:
        return sa.select(turns.c.number, turns.c.body).where(turns.c.conversation_id == conversation_id)

    @classmethod
    def _latest(cls, conversation_id: str, n: int) -> Any:
        return cls._select(conversation_id).order_by(turns.c.number.desc()).limit(n)

    def _attempt(self, what: str, action: Callable[[], T]) -> T:
        try:
            if not self._has_tables:
                metadata.create_all(self.engine)
                self._has_tables = True
            return action()
        except exc.IntegrityError as error:  # two wrote the same turn at once
            raise StoreConflict(
                f"could not {what} the store {self.url}: another process was first."
            ) from error
        except exc.SQLAlchemyError as error:
            self._n_saved.clear()  # a file that is gone was not emptied by someone: all is written again
            self._has_tables = False  # perhaps the file was deleted: the next attempt looks
            self.engine.dispose()  # SQLite opens an unwritable file for reading, and so it would stay
            why = _without_password(str(error))
            raise StoreError(
                f"could not {what} the store {self.url}: {type(error).__name__}: {why}"
            ) from error


def _address(url: str | Path) -> sa.URL:
    if "://" in str(url):
        return sa.make_url(str(url))
    path = Path(url).expanduser().resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    return sa.URL.create("sqlite", database=str(path))


def _without_password(text: str) -> str:
    text = re.sub(r"(://[^:/@\s]*):[^\s]*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def _state(conversation_id: str, state: str) -> Any:
    try:
        return json.loads(state)
    except json.JSONDecodeError as error:
        raise HistoryError(f"the state of conversation {conversation_id!r} is damaged: {error}") from error


def _turn(conversation_id: str, number: int, body: str) -> Turn:
    try:
        return Turn.model_validate(json.loads(body))
    except (json.JSONDecodeError, ValidationError) as error:
        raise HistoryError(
            f"turn {number} of conversation {conversation_id!r} is damaged: {error}"
        ) from error


def _sqlite_settings(connection: Any, record: Any) -> None:
    """Deleted rows are overwritten with zeros (they are biometric data); readers don't block the writer."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    # no wait for the disk at each turn; a crash of the machine may cost the last
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    record.info["file"] = _file(connection)


def _same_file(connection: Any, record: Any, _: Any) -> None:
    """A connection outlives its file: what is written to a deleted one is lost, and nothing says so."""
    if _file(connection) != record.info["file"]:
        raise exc.DisconnectionError("the store's file was deleted or replaced")


def _file(connection: Any) -> tuple[int, int] | None:
    """The identity of the open database's file; None in memory, or when it is gone."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
