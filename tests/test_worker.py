"""The Praat process: the same figures as here, whatever happens to it, and the host's event loop goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import glide, joined, silence, syllables, tone

from entrain.audio import Audio
from entrain.prosody import extract
from entrain.turn import Features
from entrain.worker import MAX_OPEN_TURNS, Hearing, Worker

ROOT = Path(__file__).parents[1]
TURN = joined(glide(120, 200, 1.2), silence(0.3), syllables(4, 1.2))
OTHER = joined(glide(260, 180, 1.5), syllables(3, 1.0))


def feed(hearing: Hearing, audio: Audio, size: int = 1600) -> None:
    for start in range(0, len(audio.samples), size):
        hearing.feed(audio.samples[start : start + size])


def heard(worker: Worker, audio: Audio, text: str = "") -> Features:
    hearing = worker.listen(audio.rate_hz)
    feed(hearing, audio)
    return hearing.finish(text)


def kill(worker: Worker) -> None:
    """From outside, as the kernel does when memory is short."""
    os.kill(worker.run(os.getpid), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def n_open(worker: Worker) -> int:
    """Turns that the process holds."""
    return worker.run(eval, "len(__import__('entrain.worker').worker._turns)")


def test_a_turn_heard_there_equals_one_measured_here(worker: Worker) -> None:
    assert heard(worker, TURN) == extract(TURN)
    assert heard(worker, TURN, "We open at nine.") == extract(TURN, "We open at nine.")


def test_it_is_another_process(worker: Worker) -> None:
    assert worker.run(os.getpid) != os.getpid()


def test_several_turns_may_be_heard_at_once(worker: Worker) -> None:
    first, second = worker.listen(16_000), worker.listen(16_000)
    for start in range(0, 48_000, 1600):
        for hearing, audio in ((first, TURN), (second, OTHER)):
            hearing.feed(audio.samples[start : start + 1600])
    assert second.finish() == extract(OTHER)
    assert first.finish() == extract(TURN)


def test_a_turn_of_nothing_is_too_short(worker: Worker) -> None:
    assert worker.listen(16_000).finish() == extract(Audio.empty(16_000))


def test_a_dropped_turn_is_forgotten(worker: Worker) -> None:
    before = n_open(worker)
    hearing = worker.listen(16_000)
    feed(hearing, TURN)
    assert n_open(worker) == before + 1
    hearing.drop()
    assert n_open(worker) == before


def test_a_finished_turn_is_forgotten(worker: Worker) -> None:
    before = n_open(worker)
    heard(worker, TURN)
    assert n_open(worker) == before


def test_a_buffer_used_again_does_not_change_what_was_fed(worker: Worker) -> None:
    """A sound card's callback hands out the same memory each time."""
    hearing, buffer = worker.listen(16_000), np.zeros(1600, np.float32)
    whole = TURN.samples[:32_000]
    for chunk in whole.reshape(-1, 1600):
        buffer[:] = chunk
        hearing.feed(buffer)
        buffer[:] = 9.0
    assert np.array_equal(hearing.audio.samples, whole)
    assert hearing.finish() == extract(Audio(whole, 16_000))


