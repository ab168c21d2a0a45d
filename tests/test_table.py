"""The table of turns: what was written comes back, and what can't be trusted is refused by file and row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import tone
from hypothesis import given
from hypothesis import strategies as st

from entrain.turn import FEATURES, Features
from entrain_training.corpora import Conversation, Spoken

pa = pytest.importorskip("pyarrow", reason="pip install 'entrain[train]'")
pq = pytest.importorskip("pyarrow.parquet")

from entrain_training.check import check  # noqa: E402
from entrain_training.columns import EMOTION, TableError, schema  # noqa: E402
from entrain_training.features import Settings, measure  # noqa: E402
from entrain_training.table import mel_frames, read_table, write_table  # noqa: E402


def talk(name: str = "c1", n_turns: int = 4) -> Conversation:
    features = Features(rate_syll_s=4.2, duration_s=1.5)
    turns = [
        Spoken("ab"[i % 2], 2.0 * i, 2.0 * i + 1.5, f"words of {i}", features=features)
        for i in range(n_turns)
    ]
    return Conversation("made", name, tuple(turns))


def table(*talks: Conversation):
    return pa.concat_tables(
        pa.Table.from_pylist(measure(t).rows, schema()) for t in talks or (talk(), talk("c2"))
    )


def test_what_was_written_comes_back_from_the_file_and_from_its_folder(tmp_path):
    written = table()
    assert write_table([written.slice(0, 4), written.slice(4)], tmp_path / "turns.parquet") == 8
    for path in (tmp_path, tmp_path / "turns.parquet", str(tmp_path)):
        assert read_table(path).equals(written)
    assert pq.read_schema(tmp_path / "turns.parquet").metadata[b"schema"] == b"entrain-1"


def test_mel_frames_come_back_and_can_be_left_on_the_disk(tmp_path):
    path = tone(300, 2.0).write(tmp_path / "a.wav")
    spoken = Conversation(
        "made", "m", (Spoken("a", 0.0, 1.0, "la"), Spoken("b", 1.0, 2.0, "lo")), {"a": (path, 0)}
    )
    rows = measure(spoken, Settings(mel=True)).rows
    write_table([pa.Table.from_pylist(rows, schema(mel=True))], tmp_path / "turns.parquet", mel=True)
    cells = read_table(tmp_path)["mel"].to_pylist()
    assert mel_frames(cells[0]).shape == (10, 160)
    assert cells[1] is None
    assert "mel" not in read_table(tmp_path, mel=False).column_names
    assert b"float16" in pq.read_schema(tmp_path / "turns.parquet").field("mel").metadata[b"shape"]


def with_emotion(*cells: Any) -> pa.Table:
    return table().append_column(schema(emotion=True).field("emotion"), [pa.array(cells, EMOTION)])


def test_emotions_come_back(tmp_path):
    written = with_emotion([("angry", 0.25), ("calm", 0.75)], None, [], *[[("angry", 1.0)]] * 5)
    write_table([written], tmp_path / "turns.parquet", emotion=True)
    assert read_table(tmp_path).equals(written)
    assert read_table(tmp_path)["emotion"].to_pylist()[:2] == [[("angry", 0.25), ("calm", 0.75)], None]


@pytest.mark.parametrize("p", [1.5, -0.1, float("nan"), None])
def test_what_is_no_probability_is_refused(p):
    found = with_emotion([("angry", 1.0)], [("angry", p)], *[None] * 6)
    with pytest.raises(
        TableError, match=r"row 1 \(made, c1, turn 1\): emotion has something that is no probability"
    ):
        check(found, "it")


def put(column: str, row: int, value: object):
    """A change of one cell."""

    def change(found):
        cells = found[column].to_pylist()
        cells[row] = value
        at = found.column_names.index(column)
        return found.set_column(at, pa.field(column, found[column].type), pa.array(cells, found[column].type))

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop_columns(["overlap"]), "no column 'overlap'"),
        (lambda t: t.append_column("mood", pa.array([1] * 8)), "unknown column 'mood'"),
        (lambda t: t.append_column("text", t["text"]), "'text' twice"),
        (lambda t: t.set_column(4, "turn", t["turn"].cast(pa.int64())), "'turn' is int64; int32 is needed"),
        (put("rate_syll_s", 5, float("nan")), "row 5 (made, c2, turn 1): rate_syll_s is NaN"),
        (put("z_jitter", 2, float("inf")), "row 2 (made, c1, turn 2): z_jitter is NaN or infinite"),
        (put("start_s", 3, float("nan")), "start_s is NaN"),
        (put("speaker", 1, None), "row 1 (made, c1, turn 1): speaker is null"),
        (put("start_s", 0, -0.5), "row 0 (made, c1, turn 0): start_s is negative"),
        (put("end_s", 2, 3.0), "row 2 (made, c1, turn 2): end_s is before start_s"),
        (put("start_s", 2, 1.5), "row 2 (made, c1, turn 2): it starts before the turn above it"),
        (put("turn", 2, 1), "row 2 (made, c1, turn 1): this turn is there twice"),
        (put("turn", 2, 5), "turns are numbered"),
        (lambda t: t.slice(1), "row 0 (made, c1, turn 1): turns are numbered"),
        (lambda t: pa.concat_tables([t, t.slice(0, 4)]), "row 8 (made, c1, turn 0): this conversation is further up already"),
        (lambda t: pa.concat_tables([t.slice(0, 1), t.slice(0, 7)]), "this turn is there twice"),
        (put("missing", 6, "nothing"), "row 6 (made, c2, turn 2): missing is not JSON"),
        (put("missing", 6, "{}"), "f0_mean_st is null, and `missing` does not say why"),
        (put("jitter", 6, 0.1), "jitter has a value, and `missing` says that it has none"),
        (lambda t: t.slice(0, 0), "has no turns"),
    ],
)  # fmt: skip
def test_what_can_not_be_trusted_is_refused_by_file_and_row(tmp_path, change, says):
    changed = change(table())
    pq.write_table(changed.replace_schema_metadata(schema().metadata), tmp_path / "turns.parquet")
    with pytest.raises(TableError) as error:
        read_table(tmp_path)
    assert says in str(error.value)
    assert str(tmp_path / "turns.parquet") in str(error.value)


def test_the_same_turn_under_two_numbers_is_doubled():
    one = talk()
    twice = Conversation("made", "c1", (*one.turns[:2], one.turns[1], *one.turns[2:]))
    with pytest.raises(TableError, match=r"row 2 \(made, c1, turn 2\): the same speaker says the same"):
        check(table(twice), "it")


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({}, "is no table of turns"),
        ({"schema": "entrain-2", "table_version": "1"}, "has the schema 'entrain-2'; this entrain reads 'entrain-1'"),
        ({"schema": "entrain-1", "table_version": "2"}, "version '2'; this entrain reads 1. Upgrade entrain."),
        ({"schema": "entrain-1", "table_version": "0"}, "Make it again with: entrain prepare"),
    ],
)  # fmt: skip
def test_another_schema_or_version_is_refused(tmp_path, metadata, says):
    pq.write_table(table().replace_schema_metadata(metadata), tmp_path / "turns.parquet")
    with pytest.raises(TableError) as error:
        read_table(tmp_path)
    assert says in str(error.value)


def test_no_file_no_parquet_and_half_a_file_are_refused(tmp_path):
    with pytest.raises(TableError, match="entrain prepare CORPUS"):
        read_table(tmp_path)
    path = tmp_path / "turns.parquet"
    path.write_text("conv,speaker\n")
    with pytest.raises(TableError, match=r"turns\.parquet can't be read"):
        read_table(path)
    write_table([table()], path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(TableError, match="can't be read"):
        read_table(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_table([table()], tmp_path / "turns.parquet")

    def fails():
        yield table(talk("other"))
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_table(fails(), tmp_path / "turns.parquet")
    assert read_table(tmp_path).equals(table())
    assert [path.name for path in tmp_path.iterdir()] == ["turns.parquet"]


@given(st.permutations(range(8)))
def test_rows_in_any_other_order_are_refused(order):
    """But for whole conversations: which of them comes first means nothing."""
    shuffled = table().take(pa.array(order))
    if list(order) in ([*range(8)], [4, 5, 6, 7, 0, 1, 2, 3]):
        check(shuffled, "it")
    else:
        with pytest.raises(TableError, match="it, row"):
            check(shuffled, "it")


@given(st.sampled_from(("latency_s", *FEATURES, *(f"z_{name}" for name in FEATURES))), st.integers(0, 7))
def test_nan_is_found_wherever_it_is(column, row):
    with pytest.raises(TableError, match=f"row {row} .*NaN"):
        check(put(column, row, np.nan)(table()), "it")
