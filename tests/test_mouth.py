"""The mouth: what is put in comes out, in order, at any cutting; what was said is known to the sample."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain.mouth import SILENT_DB, Mouth
from tests.conftest import tone

RATE_HZ = 16_000


def ramp(n: int, start: int = 1) -> Audio:
    """Samples that tell their place."""
    return Audio(np.arange(start, start + n, dtype=np.float32) / 65_536, RATE_HZ)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=6),
    st.lists(st.integers(0, 500), min_size=1, max_size=12),
)
def test_what_is_put_in_comes_out_in_order(sentences: list[int], reads: list[int]):
    mouth = Mouth(RATE_HZ)
    mouth.begin()
    n = 0
    for number, length in enumerate(sentences):
        mouth.put(number, ramp(length, n + 1))
        n += length
    out = np.concatenate([mouth.read(size) for size in reads])
    n_read = min(n, sum(reads))
    assert np.array_equal(out[:n_read], ramp(n_read).samples)
    assert not out[n_read:].any()
    said = mouth.stop()
    assert np.array_equal(said.audio.samples, out[:n_read])
    for number, share in said.shares.items():
        before = sum(sentences[:number])
        assert share == pytest.approx(min(n_read - before, sentences[number]) / sentences[number])


def test_held_it_is_silent_and_goes_on_where_it_was():
    mouth = Mouth(RATE_HZ)
    mouth.put(0, ramp(100))
    first = mouth.read(40)
    mouth.hold()
    assert not mouth.read(40).any()
    assert mouth.speaking
    mouth.release()
    assert np.array_equal(np.concatenate([first, mouth.read(60)]), ramp(100).samples)
    assert not mouth.speaking


def test_a_new_reply_forgets_the_last():
    mouth = Mouth(RATE_HZ)
    mouth.put(0, ramp(100))
    mouth.read(10)
    mouth.hold()
    mouth.begin()
    assert not mouth.speaking
    assert mouth.began_s is None
    mouth.put(0, ramp(20))
    assert np.array_equal(mouth.read(20), ramp(20).samples)
    assert mouth.stop().shares == {0: 1.0}


def test_it_speaks_at_its_own_rate():
    mouth = Mouth(48_000)
    mouth.put(0, tone(200, 0.5, 16_000))
    assert mouth.stop().shares == {}
    mouth.put(0, tone(200, 0.5, 16_000))
    mouth.read(48_000)
    assert len(mouth.stop().audio.samples) == pytest.approx(24_000, abs=5)


def test_it_tells_when_it_began_when_it_sounds_and_how_loud():
    now_s = 10.0
    mouth = Mouth(RATE_HZ, lambda: now_s)
    assert not mouth.sounding(5)
    mouth.put(0, tone(200, 0.1, RATE_HZ, amplitude=0.1))
    mouth.read(800)
    assert mouth.began_s == 10.0
    assert mouth.level_db == pytest.approx(-23, abs=0.1)  # .1/√2
    now_s = 10.3
    mouth.read(0)
    assert mouth.sounding(0.4)
    now_s = 10.5
    assert not mouth.sounding(0.4)
    mouth.read(800)
    mouth.read(800)
    assert mouth.level_db == SILENT_DB


def test_who_waits_is_told_at_the_last_sample():
    mouth = Mouth(RATE_HZ)
    mouth.put(0, ramp(100))
    assert not mouth.wait(0.01)
    done = threading.Event()
    threading.Thread(target=lambda: mouth.wait(10) and done.set(), daemon=True).start()
    mouth.read(99)
    assert not done.wait(0.05)
    mouth.read(1)
    assert done.wait(5)
