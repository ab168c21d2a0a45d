"""Kokoro's 54 speakers: files of styles that the npm package kokoro-js carries (Apache-2.0), fetched once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from entrain_training.schedule import TrainingError

PACKAGE = "kokoro-js@1.2.1"
SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
VOICES = "package/voices/"  # in it


def fetched(folder: Path) -> Path | None:
    """`folder` with the .bin files in it, for `--voices kokoro:FOLDER`; None where they are not and there is no npm to fetch them.
    Raises `TrainingError` when it is another package, or npm fails."""
    if any(folder.glob("*.bin")):
        return folder
    if not (npm := shutil.which("npm")):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingError(f"npm could not fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
    return unpacked(folder / done.stdout.strip().splitlines()[-1], folder)


def unpacked(package: Path, folder: Path) -> Path:
    """The voices alone; the package is removed."""
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise TrainingError(f"{package} is not {PACKAGE} (sha256 {found[:12]}…, {SHA256[:12]}… is right).")
    with tarfile.open(package) as file:
        for member in file.getmembers():
            if (
                member.name.startswith(VOICES)
                and member.name.endswith(".bin")
                and (data := file.extractfile(member))
            ):
                (folder / Path(member.name).name).write_bytes(data.read())
    package.unlink()
    return folder
