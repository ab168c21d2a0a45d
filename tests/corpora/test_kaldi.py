from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write
from test_sound import shortened, sphere

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.kaldi import read

NAMES = {"A": "2001-A", "B": "2001-B"}
WAV = "r-A r.sph\nr-B r.sph\n"
CHANNELS = "r-A r A\nr-B r B\n"


def folder(root: Path, said: list[Said], wav: str = WAV, channels: str = CHANNELS) -> Path:
    """Each speaker in a recording of their own, r-A and r-B; or of both, r, where `wav` has no sides."""
    units = {f"2001-{u.speaker}_{u.start_ms:07}_{n:03}": u for n, u in enumerate(said)}
    recording = {u.speaker: f"r-{u.speaker}" if "r-A" in wav else "r" for u in said}
    write(root / "wav.scp", wav)
    if channels:
        write(root / "reco2file_and_channel", channels)
    tables = {
        "segments": {key: f"{recording[u.speaker]} {u.start_s} {u.end_s}" for key, u in units.items()},
        "text": {key: u.text for key, u in units.items()},
        "utt2spk": {key: NAMES[u.speaker] for key, u in units.items()},
    }
    for name, table in tables.items():
        write(root / name, "".join(f"{key} {rest}\n" for key, rest in sorted(table.items())))
    return root


HELLO = [Said("A", 0, 1_000, "hello"), Said("B", 500, 2_000, "hi there")]


@settings(max_examples=40, deadline=None)
@given(said=talks())
def test_every_utterance_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = folder(tmp_path_factory.mktemp("kaldi"), said)
    path = sphere(root / "r.sph")
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)
    assert conversation.audio == {NAMES["A"]: (path, 0), NAMES["B"]: (path, 1)}
    assert (conversation.id, conversation.skipped) == ("r", ())


@pytest.mark.parametrize("channels", [CHANNELS, "r-A r 1\nr-B r 2\n", ""])
def test_a_file_for_both_or_for_each(tmp_path: Path, channels: str):
    both = sphere(tmp_path / "r.sph")
    (conversation,) = read(folder(tmp_path, HELLO, channels=channels))
    assert conversation.audio == {NAMES["A"]: (both, 0), NAMES["B"]: (both, 1)}
    each = {side: record(tmp_path / f"r-{side}.wav") for side in NAMES}
    (conversation,) = read(folder(tmp_path, HELLO, "r-A r-A.wav\nr-B r-B.wav\n", channels))
    assert conversation.audio == {NAMES["A"]: (each["A"], 0), NAMES["B"]: (each["B"], 0)}


def test_one_recording_of_all(tmp_path: Path):
    root = folder(tmp_path, HELLO, f"r {tmp_path}/r.wav\n", "")
    path = record(tmp_path / "r.wav")
    (conversation,) = read(root)
    assert conversation.audio == {NAMES["A"]: (path, 0), NAMES["B"]: (path, 0)}
    record(path, n_channels=2)
    (conversation,) = read(root)
    assert conversation.audio == {}
    assert len(conversation.skipped) == 2
    assert "reco2file_and_channel must say whose is whose" in conversation.skipped[0]


@pytest.mark.parametrize(
    "rest", ["sph2pipe -f wav -p -c 1 r.sph |", "sph2pipe -f wav -p -c 1 r.sph|", "raw_wav.1.ark:42"]
)
def test_commands_are_not_run(tmp_path: Path, rest: str):
    with pytest.raises(CorpusError, match=r"wav\.scp: r-A is a command or archive.*Convert it to wav"):
        list(read(folder(tmp_path, HELLO, f"r-A {rest}\nr-B r.wav\n")))


@pytest.mark.parametrize("name", ["wav.scp", "segments", "text", "utt2spk"])
def test_a_folder_that_is_half_there(tmp_path: Path, name: str):
    root = folder(tmp_path, HELLO)
    whole = (root / name).read_text()
    first = whole.splitlines(keepends=True)[0]
    write(root / name, first)
    with pytest.raises(CorpusError, match=r"Is the copy whole\?"):
        list(read(root))
    write(root / name, whole + first)
    with pytest.raises(CorpusError, match=rf"{name}, line 3: \S+ is there a second time"):
        list(read(root))
    (root / name).unlink()
    assert guess_layout(root) == "kaldi"
    with pytest.raises(CorpusError, match=f"{name} is not there. Is the copy whole"):
        list(read_corpus(root))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("reco2file_and_channel", "r-A r A\n", r"r-B \(no line\); a file and a channel"),
        ("reco2file_and_channel", "r-A r A\nr-B r 3\n", "r-B r 3; a file and a channel are needed"),
        ("segments", "u r-A 0\n", "u r-A 0; the recording, start and end"),
        ("segments", "u r-A zero 1\n", "u r-A zero 1; the recording, start and end"),
    ],
)
def test_lines_of_another_form_are_named(tmp_path: Path, name: str, text: str, message: str):
    root = folder(tmp_path, HELLO)
    if name == "segments":
        write(root / "text", "u hello\n")
        write(root / "utt2spk", "u ann\n")
    write(root / name, text)
    with pytest.raises(CorpusError, match=message):
        list(read(root))


def test_what_is_missing_or_no_time_is_listed(tmp_path: Path):
    back = Said("A", 3_000, 2_000, "back")
    root = folder(tmp_path, [*HELLO, back], WAV + "x x.wav\n", CHANNELS + "x x A\n")
    conversation, other = read(root)
    assert [turn.text for turn in conversation.turns] == ["hello", "hi there"]
    assert conversation.audio == {}
    assert conversation.skipped == (
        f"{root / 'segments'}, r, 2001-A, unit 2: from 3.0 to 2.0 s is no time",
        f"no audio of 2001-A: {Path('r.sph')} is not there",
        f"no audio of 2001-B: {Path('r.sph')} is not there",
    )
    assert (other.id, other.turns, other.skipped) == ("x", (), (f"{root / 'segments'}: nothing of x",))


def test_compressed_audio_names_the_tool(tmp_path: Path):
    root = folder(tmp_path, HELLO)
    shortened(root / "r.sph")
    with pytest.raises(CorpusError, match="sph2pipe"):
        list(read(root))


def test_utterances_without_words_are_turns(tmp_path: Path):
    root = folder(tmp_path, [Said("A", 0, 1_000, "")])
    (conversation,) = read(root)
    assert [turn.text for turn in conversation.turns] == [""]
