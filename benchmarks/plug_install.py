"""Each plug-in in a fresh environment of its framework's current release: what it adds in time and size, and does it fit?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
LIMIT_S = 1_800


@dataclass(frozen=True)
class PlugIn:
    framework: str
    """As pip finds its current release (Rasa's: the last open one)."""
    folder: str
    module: str
    alone: bool = False
    """It talks to `entrain serve`, which has an environment of its own."""


PLUGINS = (
    PlugIn("pipecat-ai", "pipecat", "pipecat_entrain"),
    PlugIn("livekit-agents", "livekit", "livekit.plugins.entrain"),
    PlugIn("rasa==3.6.21", "rasa", "entrain_rasa", alone=True),
)


def run(console: Console, quick: bool = False) -> list[dict[str, object]]:
    """`quick`: pip only says what it would install."""
    table = Table(
        "framework",
        "version",
        "install, s",
        "MB",
        "with entrain, s",
        "MB more",
        "pip check",
        title="Installing the plug-ins",
    )
    rows: list[dict[str, object]] = []
    for plug_in in PLUGINS:
        base = _python(plug_in)
        if base is None:
            console.print(f"plug_install: {plug_in.folder} is left out; no Python 3.8 to 3.10 runs here.")
            continue
        with tempfile.TemporaryDirectory() as folder, console.status(f"{plug_in.framework} …"):
            row = installed(plug_in, base, Path(folder), quick)
        rows.append(row)
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    return rows


def installed(plug_in: PlugIn, base: Path, folder: Path, quick: bool) -> dict[str, object]:
    subprocess.run([base, "-m", "venv", folder], check=True, timeout=LIMIT_S)
    python = folder / "bin" / "python"
    dry = ["--dry-run"] if quick else []
    framework_s = pip(python, [*dry, plug_in.framework])
    framework_mb = size_mb(folder)
    ours = [str(ROOT / "plugins" / plug_in.folder)]
    if not plug_in.alone:  # torch first: its own build for a machine without a GPU
        torch = [
            line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")
        ]
        ours = [*torch, str(ROOT), *ours]
    added_s = pip(python, [*dry, *ours, plug_in.framework])
    check = subprocess.run(
        [python, "-m", "pip", "check"], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    if not quick:
        subprocess.run([python, "-c", f"import {plug_in.module}"], check=True, timeout=LIMIT_S)
    return {
        "framework": plug_in.framework, "version": "" if quick else version(python, plug_in.framework),
        "install_s": round(framework_s), "mb": round(framework_mb), "entrain_s": round(added_s),
        "more_mb": round(size_mb(folder) - framework_mb), "check": "clean" if check.returncode == 0 else check.stdout.strip(),
    }  # fmt: skip


def pip(python: Path, what: Sequence[str]) -> float:
    """Seconds. Raises `RuntimeError` with pip's own words where it fails: a conflict is what this is about."""
    began_s = time.perf_counter()
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise RuntimeError(f"pip install {' '.join(what)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - began_s


def version(python: Path, framework: str) -> str:
    name = framework.partition("==")[0]
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def size_mb(folder: Path) -> float:
    return (
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        / 1e6
    )


def _python(plug_in: PlugIn) -> Path | None:
    if not plug_in.alone:
        return Path(sys.executable)
    sys.path.insert(0, str(ROOT / "examples" / "rasa-bot"))
    from bot_environments import GOOD, find_python

    return find_python(GOOD)
