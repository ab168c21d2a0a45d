"""What a bot says in one turn, in its order."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Dict

from rasa.core.channels.channel import CollectingOutputChannel

Message = Dict[str, Any]


class Messages(CollectingOutputChannel):
    """What the bot says in one turn, as it says it. Rasa holds the conversation's lock meanwhile, so nothing is awaited here."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Message | None] = asyncio.Queue()

    @classmethod
    def name(cls) -> str:
        return "entrain"

    async def _persist_message(self, message: Message) -> None:
        self.queue.put_nowait(message)

    async def send_elements(self, recipient_id: str, elements: Any, **kwargs: Any) -> None:
        self.queue.put_nowait({"recipient_id": recipient_id, "elements": list(elements)})

    async def all(self) -> AsyncIterator[Message]:
        while True:
            message = await self.queue.get()
            if message is None:
                return
            yield message
