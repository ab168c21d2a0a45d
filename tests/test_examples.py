"""Every example runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from server import spawned

from entrain.audio import Audio
from entrain.tts import load_tts

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, name: str, *args: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", *args], cwd=folder, capture_output=True, text=True,
                          timeout=300, check=False, env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tour_then_custom_loop(tmp_path):
    assert "realised" in run(tmp_path, "tour")
    said = run(tmp_path, "custom_loop", "tour-reply.wav", "tour-slow.wav")
    assert said.lower().count("fail better") == 4, "heard twice, and answered with it twice"
    assert (tmp_path / "reply-1.wav").exists()


def test_new_engine_reaches_its_aims(tmp_path):
    for line in run(tmp_path, "new_engine").splitlines():
        realised, aim = (float(word) for word in line.split("st:")[1].split("aimed at"))
        assert abs(realised - aim) < 0.5


def test_disentrainment_study_has_the_three_signs(tmp_path):
    r = {tuple(line.split()[:2]): float(line.split("r = ")[1].split()[0]) for line in
         run(tmp_path, "disentrainment_study").splitlines()}  # fmt: skip
    for feature in ("f0_mean_st", "rate_syll_s"):
        assert r["entrain", feature] > 0.5
        assert r["neutral", feature] == pytest.approx(0, abs=0.1)
        assert r["disentrain", feature] < -0.5


def test_the_client_talks_with_a_server_over_rest_and_live(tmp_path):
    pytest.importorskip("fastapi", reason="pip install 'entrain[serve]'")
    turn = (
        load_tts("hibari")
        .synthesise("Hello there, when do you open on Sunday?")
        .audio.write(tmp_path / "turn.wav")
    )
    with spawned("--responder", "eliza") as (client, _):
        said = run(tmp_path, "client", str(turn), str(client.base_url))
    assert said.count("when do you open on Sunday?") == 2, "heard over REST, and live"
    for name in ("reply.wav", "live-reply.wav"):
        assert (Audio.read(tmp_path / name).level_db or -100) > -50
