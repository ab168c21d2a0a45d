"""The recordings of a conversation: each file opened once, and only the stretches asked for are read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import soundfile

from entrain.audio import Audio, AudioError
from entrain_training.corpora import Conversation, Spoken

MAX_SHORT_S = 0.1  # transcripts end a little after their audio; by more than this, and audio is missing
NO_AUDIO, CUT_OFF = "no audio", "audio cut off"


class Recordings:
    """Use as a context manager: it closes its files."""

    def __init__(self, conversation: Conversation) -> None:
        self.where = conversation.audio
        self.notes: list[str] = []
        """A sentence for each turn that its recording does not reach."""
        self._files: dict[Path, soundfile.SoundFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Recordings:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, turn: Spoken) -> tuple[Audio | None, str]:
        """The turn's audio, or None and why not. Raises `AudioError` for a file or channel that can't be used."""
        if turn.speaker not in self.where:
            return None, NO_AUDIO
        path, channel = self.where[turn.speaker]
        file = self._open(path)
        if not 0 <= channel < file.channels:
            raise AudioError(
                f"{path} has {file.channels} channels; {turn.speaker} should be on channel {channel}, counted from 0."
            )
        start, stop = (round(time_s * file.samplerate) for time_s in (turn.start_s, turn.end_s))
        if start >= file.frames or stop > file.frames + MAX_SHORT_S * file.samplerate:
            end_s = file.frames / file.samplerate
            self.notes.append(f"{path} ends at {end_s:.2f} s; {turn.speaker} speaks until {turn.end_s:.2f} s")
            return None, CUT_OFF
        try:
            file.seek(start)
            frames: Any = file.read(
                min(stop, file.frames) - start, dtype="float32", always_2d=True
            )  # (N, channels)
            return Audio(frames[:, channel], file.samplerate), ""
        except (soundfile.LibsndfileError, AudioError) as error:
            raise AudioError(f"{path}, {turn.start_s:.2f} to {turn.end_s:.2f} s: {error}") from error

    def _open(self, path: Path) -> soundfile.SoundFile:
        if path not in self._files:
            if not path.is_file():
                raise AudioError(f"{path}: no such file. Is the copy whole?")
            try:
                self._files[path] = self._stack.enter_context(soundfile.SoundFile(path))
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{path} is not readable as audio ({error}). Is the copy whole?") from error
        return self._files[path]
