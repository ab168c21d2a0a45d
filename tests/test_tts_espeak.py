"""espeak-ng: what its knobs do to the sound, its word times, and that its global state stays hidden."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import parselmouth
import pytest

pytest.importorskip(
    "espeakng_loader", reason="espeakng-loader carries espeak-ng; pip install espeakng-loader"
)

from entrain.tts import Knobs, Rendition, TTSError, load_tts, speakable
from entrain.tts_espeak import Espeak

SENTENCES = (
    "The quick brown fox jumps over the lazy dog, she says.",
    "Would you like to hear more about the garden?",
    "I am not sure, but many people have told me so.",
)
VOICES = ("en-us", "en-us+f3", "de")


def measure(voice: Espeak, knobs: Knobs = Knobs()) -> np.ndarray:
    """Mean over `SENTENCES` of pitch mean and range (semitones), level (dB), duration (s). Shape `(4,)`."""
    rows: list[tuple[float, ...]] = []
    for sentence in SENTENCES:
        audio = voice.synthesise(sentence, knobs).audio
        assert audio.clipped_ratio == 0
        assert audio.level_db is not None
        sound = parselmouth.Sound(audio.samples.astype(float), audio.rate_hz)
        hz = sound.to_pitch_ac(pitch_floor=40, pitch_ceiling=500).selected_array["frequency"]
        st = 12 * np.log2(hz[hz > 0] / 100)
        rows.append((st.mean(), float(np.ptp(np.percentile(st, (5, 95)))), audio.level_db, audio.duration_s))
    return np.mean(rows, axis=0)


@pytest.fixture(scope="module", params=VOICES)
def measured(request: pytest.FixtureRequest) -> tuple[Espeak, np.ndarray]:
    voice = Espeak(request.param)
    return voice, measure(voice)


@pytest.mark.parametrize("pitch_st", [-6, -2, 2, 6, 8])
def test_pitch_moves_by_what_is_asked_and_leaves_the_rest(
    measured: tuple[Espeak, np.ndarray], pitch_st: float
) -> None:
    voice, (mean_st, range_st, level_db, duration_s) = measured[0], measured[1]
    moved = measure(voice, Knobs(pitch_st=pitch_st))
    assert moved[0] - mean_st == pytest.approx(pitch_st, abs=0.5)
    assert moved[1] / range_st == pytest.approx(1, rel=0.12)
    assert moved[2] - level_db == pytest.approx(0, abs=0.6)
    assert moved[3] / duration_s == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("range_x", [0.5, 0.75, 1.25, 1.5])
def test_range_moves_by_what_is_asked_and_leaves_the_mean(
    measured: tuple[Espeak, np.ndarray], range_x: float
) -> None:
    voice, before = measured
    moved = measure(voice, Knobs(range_x=range_x))
    assert moved[1] / before[1] == pytest.approx(range_x, rel=0.15)
    assert moved[0] - before[0] == pytest.approx(0, abs=0.6)


@pytest.mark.parametrize("rate_x", [0.6, 0.8, 1.25, 1.6])
def test_rate_is_the_inverse_of_duration(measured: tuple[Espeak, np.ndarray], rate_x: float) -> None:
    voice, before = measured
    assert before[3] / measure(voice, Knobs(rate_x=rate_x))[3] == pytest.approx(rate_x, rel=0.06)


@pytest.mark.parametrize("level_db", [-6, -3, 3, 4])
def test_level_moves_by_what_is_asked_and_never_clips(
    measured: tuple[Espeak, np.ndarray], level_db: float
) -> None:
    voice, before = measured
    assert measure(voice, Knobs(level_db=level_db))[2] - before[2] == pytest.approx(level_db, abs=0.5)


def test_applied_tells_where_range_ran_out() -> None:
    applied = (
        Espeak().synthesise("Hello there.", Knobs(pitch_st=6, range_x=1.5, rate_x=9, level_db=40)).applied
    )
    assert applied.range_x == pytest.approx(1.32, abs=0.02)
    assert (applied.pitch_st, applied.rate_x, applied.level_db) == (6, 1.6, 4)


def test_words_have_times_in_order_within_the_audio_and_pauses_left_out() -> None:
    said = Espeak().synthesise("I don't know: 1234 pounds, C++ 🙂 & <b>x</b>. Naïve café?")
    assert [word.text for word in said.words] == [
        "I", "don't", "know", "1234", "pounds", "C++", "&", "<b>x</b>", "Naïve", "café",
    ]  # fmt: skip
    times = [t for word in said.words for t in (word.start_s, word.end_s) if t is not None]
    assert len(times) == 20
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= said.audio.duration_s
    assert all((word.end_s or 0) - (word.start_s or 0) > 0.02 for word in said.words)
    know, number = said.words[2:4]
    gap = said.audio.part((know.end_s or 0) + 0.03, (number.start_s or 0) - 0.03)  # the pause at the colon
    assert gap.duration_s > 0.1
    assert (gap.level_db or -99) < (said.audio.level_db or 0) - 20


def test_words_slow_down_with_the_rate() -> None:
    usual, slow = (Espeak().synthesise(SENTENCES[0], Knobs(rate_x=x)) for x in (1, 0.7))
    ratio = (slow.words[-1].end_s or 0) / (usual.words[-1].end_s or 1)
    assert ratio == pytest.approx(1 / 0.7, rel=0.05)


@pytest.mark.parametrize("voice", ["en-us", "en-us+whisper", "en-us+klatt2"])  # plain, noisy, Klatt's
def test_the_same_request_gives_the_same_samples_whatever_came_between(voice: str) -> None:
    speak = Espeak(voice)
    first = speak.synthesise(SENTENCES[0], Knobs(pitch_st=2)).audio.samples
    Espeak("de+f2").synthesise("Etwas ganz anderes.", Knobs(-4, 1.4, 1.3, -5))
    time.sleep(1.01)  # espeak-ng seeds its noise with the second of the clock
    assert np.array_equal(first, speak.synthesise(SENTENCES[0], Knobs(pitch_st=2)).audio.samples)


def test_threads_with_different_voices_do_not_disturb_each_other() -> None:
    jobs = [(Espeak(voice), text, Knobs(st)) for voice in VOICES for text in SENTENCES for st in (0, 3)]

    def say(job: tuple[Espeak, str, Knobs]) -> Rendition:
        return job[0].synthesise(job[1], job[2])

    alone = [say(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(say, jobs))
    assert all(np.array_equal(a.audio.samples, b.audio.samples) for a, b in zip(alone, together, strict=True))
    assert [a.words for a in alone] == [b.words for b in together]


def test_five_thousand_characters() -> None:
    said = Espeak().synthesise("We open at nine. " * 300)
    assert len(said.words) == 1200
    assert 300 < said.audio.duration_s < 500


def test_languages_and_variants_by_name_and_unknown_ones_refused() -> None:
    assert load_tts("espeak:en-gb").name == "espeak:en-gb"  # which espeak itself refuses
    assert len(load_tts("espeak:fr").synthesise("Bonjour.").audio.samples) > 1000
    with pytest.raises(TTSError, match=r"no language 'en-xx'.*Select one of .*en-us"):
        Espeak("en-xx")
    with pytest.raises(TTSError, match=r"no variant 'f99'.*Select one of .*f3"):
        Espeak("en-us+f99")


def test_speakable_keeps_positions_and_drops_what_has_no_sound() -> None:
    assert speakable("Hi 🙂 there\x00 \ud800you") == "Hi   there   you"
    assert [speakable(text) for text in ("", " \n", "🙂👍🏽", "...", "—")] == [""] * 5
