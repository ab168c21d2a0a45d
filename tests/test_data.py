"""Tables → conversations → batches: nothing is lost, doubled, or given to another turn."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from simulated_runs import WORDS, dialogue

from entrain.model import MEL_BANDS, Batch, Model, ModelConfig
from entrain.turn import FEATURES, Features
from entrain_training.columns import TableError, schema
from entrain_training.corpora import Conversation, Spoken
from entrain_training.coupling import Coupling
from entrain_training.data import (
    SIMULATED,
    Dialogue,
    Side,
    all_sides,
    bounded,
    collate,
    epoch,
    read_dialogues,
    whole_conversation,
)
from entrain_training.features import Settings, measure
from entrain_training.simulate import UNMEASURED, simulate, to_table
from entrain_training.table import write_table

TEXTS = ("well I can't say", "", "Ja!", "mm-hmm", "こんにちは 世界", "we open at nine o'clock " * 30)


def talk(
    n_turns: int, seed: int = 0, mel: bool = True, n_speakers: int = 2, missing: float = 0.3
) -> Dialogue:
    """Random values, of texts that may be empty or in other scripts."""
    rng = np.random.default_rng([seed, n_turns])
    speaker = [i % n_speakers for i in range(n_turns)]
    valid = rng.random((n_turns, 7)) >= missing
    texts = [TEXTS[i] for i in rng.integers(len(TEXTS), size=n_turns)]
    made = dialogue(speaker, rng.normal(size=(n_turns, 7)), valid, texts, id=f"{seed}-{n_turns}",
                    target=rng.normal(size=(n_turns, 7)))  # fmt: skip
    n_mel = rng.integers(0, 4, n_turns)
    heard = rng.normal(size=(n_mel.sum(), MEL_BANDS)).astype(np.float16)
    return replace(made, mel=heard, n_mel=n_mel) if mel else made


def turns(batch: Batch, row: int) -> list[list[torch.Tensor]]:
    """All that is known of each real turn of a row; its words and Mel vectors unpacked."""
    words, mel = (
        torch.split(flat, n.flatten().tolist())
        for flat, n in ((batch.words, batch.n_words), (batch.mel, batch.n_mel))
    )
    n_padded = batch.real.shape[1]
    single = [getattr(batch, f.name)[row] for f in fields(batch) if f.name not in ("words", "mel")]
    return [
        [part[t] for part in single] + [words[row * n_padded + t], mel[row * n_padded + t]]
        for t in range(int(batch.real[row].sum()))
    ]


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_batch_equals_its_parts(sizes: list[tuple[int, int]]):
    sides = [Side(talk(n, seed), seed % min(n, 2)) for n, seed in sizes]
    batch = collate(sides, WORDS)
    assert len(batch.words) == batch.n_words.sum()
    assert len(batch.mel) == batch.n_mel.sum()
    for row, side in enumerate(sides):
        alone, company = turns(collate([side], WORDS), 0), turns(batch, row)
        assert len(alone) == len(company) == len(side)
        for one, other in zip(alone, company, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    padding = ~batch.real
    assert not (batch.us & padding).any()
    assert not batch.valid[padding].any()
    assert batch.n_words[padding].sum() == batch.n_mel[padding].sum() == 0


@given(st.integers(1, 20), st.integers(0, 19), st.integers(1, 20), st.integers(0, 99))
@settings(deadline=None)
def test_words_and_sounds_belong_to_their_turns_in_windows_too(
    n_turns: int, start: int, length: int, seed: int
):
    made, start = talk(n_turns, seed), min(start, n_turns - 1)
    side = Side(made, 0, start, start + length)
    edges = np.concatenate([[0], np.cumsum(made.n_mel)])
    found = turns(collate([side], WORDS), 0)
    assert len(found) == len(side) == len(made.texts[start : start + length])
    for t, (*_, words, mel) in enumerate(found, start):
        np.testing.assert_array_equal(words.numpy(), WORDS.encode(made.texts[t]))
        np.testing.assert_array_equal(mel.numpy(), made.mel[edges[t] : edges[t + 1]].astype(np.float32))


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 15), st.integers(0, 99),
    st.sampled_from(["us", "both"]),
)  # fmt: skip
@settings(deadline=None)
def test_windows_have_every_turn_that_is_predicted_once(lengths: list[int], window: int, seed: int, on: Any):
    dialogues = [replace(talk(n, mel=False, missing=0.8), id=str(i)) for i, n in enumerate(lengths)]
    sides = list(epoch(dialogues, window, np.random.default_rng(seed), on))
    for made in dialogues:
        mine = sorted((s for s in sides if s.dialogue is made), key=lambda side: side.start)
        measured = made.valid.any(1)
        assert bool(mine) == measured.any()
        assert len({side.us for side in mine}) <= 1, "from one side"
        seen = [t for side in mine for t in range(side.start, side.start + len(side))]
        assert len(seen) == len(set(seen))
        predicted = measured if on == "both" else measured & (made.speaker == (mine[0].us if mine else -1))
        assert {*np.flatnonzero(predicted)} <= {*seen}
        assert all(1 <= len(side) <= window and predicted[side.start : side.stop].any() for side in mine)


def test_windows_fall_elsewhere_each_time_and_sides_are_drawn_by_their_turns():
    made = dialogue([0, 1, 1, 1] * 25, np.ones((100, 7)))
    rng = np.random.default_rng(0)
    drawn = [sorted(epoch([made], 30, rng), key=lambda side: side.start) for _ in range(400)]
    assert len({tuple(side.start for side in sides) for sides in drawn}) > 20
    assert np.mean([sides[0].us for sides in drawn]) == pytest.approx(0.75, abs=0.07)


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 60))
@settings(deadline=None)
def test_bounded_groups_have_every_side_once_and_little_padding(lengths: list[int], n_turns: int):
    sides = all_sides([talk(n, mel=False, missing=0) for n in lengths])
    groups = bounded(sides, n_turns)
    assert sorted(map(id, sides)) == sorted(id(side) for group in groups for side in group)
    assert all(len(group) * max(map(len, group)) <= n_turns or len(group) == 1 for group in groups)


# --- normalised as published ------------------------------------------------------------------------------------------

values = hnp.arrays(np.float32, (24, 7), elements=st.floats(-100, 100, width=32))


@given(values, hnp.arrays(bool, (24, 7)), hnp.arrays(np.int64, 24, elements=st.integers(0, 2)))
@settings(deadline=None)
def test_whole_conversation_z_has_mean_0_and_sd_1_for_each_speaker(x: Any, valid: Any, speaker: Any):
    z = whole_conversation(x, valid, speaker)
    assert np.isfinite(z).all()
    assert not z[~valid].any()
    for who in range(3):
        for i in range(7):
            mine = (speaker == who) & valid[:, i]
            if mine.sum() < 2 or np.ptp(x[mine, i]) < 1e-3 * max(1, np.abs(x[mine, i]).max()):
                assert np.abs(z[mine, i]).max(initial=0) < 10
                continue
            assert z[mine, i].mean() == pytest.approx(0, abs=1e-2)
            assert z[mine, i].std(ddof=1) == pytest.approx(1, abs=1e-2)


def test_without_spread_z_is_0():
    x = np.full((5, 7), 3.7, np.float32)
    assert not whole_conversation(x, np.ones((5, 7), bool), np.zeros(5, np.int64)).any()
    assert not whole_conversation(x[:1], np.ones((1, 7), bool), np.zeros(1, np.int64)).any()


# --- tables -----------------------------------------------------------------------------------------------------------


def written(folder: Path, *conversations: Conversation, mel: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for c in conversations for row in measure(c, Settings(mel=mel)).rows]
    write_table([pa.Table.from_pylist(rows, schema(mel))], folder / "turns.parquet", mel)
    return folder


def spoken(name: str, *who: str) -> Conversation:
    features = [Features(rate_syll_s=4 + 0.3 * i, duration_s=1.5) for i in range(len(who))]
    return Conversation("made", name, tuple(
        Spoken(s, 2.0 * i, 2.0 * i + 1.5, TEXTS[i % len(TEXTS)], features=f)
        for i, (s, f) in enumerate(zip(who, features, strict=True))
    ))  # fmt: skip


def test_what_the_table_has_is_what_the_conversation_has(tmp_path: Path):
    table = to_table(simulate(3, (5, 30), Coupling(missing=0.4), seed=8))
    write_table([table], tmp_path / "turns.parquet")
    rows, place = table.to_pylist(), 0
    for made in read_dialogues([tmp_path], WORDS):
        for t in range(len(made)):
            row = rows[place]
            place += 1
            assert (made.corpus, made.id, made.names[made.speaker[t]]) == (
                row["corpus"],
                row["conv"],
                row["speaker"],
            )
            assert made.texts[t] == row["text"]
            assert made.valid[t].tolist() == [row[name] is not None for name in FEATURES]
            for prefix, found in (("z_", made.z), ("target_", made.target)):
                assert found[t] == pytest.approx([row[prefix + name] or 0.0 for name in FEATURES])
        assert made.simulated == {*FEATURES}
    assert place == len(rows)


def test_conversations_of_one_turn_and_of_one_speaker_are_read_and_learnt_from(tmp_path: Path):
    dialogues = read_dialogues(
        [written(tmp_path, spoken("one", "a"), spoken("alone", *"bbb"), spoken("two", *"cdcd"))], WORDS
    )
    assert [len(d) for d in dialogues] == [1, 3, 4]
    assert [d.sides() for d in dialogues] == [[0], [0], [0, 1]]
    sides = list(epoch(dialogues, 10, np.random.default_rng(0)))
    assert {side.dialogue.id for side in sides} == {"one", "alone", "two"}
    model = Model(ModelConfig.of("dual", word_dim=WORDS.dim))
    predicted = model(collate(sides, WORDS))
    assert torch.isfinite(predicted.location).all()
    predicted.location.sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


def test_nobody_is_us_who_has_nothing_to_predict(tmp_path: Path):
    two = spoken("two", *"abab")
    silent = tuple(
        replace(turn, features=Features(missing={})) if turn.speaker == "b" else turn for turn in two.turns
    )
    found = read_dialogues([written(tmp_path, replace(two, turns=silent))], WORDS)
    assert found[0].sides() == [0]
    assert not found[0].simulated


def test_the_simulators_mark_is_seen_in_a_real_corpus():
    assert UNMEASURED.startswith(SIMULATED)
    assert to_table(simulate(1, 5, Coupling(), 1))["corpus"][0].as_py().startswith(SIMULATED)


def changed(folder: Path, column: str, row: int, value: Any) -> Path:
    """A table of six turns with another value in one cell."""
    table = pa.Table.from_pylist(measure(spoken("c", *"ababab")).rows, schema())
    cells = table[column].to_pylist()
    cells[row] = value
    kind = table.schema.field(column)
    write_table(
        [table.set_column(table.column_names.index(column), kind, pa.array(cells, kind.type))],
        folder / "turns.parquet",
    )
    return folder


@pytest.mark.parametrize("column", ["target_rate_syll_s", "z_rate_syll_s"])
def test_a_z_score_without_its_target_is_refused(tmp_path: Path, column: str):
    with pytest.raises(TableError, match=r"made, c, turn 3 has a z-score without a target, or the reverse"):
        read_dialogues([changed(tmp_path, column, 3, None)], WORDS)


def test_a_conversation_in_two_tables_is_refused(tmp_path: Path):
    one, other = (written(tmp_path / name, spoken("c1", *"ab"), spoken(name, *"ab")) for name in ("x", "y"))
    with pytest.raises(TableError, match=r"made c1 is in two of .*/x, .*/y\. Give each conversation once"):
        read_dialogues([one, other], WORDS)


def test_spectrograms_are_read_where_they_are_asked_for(tmp_path: Path):
    path = tone(300, 2.0).write(tmp_path / "a.wav")
    heard = Conversation(
        "made", "m", (Spoken("a", 0.0, 1.0, "la"), Spoken("b", 1.0, 2.0, "lo")), {"a": (path, 0)}
    )
    table = written(tmp_path, heard, mel=True)
    made = read_dialogues([table], WORDS, mel=True)[0]
    assert (made.n_mel.tolist(), made.mel.shape) == ([10, 0], (10, MEL_BANDS))
    assert made.mel.astype(np.float32).std() > 0.1
    assert not read_dialogues([table], WORDS)[0].n_mel.any()
    without = written(tmp_path / "without", spoken("c", *"ab"))
    with pytest.raises(TableError, match="has no Mel-spectrograms; make it with `entrain prepare --mel`"):
        read_dialogues([without], WORDS, mel=True)
