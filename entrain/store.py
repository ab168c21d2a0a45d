"""Histories that outlive the process: SQLite by default, any SQLAlchemy URL otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from entrain.history import MAX_TURNS, History, HistoryError
from entrain.turn import Turn

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


class Store:
    """`url` is a path to a SQLite file, or a SQLAlchemy URL such as "postgresql+psycopg://user@host/base".

    Voices are personal data: features and words are kept here, sound is not; `delete` leaves nothing of a conversation.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        if "://" not in self.url:
            Path(self.url).expanduser().resolve().parent.mkdir(parents=True, exist_ok=True)
            self.url = f"sqlite:///{Path(self.url).expanduser().resolve()}"
        try:
            self.engine = sa.create_engine(self.url)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StoreError(
                f"{url!r} is no store: {error}. Give a file's path, or a SQLAlchemy URL whose driver is installed."
            ) from error
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _sqlite_settings)
        self._attempt("open", metadata.create_all, self.engine)

    def save(self, history: History) -> None:
        """Write what is not written yet, in one transaction: after a failure the next call writes that too."""
        self._attempt("save to", self._save, history)

    def load(self, conversation_id: str) -> History | None:
        """The conversation as it was left, or None. Raises `HistoryError` for a newer schema or a damaged turn."""
        return self._attempt("load from", self._load, conversation_id)

    def all_turns(self, conversation_id: str) -> list[Turn]:
        """Every turn, however many."""
        return self._attempt("load from", self._turns, conversation_id)

    def list(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(conversations.c.id).order_by(conversations.c.id)))

    def delete(self, conversation_id: str) -> bool:
        """Delete the conversation whole; True if there was one."""
        return self._attempt("delete from", self._delete, conversation_id)

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
            n_saved = connection.scalar(
                sa.select(sa.func.count()).select_from(turns).where(turns.c.conversation_id == history.id)
            )
            fresh = history.turns[max(0, (n_saved or 0) - history.n_forgotten) :]
            first = len(history) - len(fresh)
            if fresh:
                rows = [
                    {"conversation_id": history.id, "number": first + i, "body": turn.model_dump_json()}
                    for i, turn in enumerate(fresh)
                ]
                connection.execute(sa.insert(turns), rows)

    def _load(self, conversation_id: str) -> History | None:
        with self.engine.connect() as connection:
            state = connection.scalar(sa.select(conversations.c.state).where(conversations.c.id == conversation_id))
            if state is None:
                return None
            latest = self._select(conversation_id).order_by(turns.c.number.desc()).limit(MAX_TURNS)
            rows = connection.execute(latest).all()[::-1]
        record: dict[str, Any] = json.loads(state)
        if not rows:
            return History.from_records(record, [])
        return History.from_records(record, [_turn(conversation_id, *row) for row in rows], n_forgotten=rows[0][0])

    def _turns(self, conversation_id: str) -> list[Turn]:
        with self.engine.connect() as connection:
            rows = connection.execute(self._select(conversation_id).order_by(turns.c.number)).all()
        return [_turn(conversation_id, *row) for row in rows]

    def _delete(self, conversation_id: str) -> bool:
        with self.engine.begin() as connection:
            connection.execute(sa.delete(turns).where(turns.c.conversation_id == conversation_id))
            found = connection.execute(sa.delete(conversations).where(conversations.c.id == conversation_id)).rowcount > 0
        if self.engine.dialect.name == "sqlite":  # or the write-ahead log would still hold the pages
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return found

    @staticmethod
    def _select(conversation_id: str) -> sa.Select[tuple[int, str]]:
        return sa.select(turns.c.number, turns.c.body).where(turns.c.conversation_id == conversation_id)

    def _attempt(self, what: str, action: Any, *args: Any) -> Any:
        try:
            return action(*args)
        except sa.exc.SQLAlchemyError as error:
            where = sa.make_url(self.url).render_as_string(hide_password=True)
            raise StoreError(f"could not {what} the store {where}: {error.__class__.__name__}: {error}") from error


def _turn(conversation_id: str, number: int, body: str) -> Turn:
    try:
        return Turn.model_validate_json(body)
    except ValidationError as error:
        raise HistoryError(f"turn {number} of conversation {conversation_id!r} is damaged: {error}") from error


def _sqlite_settings(connection: Any, _: Any) -> None:
    """Deleted rows are overwritten with zeros (they are biometric data); readers don't block the writer."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # no wait for the disk at each turn; a crash of the machine may cost the last
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
