"""Two environments, made once: entrain's (Python 3.11 or newer) and Rasa's (3.8 to 3.10; torch beside it would break it)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLUGIN = ROOT / "plugins" / "rasa"
PINS_311 = HERE / "requirements-rasa311.txt"
RASA = "rasa==3.6.21"  # the last open-source release
GOOD, FORCED = ("3.10", "3.9", "3.8"), ("3.11",)
INSTALL_S = 1_800
STAMP = "entrain-rasa.txt"


class SetUpError(RuntimeError):
    """An environment can't be made; the message says what to install."""


def find_python(versions: Sequence[str]) -> Path | None:
    """The first Python of these versions that really runs and can make environments: on the path a shim may be there that fails."""
    for version in versions:
        for candidate in _candidates(version):
            if version_of(candidate) == version:
                return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield Path(sys.executable)
    found = shutil.which(f"python{version}")
    if found:
        yield Path(found)
    for folder in (os.environ.get("PYENV_ROOT"), "~/.pyenv", "~/.local/share/uv/python", "/opt"):
        place = Path(folder).expanduser() if folder else None
        for home in ("versions/{}*", "cpython-{}*", "python{}*") if place else ():
            yield from sorted(place.glob(home.format(version) + f"/bin/python{version}"), reverse=True)


def version_of(python: Path) -> str | None:
    code = "import sys, ensurepip, ssl, sqlite3, venv; print('%d.%d' % sys.version_info[:2])"
    return _prints(python, code)


def _prints(python: Path, code: str) -> str | None:
    try:
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# --- Rasa's ---------------------------------------------------------------------------------------------------------


def rasa_python(folder: Path, tell: Callable[[str], None], base: Path | None = None) -> Path:
    """The Python of Rasa's environment in `folder`, with the plug-in as it is now. `base`: the Python to make it from."""
    python = _python_of(folder)
    stamp, wanted = (
        folder / STAMP,
        [RASA, fingerprint([PLUGIN / "pyproject.toml", *PLUGIN.glob("entrain_rasa/*.py")])],
    )
    have = stamp.read_text().split() if stamp.is_file() and python.exists() else []
    if have[:1] != wanted[:1]:
        version, made_from = _base(base)
        tell(f"{RASA} into {folder}, from {made_from} (two to four minutes, 2.7 GB)")
        # A torso, of a run that was broken off, is gone on with; one of another Python is not.
        if version_of(python) != version:
            shutil.rmtree(folder, ignore_errors=True)
            _run([made_from, "-m", "venv", folder], "venv")
        forced = ["--ignore-requires-python", "--no-deps", "-r", PINS_311] if version in FORCED else []
        _pip(python, *forced, RASA)
        stamp.write_text(RASA)
    if have != wanted:
        tell("the plug-in, entrain-rasa, into it")
        shutil.rmtree(
            PLUGIN / "build", ignore_errors=True
        )  # of an older install: setuptools would take its files too
        _pip(python, "--no-deps", "--no-build-isolation", "--force-reinstall", PLUGIN)
        stamp.write_text("\n".join(wanted))
    return python


def _base(given: Path | None) -> tuple[str, Path]:
    if given:
        version = version_of(given)
        if version not in (*GOOD, *FORCED):
            raise SetUpError(
                f"{given} is {version or 'no Python that runs'}; Rasa needs one of {', '.join(GOOD)}."
            )
        return version, given
    found = find_python(GOOD) or find_python(FORCED)
    if found is None:
        raise SetUpError(
            "Rasa 3.6 needs Python 3.8, 3.9 or 3.10 (3.11 with pinned packages), and none was found that runs. "
            "Install one: pyenv install 3.10, or uv python install 3.10, or apt install python3.10-venv; or name it: --python PATH."
        )
    return str(version_of(found)), found


# --- entrain's ------------------------------------------------------------------------------------------------------


def entrain_python(tell: Callable[[str], None]) -> Path:
    """A Python in which `entrain serve` runs: this one, or the repository's own environment, which is made if need be."""
    ours = _python_of(ROOT / ".venv")
    for python in (Path(sys.executable), ours):
        if (
            _prints(python, "import entrain, fastapi, uvicorn, python_multipart, prometheus_client")
            is not None
        ):
            return python
    base = find_python([f"3.{minor}" for minor in range(11, 15)])
    if base is None:
        raise SetUpError("entrain needs Python 3.11 or newer, and none was found that runs. Install one.")
    tell(f"entrain into {ours.parents[1]}, from {base} (two minutes; torch alone is 200 MB)")
    if not ours.exists():
        _run([base, "-m", "venv", ours.parents[1]], "venv")
    index = os.environ.get("TORCH_INDEX")  # where a CPU build of torch comes from, as for make
    _pip(
        ours,
        *(["--extra-index-url", index] if index else []),
        "--constraint",
        ROOT / "constraints.txt",
        "torch",
    )
    _pip(ours, "--constraint", ROOT / "constraints.txt", "--editable", f"{ROOT}[serve]")
    return ours


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def fingerprint(files: Iterable[Path]) -> str:
    """Of what is in them, so that what changed is made again."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]


def _pip(python: Path, *what: object) -> None:
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what], "pip install")


def _run(command: Sequence[object], name: str) -> None:
    words: list[str] = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        why = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise SetUpError(f"{name} failed: {' '.join(words)}\n{why}")
