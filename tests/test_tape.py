"""The tape: any stretch of what was heard, at any cutting, until it is forgotten."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from entrain.tape import Tape


@given(
    st.lists(st.integers(0, 400), max_size=20),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 3000),
)
def test_a_part_is_what_was_heard_then(cuts: list[int], first: int, last: int, forgotten: int):
    whole = np.arange(sum(cuts), dtype=np.float32)
    tape, n = Tape(1000), 0
    for cut in cuts:
        tape.add(whole[n : n + cut])
        n += cut
    assert tape.now_s == n / 1000
    assert np.array_equal(tape.part(first / 1000, last / 1000), whole[first:last])
    tape.forget(forgotten / 1000)
    assert np.array_equal(tape.part(forgotten / 1000, last / 1000), whole[forgotten:last])
    assert tape.now_s == n / 1000


def test_what_is_forgotten_takes_no_room():
    tape = Tape(16_000)
    for _ in range(1000):
        tape.add(np.zeros(320, np.float32))
        tape.forget(tape.now_s - 1)
    assert len(tape._chunks) <= 51  # pyright: ignore[reportPrivateUsage]
    assert len(tape.part(0, 20)) <= 16_320
