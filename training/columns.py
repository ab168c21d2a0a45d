"""The columns of the table of turns, which `entrain prepare` writes and everything that trains or evaluates reads."""

from __future__ import annotations

from importlib import import_module  # of parts without types: what they give is Any
from typing import Any

from entrain.turn import FEATURES, SCHEMA
from entrain_training.mel import HIGH_HZ, LOW_HZ, N_BANDS, N_VALUES, RATE_HZ, STACK

pa: Any = import_module("pyarrow")

TABLE_VERSION = 1

REQUIRED: dict[str, Any] = {
    "corpus": pa.string(),
    "conv": pa.string(),
    "group": pa.string(),  # of conversations that may share speakers under other names; often empty
    "speaker": pa.string(),
    "turn": pa.int32(),  # 0, 1 … in each conversation
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "text": pa.string(),
    "overlap": pa.bool_(),  # another was speaking when it began
    "n_words": pa.int32(),  # by white space
    "n_syllables": pa.int32(),  # of the text, as live; 0 where there is none
    "duration_s": pa.float64(),  # of the audio that was measured, else end less start
    "pause_ratio": pa.float64(),  # of that; 0 where speech_s is null
    "rate_source": pa.string(),  # words, nuclei, none
    "missing": pa.string(),  # JSON: each feature that is null → why
}
"""Never null."""
NULLABLE = (
    "latency_s",  # from the end of the last turn of another speaker; negative where they overlap
    "speech_s",
    "voiced_s",
    "clipped_ratio",
    *FEATURES,
    *(
        f"z_{name}" for name in FEATURES
    ),  # by what is known of the speaker in this conversation, this turn included
    *(
        f"target_{name}" for name in FEATURES
    ),  # the same without this turn: what a prediction made before it is judged by
)
"""Float64, null where not known."""
MEL_SHAPE = (
    f"(T, {N_VALUES}) float16, little-endian, row-major; a row every 100 ms is {STACK} frames in order of time, each of "
    f"{N_BANDS} log-Mel bands from {LOW_HZ:.0f} to {HIGH_HZ:.0f} Hz, of audio at {RATE_HZ} Hz"
)


EMOTION = pa.map_(pa.string(), pa.float64())
"""Label → probability; null where the turn was not judged, and `missing` says why under "emotion"."""


class TableError(ValueError):
    """The table can't be used; the message names the file and row, and says what to do."""


def schema(mel: bool = False, emotion: bool = False, **metadata: str) -> Any:
    """The columns in their order as a `pyarrow.Schema`; with `mel` the binary column, null where there is no audio, with `emotion`
    that of `EMOTION`."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in REQUIRED.items()]
    fields += [pa.field(name, pa.float64()) for name in NULLABLE]
    if emotion:
        fields.append(pa.field("emotion", EMOTION))
    if mel:
        fields.append(pa.field("mel", pa.binary(), metadata={"shape": MEL_SHAPE}))
    return pa.schema(fields, {"schema": SCHEMA, "table_version": str(TABLE_VERSION), **metadata})
