"""What a reply is: who gives one, how none is said, and a model's Markdown made into words to speak."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from entrain.sentences import sentences
from entrain.turn import Turn

REPLY_CHARACTERS = 5_000  # five minutes of speech; longer is a model that ran away


class ResponderError(RuntimeError):
    """There is no reply; the message says why and what to check."""


class NoWords(ResponderError):
    """The answer came and holds nothing to say: an image, a link, an empty list. The agent stays silent."""


@runtime_checkable
class Responder(Protocol):
    """Who chooses the words. Implement these two members and entrain can speak them."""

    @property
    def name(self) -> str:
        """Short, for logs and reports, as in "script:replies.txt". Never holds a key."""
        ...

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        """The agent's words in answer to `text`, what the user just said.

        `turns` is the conversation so far, oldest first; the user's turn of `text` may already be its last.
        Blocks until the words are there. Raises `ResponderError` when there are none.
        """
        ...


THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
PICTURE = r"data:image/\S+|https?://[^\s<>()]{1,1000}\.(?:png|jpe?g|gif|webp|svg)\b[^\s<>()]*"
LINK = r"<?https?://(?:www\.)?([^\s/?#:<>()]+)[^\s<>()]*?(?=[.,;:!?]*(?:[\s<>()]|\Z))>?"
# In this order. None may take more than linear time or so: a model may send 20,000 brackets, and no thread can stop `re`.
MARKS = [
    (r"!\[[^\]]{0,200}\]\([^)]{0,1000}\)", " "),
    (r"\[([^\]]{0,200})\]\([^)]{0,1000}\)", r"\1"),  # a link is its text
    (rf"\A\s*(?:<?(?:https?://|data:image/)\S+(?:\s+|\Z))+\Z|{PICTURE}", " "),  # alone it is nothing to say
    (LINK, r"\1"),  # among words it is its host
    (r"<br\b[^<>]{0,9}>", " "),
    (r"</?[A-Za-z][^<>\n]{0,500}>", ""),
    (r"^[ \t]*(?:(?:[-*_][ \t]*){3,}|\|[|: \t-]*)$", ""),  # a rule, a table's rule
    (r"^[ \t]*(?:#{1,6}|>|[-*+]|```\w*)(?:[ \t]+|$)", ""),
    (r"^[ \t]*\||\|[ \t]*$", ""),
    (r" ?\| ?", ", "),  # a table's cells
    (r"(\*\*|__|`+|(?<!\w)[*_](?=\w)|(?<=[\w.,!?])[*_](?!\w))", ""),
    (r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " "),
]
MARKDOWN = [(re.compile(pattern, re.MULTILINE), words) for pattern, words in MARKS]


def plain_text(content: str, limit: int = REPLY_CHARACTERS) -> str:
    """A reply as words to say: no reasoning, Markdown, tags or addresses, one line. Empty: nothing to say.

    At most `limit` characters, cut at a sentence's end if one lies in the second half, else at a space.
    """
    content = THINKING.sub(" ", content)[: 4 * REPLY_CHARACTERS]
    for mark, words in MARKDOWN:
        content = mark.sub(words, content)
    words = " ".join(content.split())
    return _shortened(words, limit) if any(c.isalnum() for c in words) else ""


def _shortened(words: str, limit: int) -> str:
    if len(words) <= limit:
        return words
    begun = words[:limit]
    whole = " ".join(sentences(begun, limit)[:-1])
    return whole if len(whole) >= limit / 2 else begun.rsplit(" ", 1)[0]
