"""The README's snippets and commands, run in their order in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from entrain.audio import Audio
from entrain_training.coupling import COUPLINGS
from entrain_training.simulate import simulate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = "".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL)).splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a user's turn and a table of turns in it, as the README supposes."""
    folder = tmp_path_factory.mktemp("readme")
    lines = [
        f"{talk.id},{'AB'[who]},{start_s:.2f},{end_s:.2f},{text},{4 + z[3]:.3f}"
        for talk in simulate(60, (8, 16), COUPLINGS["strong"], seed=1)
        for who, start_s, end_s, text, z in zip(
            talk.speaker, talk.start_s, talk.end_s, talk.text, talk.z.clip(-3), strict=True
        )
    ]
    (folder / "turns.csv").write_text("\n".join(["conv,speaker,start,end,text,rate", *lines]) + "\n")
    Audio.read(str(files("moonshine_voice").joinpath("assets/beckett.wav"))).part(0, 3).write(
        folder / "user.wav"
    )
    return folder


def run(folder: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet_runs(folder, number):
    run(folder, sys.executable, "-c", SNIPPETS[number])


def test_commands_run_in_their_order(folder):
    import shlex

    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        program, *args = shlex.split(command)
        assert program == "entrain"
        run(folder, sys.executable, "-m", "entrain", *args)


def test_the_test_command_is_the_one_that_ci_runs():
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_figures_are_filled_in():
    assert "make bench" in README
    assert not re.search(r"_TABLES?\b", README)