@pytest.mark.parametrize(
    "bad", [np.float32([0, np.nan]), np.zeros((2, 100), np.float32), np.zeros(9, np.int16)]
)
def test_bad_samples_are_left_out_and_logged_once(
    worker: Worker, bad: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """They come from a callback, which has nobody to raise to."""
    hearing = worker.listen(16_000)
    feed(hearing, TURN)
    hearing.feed(bad)
    hearing.feed(bad)
    assert hearing.finish() == extract(TURN)
    assert len(caplog.records) == 1


def test_turns_that_are_never_finished_do_not_pile_up(worker: Worker) -> None:
    first = worker.listen(16_000)
    feed(first, TURN)
    for _ in range(MAX_OPEN_TURNS + 5):
        worker.listen(16_000).feed(TURN.samples[:160])
    n_open = worker.run(eval, "len(__import__('sys').modules['entrain.worker']._turns)")
    assert n_open <= MAX_OPEN_TURNS
    assert first.finish() == extract(TURN), "it was given up, and is heard again"


def test_a_killed_host_takes_its_process_along() -> None:
    code = (
        "import os, time; from entrain.worker import Worker; worker = Worker()\n"
        "print(worker.run(os.getpid), flush=True); time.sleep(60)"
    )
    host = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    child = int(host.stdout.readline())
    host.kill()
    host.wait()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text():
            return
        time.sleep(0.1)
    pytest.fail(f"process {child} is still there")


def test_an_error_over_there_is_raised_here_and_harms_nobody(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.run(divmod, 1, 0)
    assert heard(worker, TURN) == extract(TURN)


@pytest.mark.parametrize(("n_before", "pause_s"), [(1600, 0), (24_000, 1.0), (len(TURN.samples), 0)])
def test_a_turn_survives_the_death_of_its_process(worker: Worker, n_before: int, pause_s: float) -> None:
    hearing = worker.listen(16_000)
    feed(hearing, Audio(TURN.samples[:n_before], 16_000))
    kill(worker)
    time.sleep(pause_s)
    feed(hearing, Audio(TURN.samples[n_before:], 16_000))
    assert hearing.finish("We open at nine.") == extract(TURN, "We open at nine.")
    assert heard(worker, OTHER) == extract(OTHER), "and so does the next one"


def test_run_survives_the_death_of_the_process_under_it(worker: Worker) -> None:
    kill(worker)
    assert worker.run(extract, TURN) == extract(TURN)


def test_closing_ends_the_process_and_a_closed_worker_starts_no_other() -> None:
    worker = Worker()
    pid = worker.run(os.getpid)
    worker.close()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)
    with pytest.raises(RuntimeError, match="was closed; make another"):
        worker.listen(16_000).feed(tone().samples)
    worker.close()  # twice is once


def test_the_event_loop_goes_on_while_ten_seconds_are_analysed(worker: Worker) -> None:
    long = Audio(np.tile(TURN.samples, 4)[:160_000], 16_000)

    async def longest_stall_s() -> float:
        analysis = asyncio.create_task(asyncio.to_thread(worker.run, extract, long))
        stall_s, last = 0.0, time.perf_counter()
        while not analysis.done():
            await asyncio.sleep(0.001)
            stall_s, last = max(stall_s, time.perf_counter() - last), time.perf_counter()
        assert analysis.result().duration_s == 10
        return stall_s

    assert min(asyncio.run(longest_stall_s()) for _ in range(3)) < 0.1


def test_a_script_needs_no_main_guard_and_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "host.py"
    script.write_text(
        "print('started')\n"
        "import numpy as np\n"
        "from entrain.worker import Worker\n"
        "with Worker() as worker:\n"
        "    hearing = worker.listen(16_000)\n"
        "    hearing.feed(0.1 * np.sin(np.arange(16_000) * 2 * np.pi * 100 / 16_000))\n"
        "    print(round(abs(hearing.finish().f0_mean_st), 2))\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert (done.returncode, done.stdout) == (0, "started\n0.0\n"), done.stderr


@pytest.mark.parametrize("text", ["", "we open at nine"])
def test_a_glance_at_a_pause_is_the_turns_features(worker: Worker, text: str):
    whole, glanced = worker.listen(TURN.rate_hz), worker.listen(TURN.rate_hz)
    for hearing in (whole, glanced):
        feed(hearing, TURN.part(0, 1.3))
    glanced.glance()  # a pause, but not the end
    for hearing in (whole, glanced):
        feed(hearing, TURN.part(1.3, TURN.duration_s))
    glanced.glance()
    expected = whole.finish(text)
    assert glanced.finish(text) == expected
    assert glanced.finish(text) == expected  # who asks again is told again


def test_a_glance_that_was_too_early_is_not_taken(worker: Worker):
    hearing = worker.listen(TURN.rate_hz)
    feed(hearing, TURN.part(0, 1.0))
    hearing.glance()
    feed(hearing, TURN.part(1.0, TURN.duration_s))
    assert hearing.finish() == extract(TURN)
