"""The channel: the user's sound → entrain's server → words and a few numbers → Rasa → its messages, each with its sound → the client."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, AsyncIterator, Awaitable, Callable
from weakref import WeakValueDictionary

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.exceptions import RasaException
from sanic import Blueprint, response
from sanic.request import Request

from entrain_rasa.asked import Asked, read
from entrain_rasa.messages import Message, Messages
from entrain_rasa.server import Server
from entrain_rasa.talk import Talk
from entrain_rasa.turns import conversation_id

log = logging.getLogger(__name__)
OnMessage = Callable[[UserMessage], Awaitable[Any]]
Write = Callable[[Message], Awaitable[Any]]
APOLOGY = "Sorry, I could not hear that. Please say it again."
SENT_S = 0.01  # the server has the sound by then; to read a tracker of 50 turns holds the event loop for some 10 ms
KEYS = ("url", "token", "timeout_s", "apology")


class EntrainChannel(InputChannel):
    """`POST …/webhooks/entrain/webhook`: a user's turn in, the bot's messages out. See the README for its forms."""

    def __init__(self, server: Server, apology: str = APOLOGY) -> None:
        self.server, self.apology = server, apology
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._thinking: set[asyncio.Future[None]] = set()
        self._owed: set[str] = set()  # whose history is to be begun anew

    @classmethod
    def name(cls) -> str:
        return "entrain"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> EntrainChannel:
        given = {"url": "http://127.0.0.1:8321", "timeout_s": 10.0, **(credentials or {})}
        unknown, timeout_s = sorted(set(given) - set(KEYS)), given["timeout_s"]
        if unknown:
            raise _wrong(f"{unknown} is unknown; known are {', '.join(KEYS)}")
        if not str(given["url"]).startswith(("http://", "https://")):
            raise _wrong(f"url is {given['url']!r}; one like http://127.0.0.1:8321 is needed")
        if not isinstance(timeout_s, (int, float)) or not 0 < timeout_s <= 60:
            raise _wrong(f"timeout_s is {timeout_s!r}; 0 to 60 s are allowed")
        return cls(Server(given["url"], given.get("token"), timeout_s), str(given.get("apology") or APOLOGY))

    def blueprint(self, on_new_message: OnMessage) -> Blueprint:
        hook = Blueprint("entrain_webhook")

        @hook.route("/", methods=["GET"])
        async def health(_: Request) -> Any:
            return response.json({"status": "ok"})

        @hook.route("/webhook", methods=["POST"])
        async def receive(request: Request) -> Any:
            try:
                asked = read(request)
            except ValueError as error:
                return response.json({"error": {"code": "invalid", "message": str(error)}}, 400)
            if request.args.get("stream") != "true":
                kept: Message = {"heard": {}, "messages": []}

                async def keep(line: Message) -> None:
                    kept.update(line) if "heard" in line else kept["messages"].append(line)

                await self.turn(asked, request.app.ctx.agent, on_new_message, keep)
                return response.json(kept)
            stream = await request.respond(content_type="application/x-ndjson")
            await self.turn(
                asked, request.app.ctx.agent, on_new_message, lambda m: stream.send(json.dumps(m) + "\n")
            )
            return await stream.eof()

        @hook.listener("after_server_stop")
        async def close(*_: Any) -> None:
            await self.server.close()

        return hook

    async def turn(self, asked: Asked, agent: Any, on_new_message: OnMessage, write: Write) -> None:
        """One turn of one conversation; others of the same conversation wait until its last message has its sound."""
        async with self._turns.setdefault(asked.sender, asyncio.Lock()):
            talk = Talk(self.server, conversation_id(asked.sender))
            heard = await self._hear(talk, asked, agent)
            await write({"heard": heard})
            async for message in self._answers(asked, heard, on_new_message):
                await write(await talk.say(message))
            if heard["text"] == "/restart":
                await self._forget(talk, asked.sender)

    async def _hear(self, talk: Talk, asked: Asked, agent: Any) -> Message:
        """What was said and how; as the first turn, where Rasa has begun anew. Its tracker is looked at while the server listens."""
        heard, anew = await asyncio.gather(
            talk.hear(asked.audio, asked.text), _begun_anew(agent, asked.sender, SENT_S if asked.audio else 0)
        )
        late = (anew or asked.sender in self._owed) and heard["entrain"].get("turn") != 0
        if late and await self._forget(talk, asked.sender) and asked.audio:
            return await talk.hear(asked.audio, asked.text)
        return heard

    async def _forget(self, talk: Talk, sender: str) -> bool:
        """Now; or at the next turn, where the server is not there."""
        done = await talk.forget()
        (self._owed.discard if done else self._owed.add)(sender)
        return done

    def _answers(self, asked: Asked, heard: Message, on_new_message: OnMessage) -> AsyncIterator[Message]:
        """What the bot says, as it says it; an apology where nothing was understood."""
        messages = Messages()
        if not heard["text"]:
            messages.queue.put_nowait({"recipient_id": asked.sender, "text": self.apology})
            messages.queue.put_nowait(None)
            return messages.all()
        about = {"entrain": heard["entrain"]} if heard["entrain"] else {}
        message = UserMessage(
            heard["text"], messages, asked.sender, None, self.name(), metadata={**asked.metadata, **about}
        )
        thinking = asyncio.ensure_future(_think(on_new_message, message, messages))
        self._thinking.add(thinking)  # so that Rasa's turn is done even if the client leaves
        thinking.add_done_callback(self._thinking.discard)
        return messages.all()


def _wrong(why: str) -> RasaException:
    return RasaException(f"credentials.yml, {__package__}.EntrainChannel: {why}.")


async def _think(on_new_message: OnMessage, message: UserMessage, messages: Messages) -> None:
    try:
        await on_new_message(message)
    except Exception:
        log.exception("entrain: Rasa failed at a message")
    finally:
        messages.queue.put_nowait(None)


async def _begun_anew(agent: Any, sender: str, after_s: float) -> bool:
    """Whether Rasa knows nothing of the conversation: it is new, was restarted, or Rasa was, without a tracker store."""
    try:
        await asyncio.sleep(after_s)
        tracker = await agent.tracker_store.retrieve(sender)
        return tracker is None or tracker.latest_message is None or not tracker.latest_message.text
    except Exception:
        log.exception("entrain: Rasa's tracker store failed")
        return False
