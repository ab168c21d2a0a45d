from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.plain import read

NAMES = {"ann": "ann", "B": "monday/B"}
TWO = "speaker,start,end,text\nann,0,1,hello\nB,0.5,2,hi\n"


@settings(max_examples=40, deadline=None)
@given(said=talks(speakers=("ann", "B")))
def test_every_row_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("plain")
    rows = "".join(f"{u.speaker},{u.start_s},{u.end_s},{u.text}\n" for u in said)
    write(root / "monday/turns.csv", "speaker,start,end,text\n" + rows)
    audio = {NAMES[who]: (record(root / f"monday/{who}.wav"), 0) for who in NAMES}
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)
    assert (conversation.audio, conversation.skipped) == (audio, ())


def test_a_name_is_the_same_person_and_a_letter_is_not(tmp_path: Path):
    for day in ("monday", "friday"):
        write(tmp_path / day / "turns.csv", TWO)
    assert [[turn.speaker for turn in c.turns] for c in read(tmp_path)] == [
        ["ann", "friday/B"],
        ["ann", "monday/B"],
    ]


@pytest.mark.parametrize("single", [True, False])
def test_a_folder_of_folders_or_one_of_them(tmp_path: Path, single: bool):
    folder = write(tmp_path / "monday/turns.csv", TWO).parent
    flac = record(folder / "ann.flac")
    root = folder if single else tmp_path
    assert guess_layout(root) == "plain"
    (conversation,) = read_corpus(root)
    assert (conversation.id, conversation.corpus) == ("monday", root.name)
    assert [(turn.text, turn.overlap) for turn in conversation.turns] == [("hello", False), ("hi", True)]
    assert conversation.audio == {"ann": (flac, 0)}
    assert conversation.skipped == (f"{folder}: no audio: B.wav of monday/B is not there",)


def test_text_need_not_be_known(tmp_path: Path):
    write(tmp_path / "turns.csv", "speaker,start,end\nann,0,1\n")
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == [""]


def test_what_is_missing_or_left_over_is_listed(tmp_path: Path):
    write(tmp_path / "monday/turns.csv", TWO + "ann,5,4,back\nann,0,1,hello\n")
    record(tmp_path / "monday/ann.wav")
    record(tmp_path / "monday/B.wav")
    carl = record(tmp_path / "monday/carl.wav")
    record(tmp_path / "sunday/ann.wav")
    write(tmp_path / "notes/readme.txt", "")
    monday, sunday = read(tmp_path)
    assert [line.removeprefix(str(tmp_path / "monday")) for line in monday.skipped] == [
        "/turns.csv, ann, unit 2: from 5.0 to 4.0 s is no time",
        "/turns.csv, ann, unit 3: the same as one before, from 0.0 s",
        "/carl.wav: nobody of that name in turns.csv",
    ]
    assert set(monday.audio) == {"ann", "monday/B"}
    assert carl.exists()
    assert (sunday.turns, sunday.skipped) == ((), (f"{tmp_path / 'sunday'}: audio, but no turns.csv",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speaker,start\nann,0\n", "turns.csv has no column end"),
        ("speaker,start,end,mood\nann,0,1,x\n", "unknown column 'mood'"),
        ("speaker,start,end\nann,0,later\n", "turns.csv, line 2: end is 'later'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str):
    write(tmp_path / "monday/turns.csv", text)
    with pytest.raises(CorpusError, match=message):
        list(read(tmp_path))
