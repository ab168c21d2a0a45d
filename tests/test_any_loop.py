"""The page for plug-in authors: its snippets run, against a server where they need one, and its table is what the code holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from server import spawned

from entrain.audio import Audio
from entrain.levers import VOICES
from entrain.tts import load_tts

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loop")
    Audio.read(str(files("moonshine_voice").joinpath("assets/beckett.wav"))).part(0, 3).write(
        folder / "user.wav"
    )
    load_tts("hibari").synthesise("Yes, from ten to four.").audio.write(folder / "reply.wav")
    shutil.copy(ROOT / "entrain" / "data" / "voices" / "hibari-heart.json", folder / "voice.json")
    return folder


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with spawned("--strategy", "weighted") as (client, _):
        yield str(client.base_url).removeprefix("http://").rstrip("/")


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet_runs(folder: Path, number: int, request: pytest.FixtureRequest):
    snippet = SNIPPETS[number]
    if "127.0.0.1:8321" in snippet:
        snippet = snippet.replace("127.0.0.1:8321", request.getfixturevalue("url"))
    file = folder / f"test_snippet_{number}.py"
    file.write_text(snippet)
    program = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "class Test" in snippet else []
    done = subprocess.run(
        [sys.executable, *program, file.name], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for said in re.findall(r"print\(.*  # (.*)", snippet):
        assert said in done.stdout


def test_the_table_of_voices_is_the_codes():
    rows = {cells[1].strip(): line for line in PAGE.splitlines() if len(cells := line.split("|")) == 6}
    for name, levers in VOICES.items():
        for lever in levers:
            assert f"`{lever.name}`: " in rows[name]
            assert f"{lever.low:g}…{lever.high:g}" in rows[name]
        assert rows[name].count("`: ") == len(levers)
