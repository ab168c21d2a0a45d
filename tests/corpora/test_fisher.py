from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write
from test_sound import shortened, sphere

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.fisher import read

NAMES = {"A": "fe_03_00001/A", "B": "fe_03_00001/B"}
HELLO = "0.10 0.90 A: hello \n\n1.00 2.00 B: hi \n"

CALLDATA = """\
CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,APIN,ASX.DL,APHNUM,APHSET,APHTYP,BPIN,BSX.DL,BPHNUM,BPHSET,BPHTYP
00001,20021212_15:48:12,ENG01,2,3,2602,f.a,215C,1,2,1790,f.a,216C,1,1
00002,20021213_15:48:12,ENG01,2,3,2602,m.a,215C,1,2,31,f.o,216C,1,1
"""
PINDATA = """\
PIN,S_SX,S_AGE,S_YRS_EDU,NATIVE_LANG,WHERE_RAISED,#CALLS,SIDES
2602,F,54,16,English,WA,2,00001_A/f.a;00002_A/m.a
1790,F,30,16,English,PA,1,00001_B/f.a
31,F,30,16,Other,PA,1,00002_B/f.o
"""


def transcript(root: Path, text: str, call: str = "fe_03_00001") -> Path:
    path = root / "fe_03_p1_tran/data/trans" / call[6:9] / f"{call}.txt"
    return write(path, f"# {call}.sph\n# Transcribed at the LDC\n\n{text}")


def audio(root: Path, call: str = "fe_03_00001") -> Path:
    return sphere(root / "fe_03_p1_sph1/audio" / call[6:9] / f"{call}.sph")


@settings(max_examples=40, deadline=None)
@given(said=talks())
def test_every_utterance_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("fisher")
    by_start = sorted(said, key=lambda unit: unit.start_ms)
    transcript(root, "\n\n".join(f"{u.start_s} {u.end_s} {u.speaker}: {u.text} " for u in by_start))
    path = audio(root)
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)
    assert conversation.audio == {NAMES["A"]: (path, 0), NAMES["B"]: (path, 1)}
    assert conversation.skipped == ()


def test_marks_are_no_words_and_doubted_words_are(tmp_path: Path):
    text = "0.0 1.0 A: [laughter] (( oh yeah )) i [noise] know\n2.0 3.0 A: [noise]\n4.0 5.0 A: (( ))\n6 7 B: [[skip]] t._v.\n"
    transcript(tmp_path, text)
    (conversation,) = read(tmp_path)
    assert [(turn.start_s, turn.text) for turn in conversation.turns] == [
        (0.0, "oh yeah i know"),
        (4.0, ""),  # speech that the transcriber didn't understand
        (6.0, "t._v."),
    ]


@pytest.mark.parametrize("tables", [{"p1_calldata": CALLDATA}, {"pindata": PINDATA}])
def test_people_by_pin_and_the_sex_heard(tmp_path: Path, tables: dict[str, str]):
    for name, text in tables.items():
        write(tmp_path / "fe_03_p1_tran/doc" / f"fe_03_{name}.tbl", text)
    for call in ("fe_03_00001", "fe_03_00002", "fe_03_00003"):
        transcript(tmp_path, HELLO, call)
    assert [[turn.speaker for turn in c.turns] for c in read(tmp_path)] == [
        ["2602f", "1790f"],
        ["2602m", "31f"],
        ["fe_03_00003/A", "fe_03_00003/B"],
    ]


def test_nobody_talks_with_themselves(tmp_path: Path):
    write(tmp_path / "fe_03_p1_calldata.tbl", CALLDATA.replace("1790,f.a", "2602,f.a"))
    transcript(tmp_path, HELLO)
    (conversation,) = read(tmp_path)
    assert [turn.speaker for turn in conversation.turns] == list(NAMES.values())


@pytest.mark.parametrize("table", ["CALL_ID,APIN\n00001,2602\n", CALLDATA[:-60], CALLDATA.replace("m.a", "")])
def test_a_table_of_another_form_is_named(tmp_path: Path, table: str):
    write(tmp_path / "fe_03_p1_calldata.tbl", table)
    transcript(tmp_path, HELLO)
    with pytest.raises(CorpusError, match=r"fe_03_p1_calldata\.tbl is not LDC's table"):
        list(read(tmp_path))


def test_lines_that_cannot_be_read_are_listed(tmp_path: Path):
    path = transcript(
        tmp_path, HELLO + "what is this\n3.0 2.5 A: back\n-1 2 B: early\n9.0 9.5 C: who\n4.0 5."
    )
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["hello", "hi"]
    lines = [line.removeprefix(f"{path}, line ").split(":")[0] for line in conversation.skipped]
    assert lines == ["7", "8", "9", "10", "11", "no audio"]


def test_what_is_missing_is_listed(tmp_path: Path):
    transcript(tmp_path, HELLO, "fe_03_00001")
    sound = audio(tmp_path, "fe_03_00002")
    first, second = read(tmp_path)
    assert (first.audio, first.skipped) == ({}, ("no audio: fe_03_00001.sph is not there",))
    assert len(first.turns) == 2
    assert (second.turns, second.skipped) == ((), (f"{sound}: no transcript fe_03_00002.txt",))


def test_the_pieces_that_bbn_made_are_not_read(tmp_path: Path):
    transcript(tmp_path, HELLO)
    write(tmp_path / "fe_03_p1_tran/data/bbn_orig/000/reject/fe_03_00009.txt", "0 9 A: other\n")
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["hello", "hi"]


def test_compressed_audio_and_its_remedy(tmp_path: Path):
    transcript(tmp_path, HELLO)
    shortened(tmp_path / "audio/fe_03_00001.sph")
    with pytest.raises(CorpusError, match="sph2pipe"):
        list(read(tmp_path))
    wav = record(tmp_path / "audio/fe_03_00001.wav", n_channels=2)
    (conversation,) = read(tmp_path)
    assert conversation.audio[NAMES["B"]] == (wav, 1)


def test_the_audio_is_what_was_written(tmp_path: Path):
    transcript(tmp_path, HELLO)
    audio(tmp_path)
    assert guess_layout(tmp_path) == "fisher"
    (conversation,) = read_corpus(tmp_path)
    for speaker, level in (("A", 0.1), ("B", 0.2)):
        path, channel = conversation.audio[NAMES[speaker]]
        assert abs(soundfile.read(path)[0][:, channel].mean() - level) < 0.01
