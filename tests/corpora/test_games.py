from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from praatio import textgrid
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.games import read

NAMES = {"A": "s01/A", "B": "s01/B"}
TASK = "s01.objects.1"


def words(root: Path, side: str, lines: list[str], task: str = TASK) -> Path:
    return write(root / f"{task}.{side}.words", "\n".join(lines) + "\n")


def grid(root: Path, side: str, said: list[Said], tier: str = "words", task: str = TASK) -> Path:
    """With tones beside, as Columbia has them."""
    end_s = said[-1].end_ms / 1000
    entries = [(u.start_ms / 1000, u.end_ms / 1000, u.text) for u in said]
    file = textgrid.Textgrid()
    file.addTier(textgrid.PointTier("tones", [(end_s / 2, "H*")], 0, end_s))
    file.addTier(textgrid.IntervalTier("breaks", [(0, end_s, "4")], 0, end_s))
    file.addTier(textgrid.IntervalTier(tier, entries, 0, end_s))
    path = root / f"{task}.{side}.TextGrid"
    file.save(str(path), format="long_textgrid", includeBlankSpaces=True)
    return path


@settings(max_examples=40, deadline=None)
@given(said=talks())
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("games")
    for side in NAMES:
        own = [u for u in said if u.speaker == side]
        silences = [f"{a.end_s} {b.start_s} #" for a, b in pairwise(own)]
        words(root, side, [f"{u.start_s} {u.end_s} {u.text}" for u in own] + silences)
        record(root / f"{TASK}.{side}.wav")
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)
    assert [w.text for t in conversation.turns for w in t.words] == [
        text for t in conversation.turns for text in t.text.split()
    ]
    assert conversation.audio == {NAMES[side]: (root / f"{TASK}.{side}.wav", 0) for side in NAMES}
    assert conversation.skipped == ()


@settings(max_examples=15, deadline=None)
@given(said=talks())
def test_textgrids_say_the_same(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("games")
    for side in NAMES:
        grid(root, side, [u for u in said if u.speaker == side])
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)


def test_words_go_before_textgrids(tmp_path: Path):
    grid(tmp_path, "A", [Said("A", 0, 1_000, "grid")])
    words(tmp_path, "A", ["0 1 file"])
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["file"]


def test_textgrids_without_words_or_cut_off(tmp_path: Path):
    path = grid(
        tmp_path, "A", [Said("A", 0, 1_000, "one"), Said("A", 2_000, 3_000, "two")], tier="orthography"
    )
    with pytest.raises(CorpusError, match="tiers tones, breaks, orthography; give the one"):
        list(read(tmp_path))
    whole = path.read_text().replace("orthography", "words")
    for cut in (whole[:80], whole[: whole.rindex("intervals [")], whole[: whole.rindex("text =")], ""):
        path.write_text(cut)
        with pytest.raises(CorpusError, match=r"s01\.objects\.1\.A\.TextGrid"):
            list(read(tmp_path))


def test_what_is_no_word_is_left_out(tmp_path: Path):
    words(tmp_path, "A", ["0 1 #", "1 2 sí", "2 2.2 <laugh>", "2.2 3 [noise]", "3 4 no"])
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["sí", "no"]


def test_tasks_of_a_session_have_the_same_two_people_and_sessions_one_group(tmp_path: Path):
    for task in ("s01.objects.1", "s01.cards.10", "s02.objects.1", "pilot"):
        for side in NAMES:
            words(tmp_path, side, ["0 1 yes"], task)
    assert [(c.id, [t.speaker for t in c.turns], c.group) for c in read(tmp_path)] == [
        ("pilot", ["pilot/A", "pilot/B"], ""),
        ("s01.cards.10", ["s01/A", "s01/B"], "games"),
        ("s01.objects.1", ["s01/A", "s01/B"], "games"),
        ("s02.objects.1", ["s02/A", "s02/B"], "games"),
    ]


def test_one_wav_of_two_channels(tmp_path: Path):
    for side in NAMES:
        words(tmp_path / "data", side, ["0 1 yes"])
    wav = record(tmp_path / f"audio/{TASK}.wav", n_channels=2)
    (conversation,) = read(tmp_path)
    assert conversation.audio == {"s01/A": (wav, 0), "s01/B": (wav, 1)}


def test_what_is_missing_or_damaged_is_listed(tmp_path: Path):
    path = words(tmp_path, "A", ["0 1 yes", "3 2 back", "4 5", "6.0"])
    record(tmp_path / "s01.objects.2.A.wav")
    first, second = read(tmp_path)
    assert [turn.text for turn in first.turns] == ["yes"]
    assert [line.removeprefix(str(path)) for line in first.skipped[:4]] == [
        "no words of B: s01.objects.1.B.words is not there",
        ", line 2: from 3 to 2 s is no time",
        ", line 3: '4 5' is not like '0.286 0.363 a'",
        ", line 4: '6.0' is not like '0.286 0.363 a'",
    ]
    assert sum("no audio" in line for line in first.skipped) == 2
    assert (second.id, second.turns, list(second.audio)) == ("s01.objects.2", (), ["s01/A"])
    assert len(second.skipped) == 3


def test_the_real_excerpt(data: Path):
    root = data / "two_channel"
    assert guess_layout(root) == "games"
    (conversation,) = read_corpus(root)
    assert conversation.id == "examples_data_test"
    for side in "AB":
        speaker = f"examples_data_test/{side}"
        lines = (root / f"examples_data_test-{side}.words").read_text("utf-8").splitlines()
        said = [line.split()[2] for line in lines if not line.endswith("#")]
        own = [turn for turn in conversation.turns if turn.speaker == speaker]
        assert [w.text for turn in own for w in turn.words] == said
        assert " ".join(turn.text for turn in own).split() == said
        assert conversation.audio[speaker] == (root / f"examples_data_test-{side}.wav", 0)
    assert [turn.text for turn in conversation.turns[1:5]] == ["el payaso", "sí", "em", "está"]
    assert conversation.turns[4].overlap
    assert conversation.skipped == ()
