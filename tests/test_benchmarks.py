"""The benchmarks run, and fill in every figure the README names; how fast this machine is, is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from batches import alone, batch_of, config_of
from torch.testing import assert_close

from benchmarks.faithful import Faithful
from benchmarks.talks import batches, talks

ROOT = Path(__file__).parents[1]


def quick(out: Path, *only: str) -> str:
    """What these print."""
    parts = [word for name in only for word in ("--only", name)]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--quick", "--out", str(out), *parts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_quick_run_prints_tables_and_keeps_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="one of the two voices")
    pytest.importorskip("pyworld", reason="one of the engines")
    printed = quick(tmp_path, "realise", "latency", "reply")
    for title in (
        "Realised against target",
        "Turn end → targets",
        "Event loop",
        "A reply of",
        "import entrain",
    ):
        assert title in printed
    realised = json.loads((tmp_path / "realise.json").read_text())
    by_way = {(row["voice"], row["way"]): row for row in realised}
    for voice in ("hibari:heart", "espeak:en-us"):
        open_loop, psola = by_way[voice, "knobs, open loop"], by_way[voice, "psola"]
        assert psola["f0_st"] < open_loop["f0_st"]
        assert psola["rate"] < open_loop["rate"]
    assert json.loads((tmp_path / "latency.json").read_text())["agreement"]["chunks"] == 0
    assert json.loads((tmp_path / "reply.json").read_text())["ways"]["psola"]


@pytest.mark.slow
def test_the_networks_figures_are_printed_and_kept(tmp_path: Path) -> None:
    printed = quick(tmp_path, "train_speed", "live_step")
    for title in ("Training, words-lookahead", "An epoch with spectrograms", "A live step after 500 turns"):
        assert title in printed
    figures = json.loads((tmp_path / "train_speed.json").read_text())
    assert figures["ratio"] == figures["turns_per_s"]["ours"] / figures["turns_per_s"]["a loop over turns"]
    assert figures["peak_mb"]["ours"] < figures["peak_mb"]["a loop over turns"]
    assert set(figures["mel_s_per_1000_turns"]) == {"words", "mel, turns of 3 s", "mel, turns of 6 s"}
    steps = json.loads((tmp_path / "live_step.json").read_text())
    assert all(0 < p50 <= p95 for p50, p95 in steps.values())
    assert {"foresee", "observe", "both"} <= set(steps)


@pytest.mark.slow
def test_the_live_figures_are_printed_and_kept(tmp_path: Path, data: Path) -> None:
    printed = quick(tmp_path, "live_reply", "voice_activity", "turn_end")
    for title in ("User stops → first audio", "Of which", "barge-in, first sound → silence"):
        assert title in printed
    figures = json.loads((tmp_path / "live_reply.json").read_text())
    assert len(figures["waits_ms"]["with entrain"]) == len(figures["waits_ms"]["without"]) == 1
    assert len(figures["barge_in_ms"]) == 1
    assert json.loads((tmp_path / "voice_activity.json").read_text())
    assert json.loads((tmp_path / "turn_end.json").read_text())


def test_the_loop_over_turns_is_a_whole_network() -> None:
    """Else it would be no fair comparison: each conversation as if alone, no turn sees itself, every parameter learns."""
    torch.manual_seed(0)
    loop = Faithful(config_of("words-lookahead")).double().eval()
    batch = batch_of(7, 4)
    predicted = loop(batch)
    for i, n in enumerate((7, 4)):
        assert_close(loop(alone(batch, i)).location[0], predicted.location[i, :n], rtol=0, atol=1e-12)
    other = batch_of(7, 4)
    other.z[:, 5:], other.context[:, 5:], other.valid[:, 5:] = 9, 9, True
    assert torch.equal(loop(other).location[:, :6], predicted.location[:, :6])
    assert not torch.equal(loop(other).location[:, 6], predicted.location[:, 6])
    (predicted.location.sum() + predicted.scale.sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in loop.parameters())


def test_benchmark_batches_are_like_the_tables(data: Path) -> None:
    given, source = talks()
    assert source == "AMI and PriMock57"
    assert sum(len(talk.speaker) for talk in given) == 64_613 + 4_870
    first = batches(1, 4, 50, mean_s=3.0)[0]
    assert first.real.shape == (4, 50)
    assert int(first.n_words.sum()) == len(first.words)
    assert int(first.n_mel.sum()) == len(first.mel)
    assert (first.us & first.real).any(1).all()
    everything = batches(1, 10_000, 160, mean_s=3.0)[0]
    assert float(everything.n_mel[everything.real].float().mean()) == pytest.approx(30, abs=1)


def test_made_up_talks_are_like_ami() -> None:
    from benchmarks.talks import _like

    rng = np.random.default_rng(0)
    words = np.concatenate([_like(rng).n_words for _ in range(100)])
    assert np.percentile(words, [25, 50, 75]) == pytest.approx([2, 6, 18], abs=1)
