"""entrain in Pipecat: the agent hears how the user talks, and answers in kind."""

from pipecat_entrain.processor import EntrainProcessor
from pipecat_entrain.voices import Conditioned, EntrainTTSService

__all__ = ["Conditioned", "EntrainProcessor", "EntrainTTSService"]
