"""The benchmarks run, and fill in every figure the README names; how fast this machine is, is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_quick_run_prints_tables_and_keeps_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="one of the two voices")
    pytest.importorskip("pyworld", reason="one of the engines")
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    for title in (
        "Realised against target",
        "Turn end → targets",
        "Event loop",
        "A reply of",
        "import entrain",
    ):
        assert title in done.stdout
    realised = json.loads((tmp_path / "realise.json").read_text())
    by_way = {(row["voice"], row["way"]): row for row in realised}
    for voice in ("hibari:heart", "espeak:en-us"):
        open_loop, psola = by_way[voice, "knobs, open loop"], by_way[voice, "psola"]
        assert psola["f0_st"] < open_loop["f0_st"]
        assert psola["rate"] < open_loop["rate"]
    assert json.loads((tmp_path / "latency.json").read_text())["agreement"]["chunks"] == 0
    assert json.loads((tmp_path / "reply.json").read_text())["ways"]["psola"]
