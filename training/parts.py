"""A part: one prepared conversation as a file of its own, so that a run that is stopped can go on.

Where a part is made, nothing is written: `make` gives its bytes, and the one process that started the run writes them in one
step. So a process or a machine may die at any time, and the same conversation may be made twice, with nothing lost or doubled.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import entrain
from entrain.turn import SCHEMA, Record
from entrain_training.check import check
from entrain_training.columns import TABLE_VERSION, schema
from entrain_training.corpora import Conversation
from entrain_training.features import Settings, measure

pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")


@dataclass(frozen=True)
class Task:
    """A conversation to prepare, and where its part goes."""

    conversation: Conversation
    settings: Settings
    fingerprint: str
    path: Path


class Told(Record):
    """What a part tells of itself, in its metadata."""

    fingerprint: str
    n_turns: int
    audio_s: float
    """Seconds of audio that were measured …"""
    cpu_s: float
    """… in so many seconds of one core, reading included."""
    notes: tuple[str, ...]


class Failure(Record):
    """A conversation that could not be prepared, and why."""

    corpus: str
    conv: str
    why: str


@dataclass(frozen=True)
class Made:
    """What became of a task: a part, as what it tells and the bytes of the file at `path`; or a failure."""

    path: Path
    told: Told | None = None
    data: bytes = b""
    failure: Failure | None = None


def make(task: Task) -> Made:
    """Measure a conversation. Whatever is wrong with it is told, not raised: the others go on."""
    try:
        started_s = time.process_time()
        found = measure(task.conversation, task.settings)
        told = Told(
            fingerprint=task.fingerprint, n_turns=len(found.rows), audio_s=found.audio_s,
            cpu_s=time.process_time() - started_s, notes=tuple(found.notes),
        )  # fmt: skip
        columns = schema(task.settings.mel, bool(task.settings.emotion), part=told.model_dump_json())
        table = pa.Table.from_pylist(found.rows, columns)
        check(table, task.conversation.id)
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd")
        return Made(task.path, told, file.getvalue())
    except Exception as error:
        return failed(task, str(error) if isinstance(error, (ValueError, OSError)) else repr(error))


def failed(task: Task, why: str) -> Made:
    return Made(
        task.path, failure=Failure(corpus=task.conversation.corpus, conv=task.conversation.id, why=why)
    )


def task_of(conversation: Conversation, settings: Settings, folder: Path) -> Task:
    return Task(conversation, settings, fingerprint(conversation, settings), folder / name_of(conversation))


def name_of(conversation: Conversation) -> str:
    """A file name that is safe anywhere, and another one for each conversation of each corpus."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{conversation.corpus}-{conversation.id}")[:80]
    return f"{readable}-{_sha256((conversation.corpus, conversation.id))[:12]}.parquet"


def fingerprint(conversation: Conversation, settings: Settings) -> str:
    """Of all that a part is made from: when any of it changes, the part is made again. Audio counts by size and date, not by
    its place, so that a corpus may be moved."""
    audio = [
        (speaker, channel, *_stamp(path)) for speaker, (path, channel) in sorted(conversation.audio.items())
    ]
    versions = (SCHEMA, TABLE_VERSION, entrain.__version__)
    emotion = (_content(settings.emotion),) if settings.emotion else ()
    return _sha256((versions, settings, conversation.group, conversation.turns, audio, *emotion))


@lru_cache(maxsize=4)
def _content(folder: str) -> str:
    """Of a model of emotion: what it is, wherever it lies."""
    files = [
        path for path in sorted(Path(folder).iterdir()) if path.suffix in (".json", ".safetensors", ".onnx")
    ]
    return _sha256([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])


def told_by(path: Path) -> Told | None:
    """What the part tells; None where it is not there or is damaged, and has to be made."""
    try:
        return Told.model_validate_json(pq.read_schema(path).metadata[b"part"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValidationError):
        return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _sha256(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()
