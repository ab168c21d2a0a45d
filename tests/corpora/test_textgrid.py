from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.textgrid import read

Interval = tuple[str, str, str]
YES: list[Interval] = [("0", "1", "yes")]


def filled(said: list[Said], speaker: str, silence: str = "") -> list[Interval]:
    """A speaker's units as intervals, with silences between them: Praat has no gaps."""
    intervals: list[Interval] = []
    end_s = "0"
    for unit in (u for u in said if u.speaker == speaker):
        if float(end_s) < float(unit.start_s):
            intervals.append((end_s, unit.start_s, silence))
        intervals.append((unit.start_s, unit.end_s, unit.text))
        end_s = unit.end_s
    return intervals


def long(path: Path, tiers: dict[str, list[Interval]], points: str = "") -> Path:
    """As Praat writes it, long format; `points`: the name of a tier of points before the others."""
    last = max(float(end) for intervals in tiers.values() for _, end, _ in intervals)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {last} ",
        "tiers? <exists> ",
    ]
    lines += [f"size = {len(tiers) + bool(points)} ", "item []: "]
    if points:
        lines += [
            "    item [1]:",
            '        class = "TextTier" ',
            f'        name = "{points}" ',
            "        xmin = 0 ",
        ]
        lines += [f"        xmax = {last} ", "        points: size = 1 ", "        points [1]:"]
        lines += ["            number = 0.5 ", '            mark = "H*" ']
    for number, (name, intervals) in enumerate(tiers.items(), 1 + bool(points)):
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier" ',
            f'        name = "{name}" ',
            "        xmin = 0 ",
        ]
        lines += [f"        xmax = {last} ", f"        intervals: size = {len(intervals)} "]
        for row, (start, end, label) in enumerate(intervals, 1):
            quoted = label.replace('"', '""')
            lines += [
                f"        intervals [{row}]:",
                f"            xmin = {start} ",
                f"            xmax = {end} ",
            ]
            lines += [f'            text = "{quoted}" ']
    return write(path, "\n".join(lines) + "\n")


def short(path: Path, tiers: dict[str, list[Interval]]) -> Path:
    last = max(end for intervals in tiers.values() for _, end, _ in intervals)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "0",
        last,
        "<exists>",
        str(len(tiers)),
    ]
    for name, intervals in tiers.items():
        lines += ['"IntervalTier"', f'"{name}"', "0", last, str(len(intervals))]
        lines += [cell for start, end, label in intervals for cell in (start, end, f'"{label}"')]
    return write(path, "\n".join(lines) + "\n")


@settings(max_examples=40, deadline=None)
@given(said=talks(speakers=("Ann", "Bob")))
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("textgrid")
    long(root / "conv.TextGrid", {who: filled(said, who, "sil") for who in ("Ann", "Bob")})
    (conversation,) = read(root)
    assert found(conversation) == turns(said, {"Ann": "Ann", "Bob": "Bob"})


@settings(max_examples=40, deadline=None)
@given(said=talks())
def test_every_word_of_a_pair_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("pair")
    for side in "AB":
        long(root / f"conv_{side}.TextGrid", {"words": filled(said, side, "#")})
    (conversation,) = read(root)
    assert conversation.id == "conv"
    assert found(conversation) == turns(said, {"A": "conv/A", "B": "conv/B"})
    assert all(turn.words and turn.words[0].start_s == 0 for turn in conversation.turns)


def test_silence_is_no_talk_and_text_is_as_written(tmp_path: Path):
    silences = [(str(n), str(n + 1), label) for n, label in enumerate(("", "sp", "SIL", "<sil>", "#", " "))]
    long(tmp_path / "c.TextGrid", {"Ann": [*silences, ("6", "7", 'she said "hi"\n then'), ("7", "8", "spa")]})
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ['she said "hi" then spa']


def test_one_tier_of_each_speaker_is_read(tmp_path: Path):
    tiers = {
        "Bob": [("0", "1", "never mind")],
        "Ann - words": [("0", "0.4", "good"), ("0.4", "1", "day")],
        "Ann - phones": [("0", "0.4", "g"), ("0.4", "1", "d")],
        "Bob - words": [("0", "0.5", "never"), ("0.5", "1", "mind")],
    }
    long(tmp_path / "conv.TextGrid", tiers, points="tones")
    (conversation,) = read(tmp_path)
    assert [(turn.speaker, turn.text) for turn in conversation.turns] == [
        ("Ann", "good day"),
        ("Bob", "never mind"),
    ]
    assert [word.text for word in conversation.turns[1].words] == ["never", "mind"]
    left_out = [line.split(", tier ")[1] for line in conversation.skipped if ", tier " in line]
    assert left_out == [
        "'tones': not of words or utterances",
        "'Ann - phones': not of words or utterances",
        "'Bob': Bob is read from 'Bob - words'",
    ]


