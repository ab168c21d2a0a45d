"""Sound from clients: files of any kind, of a length that is allowed."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from entrain.audio import Audio, AudioError
from entrain.limits import Refusal

CHANNELS = 8


def read_sound(sound: bytes, longest_s: float) -> Audio:
    """The audio of a file. What it says of its length is looked at first: a small file may unpack to hours."""
    soundfile: Any = import_module("soundfile")
    too_long = Refusal(413, "too_long", f"A turn may last {longest_s:g} s; send it in parts.")
    try:
        about = soundfile.info(io.BytesIO(sound))
        if about.frames > longest_s * about.samplerate:
            raise too_long
        if about.channels > CHANNELS:
            raise Refusal(422, "audio", f"{about.channels} channels; at most {CHANNELS} are taken.")
        return Audio.read(io.BytesIO(sound))
    except AudioError as error:
        raise Refusal(422, "audio", str(error)) from error
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise Refusal(422, "audio", "That is no audio file. Wav, flac, ogg or mp3 is needed.") from error
