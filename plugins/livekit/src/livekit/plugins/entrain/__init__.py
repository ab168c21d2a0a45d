"""entrain for LiveKit Agents: an agent that talks as the user does, and a voice that can.

`EntrainAgent` hears the user, decides how each reply should sound, and makes any TTS sound so; `TTS` is the Entrainer's own voice.
"""

from livekit.agents import Plugin

from .agent import EntrainAgent, How
from .log import logger
from .settings import dial_of, levers_of
from .version import __version__
from .voice import TTS

__all__ = ["TTS", "EntrainAgent", "How", "__version__", "dial_of", "levers_of"]


class EntrainPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(EntrainPlugin())
