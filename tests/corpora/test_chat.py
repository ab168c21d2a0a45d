from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import Conversation, CorpusError, guess_layout, read_corpus
from entrain_training.corpora.chat import read

PEOPLE = "ANN Ann Adult, BOB Bob Adult"


def mark(start_ms: int, end_ms: int) -> str:
    return f"\x15{start_ms}_{end_ms}\x15"


def transcript(path: Path, lines: list[str], participants: str = PEOPLE, media: str = "conv, audio") -> Path:
    ids = "\n".join(
        f"@ID:\teng|sample|{person.split()[0]}|||||Adult|||" for person in participants.split(", ")
    )
    head = f"@UTF8\n@Begin\n@Languages:\teng\n@Participants:\t{participants}\n{ids}\n@Media:\t{media}\n"
    return write(
        path, f"{head}@Comment:\tcalled on a Sunday\n" + "".join(f"{line}\n" for line in lines) + "@End\n"
    )


def one(tmp_path: Path, *lines: str, **more: str) -> Conversation:
    transcript(tmp_path / "conv.cha", list(lines), **more)
    (conversation,) = read(tmp_path)
    return conversation


@settings(max_examples=40, deadline=None)
@given(said=talks(speakers=("ANN", "BOB")))
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    lines = [f"*{unit.speaker}:\t{unit.text} {mark(unit.start_ms, unit.end_ms)}" for unit in said]
    conversation = one(tmp_path_factory.mktemp("chat"), *lines)
    assert found(conversation) == turns(said, {"ANN": "Ann", "BOB": "Bob"})


@pytest.mark.parametrize(
    ("coded", "text"),
    [
        ("<I wanted> [//] &-um I want the book@s [!] .", "I want the book."),
        (
            "you [/] you &=laughs know (.) gonna [: going to] (be)cause , okay ?",
            "you know going to because, okay?",
        ),
        ("+< well 0is he &~gr grandma [*] +...", "well he grandma"),
        ("xxx ah:: New_York ⌈over⌉ ↑there #0_5 ‡ [% to Bob] !", "ah New York over there!"),
        ("it's  over\n\tthere .", "it's over there."),
        ("an open [ bracket .", "an open bracket."),
        ("þú ert góður .", "þú ert góður."),
        ("हिन्दी .", "हिन्दी."),
    ],
)
def test_the_text_has_words_and_no_codes(tmp_path: Path, coded: str, text: str):
    conversation = one(tmp_path, f"*ANN:\t{coded} {mark(0, 1500)}", "%mor:\tpro|I v|want")
    assert [turn.text for turn in conversation.turns] == [text]


def test_a_line_with_several_marks_lasts_to_the_last(tmp_path: Path):
    conversation = one(tmp_path, f"*ANN:\tfirst part . {mark(700, 1200)} second part . {mark(1300, 2600)}")
    assert found(conversation) == [("Ann", 700, 2600, "first part. second part.", False)]


def test_what_has_no_time_or_no_words_is_listed_with_its_line(tmp_path: Path):
    conversation = one(
        tmp_path,
        f"*ANN:\tyes . {mark(0, 500)}",
        "*BOB:\twhen was that ?",
        f"*BOB:\t0 [=! laughs] . {mark(600, 900)}",
        f"*ANN:\tbackwards . {mark(2000, 1000)}",
    )
    assert [turn.text for turn in conversation.turns] == ["yes."]
    said = [line for line in conversation.skipped if "audio" not in line]
    assert ["line 10: BOB has no time marks" in said[0], "line 11: BOB has no words" in said[1]] == [
        True,
        True,
    ]
    assert "from 2.0 to 1.0 s is no time" in said[2]


def test_names_are_people_and_codes_are_not(tmp_path: Path):
    lines = [
        f"*{code}:\tyes . {mark(start, start + 100)}" for start, code in enumerate(("MOT", "ANN", "B", "CAR"))
    ]
    for child in ("eve", "adam"):
        transcript(tmp_path / child / "01.cha", lines, "MOT Mother, ANN Ann Adult, B Bo Adult")
    first, second = read(tmp_path)
    assert (first.id, first.group, second.group) == ("adam/01", "adam", "eve")
    assert {turn.speaker for turn in first.turns} == {"adam/01/MOT", "Ann", "Bo", "adam/01/CAR"}


def test_two_of_one_name_are_two(tmp_path: Path):
    lines = [f"*{code}:\tyes . {mark(0, 100)}" for code in ("ONE", "TWO")]
    conversation = one(tmp_path, *lines, participants="ONE Jo Adult, TWO Jo Adult")
    assert {turn.speaker for turn in conversation.turns} == {"conv/ONE", "conv/TWO"}


def test_files_of_the_corpus_itself_are_no_group(tmp_path: Path):
    conversation = one(tmp_path, f"*A:\tyes . {mark(0, 100)}", participants="A Subject, B Subject")
    assert (conversation.group, conversation.turns[0].speaker) == ("", "conv/A")
    assert conversation.corpus == tmp_path.name


@pytest.mark.parametrize("media", ["conv, audio", "conv.wav, audio", "other, video, missing"])
def test_the_recording_lies_beside(tmp_path: Path, media: str):
    wav = record(tmp_path / "conv.wav", n_channels=2)
    lines = [f"*ANN:\tyes . {mark(0, 500)}", f"*ZOE:\tno . {mark(400, 900)}"]
    conversation = one(tmp_path, *lines, participants="ZOE Zoe Adult, ANN Ann Adult", media=media)
    assert conversation.audio == {"Zoe": (wav, 0), "Ann": (wav, 1)}  # as in @Participants, not as they begin
    assert conversation.skipped == ()


def test_a_recording_that_is_not_there_is_listed(tmp_path: Path):
    conversation = one(tmp_path, f"*BOB:\tyes . {mark(0, 500)}", media="other, audio")
    assert conversation.audio == {}
    assert "other.wav or conv.wav" in conversation.skipped[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: text.index(b"@End")], r"line 10: it stops without @End"),
        (lambda text: b"", r"@Begin"),
        (lambda text: text.replace(b"hello", b"hell\xf6"), r"line 9: not UTF-8"),
        (lambda text: text.replace(b"*ANN:", b"*ANN"), r"line 9: .* does not begin like '\*MOT:'"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, damage, message: str):
    path = transcript(tmp_path / "conv.cha", [f"*ANN:\thello . {mark(0, 500)}"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorpusError, match=rf"conv\.cha.*{message}"):
        list(read(tmp_path))


def test_the_layout_is_recognised(tmp_path: Path):
    path = transcript(tmp_path / "conv.cha", [f"*ANN:\thello . {mark(0, 500)}"])
    assert guess_layout(tmp_path) == "chat"
    assert [c.id for c in read_corpus(path)] == ["conv"]
