"""What the README shows, and the example: as they are, with a microphone and a loudspeaker instead of a room."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

from sessions import Loudspeaker, Microphone
from test_session import spoken

from entrain import Entrainer

HERE = Path(__file__).parent.parent


def test_the_code_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert asyncio.iscoroutinefunction(found["begin"])
    assert found["Assistant"].__mro__[1].__name__ == "EntrainAgent"


def test_the_example_holds_a_conversation(agent: Entrainer):
    """Silero, Moonshine, ELIZA and our voice, all in their packages."""
    sys.path.insert(0, str(HERE / "examples"))
    import shop  # pyright: ignore[reportMissingImports]

    async def talk() -> Any:
        session, microphone, loudspeaker = shop.session_for(agent), Microphone(2), Loudspeaker(2)
        session.input.audio, session.output.audio = microphone, loudspeaker
        assistant = shop.Assistant(agent)
        await session.start(assistant)
        async with asyncio.timeout(40):
            while not loudspeaker.heard:
                await asyncio.sleep(0.02)
            microphone.speak(spoken("I would like to buy a new coat."))
            while len(loudspeaker.heard) < 2:
                await asyncio.sleep(0.02)
        live = assistant.live
        await session.aclose()
        await live.aside.close()
        return live.aside.talk.turns

    greeting, user, reply = asyncio.run(talk())
    assert greeting.text == "Good morning. How can I help you?"
    assert "coat" in user.text.lower()
    assert (user.speaker, reply.speaker) == ("user", "agent")
    assert reply.plan is not None
