"""A responder made fit for live talk: it answers within a deadline, in words that can be spoken, and never raises."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress

from entrain.reply import NoWords, Responder, ResponderError, plain_text
from entrain.turn import Turn

log = logging.getLogger(__name__)

SORRY = "Sorry, I did not get that."
CHARACTERS_PER_S = 15  # of English speech, unhurried
STUCK = 4  # replies that may still be awaited though their time is over; then none is asked until one ends


class Bounded:
    """`responder` with a deadline. `reply` gives words of at most `max_s` seconds of speech; "" where the answer holds
    nothing to say, or `cancel` was called; and `sorry` where none came: `fault` then says why, and the log, once a kind."""

    def __init__(
        self, responder: Responder, timeout_s: float = 6.0, sorry: str = SORRY, max_s: float = 60.0
    ) -> None:
        self.responder, self.name = responder, responder.name
        self.timeout_s, self.sorry, self.max_s = timeout_s, sorry, max_s
        self.fault = ""
        """What was wrong with the last reply; "" if nothing."""
        self._logged: set[str] = set()
        self._room = threading.Semaphore(STUCK)
        self._answer: Future[str] = Future()

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        self.fault = ""
        if not self._room.acquire(blocking=False):
            return self._apologise("stuck", f"{STUCK} earlier replies of {self.name} are still awaited")
        answer = self._answer = Future[str]()
        asking = threading.Thread(
            target=self._ask, args=(answer, text, list(turns)), name="entrain-responder", daemon=True
        )
        asking.start()
        try:
            error = answer.exception(self.timeout_s)
        except CancelledError:
            return ""
        except TimeoutError:
            answer.cancel()  # a late answer finds nobody waiting, and is dropped
            return self._apologise("slow", f"{self.name} gave no answer in {self.timeout_s:g} s")
        if error is None:
            return self._words(answer.result())
        if isinstance(error, NoWords):
            return ""
        expected = isinstance(error, ResponderError)
        why = str(error) if expected else f"{self.name} failed: {error!r}"
        return self._apologise(type(error).__name__, why, None if expected else error)

    def cancel(self) -> None:
        """The reply being awaited, if any, returns "" at once: the user went on talking."""
        self._answer.cancel()

    def _ask(self, answer: Future[str], text: str, turns: list[Turn]) -> None:
        try:
            words = self.responder.reply(text, turns)
            with suppress(InvalidStateError):
                answer.set_result(words)
        except BaseException as error:
            with suppress(InvalidStateError):
                answer.set_exception(error)
        finally:
            self._room.release()

    def _words(self, said: str) -> str:
        if not isinstance(said, str):  # pyright: ignore[reportUnnecessaryIsInstance]  a host may not be typed
            return self._apologise("type", f"{self.name} gave {type(said).__name__}, not text")
        words = plain_text(said, round(self.max_s * CHARACTERS_PER_S))
        if len(words) < len(plain_text(said)):
            self._note("long", f"{self.name} sent {len(said)} characters; only {len(words)} are said")
        return words

    def _apologise(self, kind: str, why: str, error: BaseException | None = None) -> str:
        self._note(kind, why, error)
        return self.sorry

    def _note(self, kind: str, why: str, error: BaseException | None = None) -> None:
        self.fault = why
        if kind not in self._logged:
            self._logged.add(kind)
            log.warning("%s; going on (said once)", why, exc_info=error)


def bounded(responder: Responder, timeout_s: float = 6.0, sorry: str = SORRY, max_s: float = 60.0) -> Bounded:
    """`responder` with a deadline of `timeout_s` seconds; one that is bounded already stays as it is."""
    return responder if isinstance(responder, Bounded) else Bounded(responder, timeout_s, sorry, max_s)
