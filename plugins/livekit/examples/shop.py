"""A shop assistant who talks as you do, without any service: entrain's ears and voice, ELIZA's words.

    python shop.py console    # by microphone and loudspeaker, on this machine
    python shop.py dev        # in LiveKit rooms: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET

Put your services in place of `Ears`, `Words` and `entrain.TTS`: the agent stays as it is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import AgentServer, AgentSession, JobContext, JobProcess, cli, inference, llm, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from entrain import Audio, Entrainer
from entrain.asr import load_recogniser
from entrain.responder import Eliza
from livekit import rtc
from livekit.plugins import entrain


class Ears(stt.STT):
    """Moonshine, in its package."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.recogniser = load_recogniser("moonshine")

    async def _recognize_impl(self, buffer: utils.AudioBuffer, **_: Any) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        audio = Audio.from_pcm16(bytes(frame.data), frame.sample_rate)
        text = (await asyncio.to_thread(self.recogniser.transcribe, audio)).text
        said = stt.SpeechData(language="en", text=text, confidence=1.0)  # pyright: ignore[reportArgumentType]
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])


class Words(llm.LLM):
    """Weizenbaum's therapist."""

    def __init__(self) -> None:
        super().__init__()
        self.eliza = Eliza()

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any
    ) -> Any:
        options = conn_options or DEFAULT_API_CONNECT_OPTIONS
        return Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=options)


class Reply(llm.LLMStream):
    async def _run(self) -> None:
        words: Any = self._llm
        said = [item.text_content or "" for item in self._chat_ctx.items if item.type == "message"]
        delta = llm.ChoiceDelta(role="assistant", content=words.eliza.reply(said[-1] if said else "", ()))
        self._event_ch.send_nowait(llm.ChatChunk(id=utils.shortuuid(), delta=delta))


class Assistant(entrain.EntrainAgent):
    def __init__(self, entrainer: Entrainer, **options: Any) -> None:
        super().__init__(entrainer=entrainer, instructions="You keep a shop. Answer briefly.", **options)

    async def on_enter(self) -> None:
        await super().on_enter()
        self.session.say("Good morning. How can I help you?")


def session_for(entrainer: Entrainer) -> AgentSession[None]:
    return AgentSession(stt=Ears(), llm=Words(), tts=entrain.TTS(entrainer), vad=inference.VAD())


server = AgentServer()


def warm(process: JobProcess) -> None:
    """The Entrainer serves every call of a process. `recogniser=None`: the session writes down what the user says."""
    process.userdata["entrainer"] = Entrainer.load(recogniser=None)


server.setup_fnc = warm


@server.rtc_session()
async def answer(job: JobContext) -> None:
    entrainer = job.proc.userdata["entrainer"]
    await session_for(entrainer).start(agent=Assistant(entrainer), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