@pytest.mark.parametrize("name", ["A", "2", "S1", "ch_2", "speaker 2", "Participant-B", "left"])
def test_what_only_tells_speakers_apart_is_no_name(tmp_path: Path, name: str):
    long(tmp_path / "conv.TextGrid", {name: YES, "Chi": YES, "S014": YES})
    (conversation,) = read(tmp_path)
    assert {turn.speaker for turn in conversation.turns} == {f"conv/{name}", "Chi", "S014"}


def test_the_formats_that_praat_writes(tmp_path: Path):
    short(tmp_path / "a.TextGrid", {"Ann": YES})
    text = long(tmp_path / "b.TextGrid", {"Ann": YES}).read_text()
    write(tmp_path / "crlf.TextGrid", text.replace("\n", "\r\n"))
    (tmp_path / "utf16.textgrid").write_bytes(text.encode("utf-16"))
    assert [found(c) for c in read(tmp_path)] == [[("Ann", 0, 1000, "yes", False)]] * 4


def test_files_with_several_speakers_are_no_pair(tmp_path: Path):
    for side in "AB":
        long(tmp_path / f"session_{side}.TextGrid", {"Ann": YES, "Bob": YES})
    assert [c.id for c in read(tmp_path)] == ["session_A", "session_B"]


@pytest.mark.parametrize("names", [("conv", "conv.A", "conv.B"), ("conv_A", "conv-A", "conv_B")])
@pytest.mark.parametrize("tiers", [{"words": YES}, {"Ann": YES, "Bob": YES}])
def test_a_conversation_that_is_there_twice_would_double_the_text(tmp_path: Path, names, tiers):
    for name in names[1:]:
        long(tmp_path / f"{name}.TextGrid", {"words": YES})
    long(tmp_path / f"{names[0]}.TextGrid", tiers)
    with pytest.raises(CorpusError, match="twice"):
        list(read(tmp_path))


@pytest.mark.parametrize("joint", ["_", ".", "-"])
def test_a_pair_is_heard_in_a_recording_each(tmp_path: Path, joint: str):
    wavs = [record(tmp_path / f"conv{joint}{side}.wav") for side in "AB"]
    for side in "AB":
        long(tmp_path / f"conv{joint}{side}.TextGrid", {"words": YES})
    (conversation,) = read(tmp_path)
    assert conversation.audio == {"conv/A": (wavs[0], 0), "conv/B": (wavs[1], 0)}
    assert conversation.skipped == ()


def test_one_recording_has_a_channel_a_speaker(tmp_path: Path):
    long(tmp_path / "two.TextGrid", {"Zoe": YES, "Ann": YES})
    long(tmp_path / "three.TextGrid", {"Zoe": YES, "Ann": YES, "Bob": YES})
    wavs = {name: record(tmp_path / f"{name}.WAV", n_channels=2) for name in ("two", "three")}
    three, two = read(tmp_path)
    assert two.audio == {"Zoe": (wavs["two"], 0), "Ann": (wavs["two"], 1)}
    assert {channel for _, channel in three.audio.values()} == {0}
    assert "2 channels for 3 speakers" in three.skipped[0]


def test_audio_that_is_not_there_is_listed(tmp_path: Path):
    long(tmp_path / "conv.TextGrid", {"Ann": YES, "Bob": YES})
    wav = record(tmp_path / "conv_Bob.wav")
    (conversation,) = read(tmp_path)
    assert conversation.audio == {"Bob": (wav, 0)}
    (missing,) = conversation.skipped
    assert "conv_Ann.wav" in missing
    assert "conv.wav" in missing


@pytest.mark.parametrize("make", [long, short])
def test_a_file_that_is_cut_off_is_never_read_as_whole(tmp_path: Path, make):
    tiers = {"Ann": [("0", "1", "yes"), ("1", "2", "no")], "Bob": [("0", "1", "well"), ("1", "2", "then")]}
    path = make(tmp_path / "conv.TextGrid", tiers)
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole.rstrip()) - 1, 5):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(CorpusError, match=r"conv\.TextGrid"):
            list(read(tmp_path))


def test_other_encodings_are_named(tmp_path: Path):
    path = long(tmp_path / "conv.TextGrid", {"Ann": [("0", "1", "h\xe9")]})
    path.write_bytes(path.read_bytes().decode().encode("latin-1"))
    with pytest.raises(CorpusError, match=r"conv\.TextGrid.*UTF-8"):
        list(read(tmp_path))


def test_the_layout_is_recognised(tmp_path: Path):
    path = long(tmp_path / "conv.TextGrid", {"Ann": YES})
    assert guess_layout(tmp_path) == "textgrid"
    assert [c.id for c in read_corpus(path)] == ["conv"]
