"""The page in real Chromium, with a microphone fed from a file, against the real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import joined, silence

from entrain.audio import Audio
from entrain.prosody import extract
from entrain.tts import load_tts

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install 'entrain[test]'")
for module in ("fastapi", "uvicorn"):
    pytest.importorskip(module, reason="pip install 'entrain[serve]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

TOKEN = "a token of the test's own"
REPLIES = [
    "Yes, from ten to four.",
    "On Sundays we open at ten, and we close at four. " * 6,
    "No, that is all.",
]
LONG_MS = 60_000  # nothing takes so long; it only ends a test that hangs
READY_S = 120.0


class Server:
    """`entrain serve` as a process of its own, on one port and one store however often it is started."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "replies.txt").write_text("\n".join(REPLIES), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "server.log"
        self.command = [
            sys.executable, "-m", "entrain", "serve", "--port", str(self.port), "--store", str(folder / "talks.db"),
            "--responder", f"script:{folder / 'replies.txt'}", *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        until_s = time.monotonic() + READY_S
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, f"no answer in {READY_S:g} s: {self.log.read_text()}"
            time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}healthz", timeout=1).status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def playwright():
    sync_api.expect.set_options(timeout=LONG_MS)
    with sync_api.sync_playwright() as playwright:
        yield playwright


def question() -> Audio:
    return load_tts("hibari").synthesise("Are you open on Sunday?").audio.resample(48_000)


def microphone(playwright, folder: Path, pause_s: float):
    """A browser whose microphone hears the same question again and again, with such a pause between."""
    file = joined(silence(0.5, 48_000), question(), silence(pause_s, 48_000)).write(folder / "question.wav")
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={file}",
    ]  # fmt: skip
    return playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


@pytest.fixture(scope="module")
def browser(playwright, tmp_path_factory):
    """The question comes once: then there is silence for longer than a test lasts."""
    browser = microphone(playwright, tmp_path_factory.mktemp("once"), 60.0)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def chatter(playwright, tmp_path_factory):
    """The question comes all the time: whenever the button is held, something is said."""
    browser = microphone(playwright, tmp_path_factory.mktemp("chatter"), 0.0)
    yield browser
    browser.close()


class Visit:
    """A page that was opened, and what went wrong on it."""

    def __init__(self, browser, url: str, **context) -> None:
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(LONG_MS)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda line: self.requests.append(line.url))
        self.page.goto(url)

    def done(self) -> list[str]:
        self.page.context.close()
        return self.faults

    def turns(self, speaker: str):
        return self.page.locator(f"#turns .turn.{speaker}")

    def begin_hands_free(self) -> None:
        self.page.get_by_label("Hands-free").check()
        self.page.get_by_role("button", name="Start").click()

    def download(self, button: str) -> str:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        return Path(download.value.path()).read_text(encoding="utf-8")

    def outcome(self, row: int, columns: str) -> list[str]:
        """The cells of a reply in the table, of the four dimensions: "asked", "target", "came out" or "weight"."""
        first = ["asked", "target", "came out", "weight"].index(columns)
        return self.page.locator(f"#outcome tbody tr >> nth={row} >> td").all_inner_texts()[first::4]


NUMBER = re.compile(r"−?\d+\.\d\d")


@pytest.fixture(scope="module")
def talk(browser, server) -> Iterator[Visit]:
    """A talk in which the question was heard and answered."""
    visit = Visit(browser, server.url, viewport={"width": 1200, "height": 1000})
    visit.begin_hands_free()
    visit.turns("agent").first.wait_for()
    visit.page.locator("#attention .bar").first.wait_for()
    yield visit
    visit.done()


def test_a_question_is_heard_and_answered(talk, server):
    page = talk.page
    assert "sunday" in talk.turns("user").first.inner_text().lower()
    assert REPLIES[0] in talk.turns("agent").first.inner_text()
    assert page.locator("#now .turn").count() == 0, "nobody speaks any more"
    sync_api.expect(page.locator("#state")).to_have_text("Listening")
    assert talk.faults == []
    assert all(url.split("://")[1].startswith(f"127.0.0.1:{server.port}") for url in talk.requests)
    assert any(url.startswith("ws://") for url in talk.requests), "or the line above tests nothing"


def test_the_microphone_s_way_leaves_pitch_and_level_alone(talk):
    """The browser's automatic gain would move the level; a wrong rate, the pitch."""
    heard = json.loads(talk.download("Download the history"))["turns"][0]["features"]
    asked = extract(question(), "Are you open on Sunday?")
    assert heard["f0_mean_st"] == pytest.approx(asked.f0_mean_st, abs=0.3)
    assert heard["level_db"] == pytest.approx(asked.level_db, abs=1.0)


def test_what_was_measured_planned_and_looked_at_is_shown(talk):
    page = talk.page
    assert page.locator("#charts figure").count() == 4
    assert page.locator("#charts .user .mark").count() >= 3
    assert page.locator("#charts .agent .mark").count() >= 3
    assert page.locator("#charts .aim").count() == 0, "a target has no z"
    page.get_by_label("Own units").check()
    assert page.locator("#charts .aim").count() >= 1
    assert "st re 100 Hz" in page.locator("#charts").inner_text()
    assert "in turn 2" in page.locator("#charts [role=img]").first.get_attribute("aria-label")
    for columns in ("target", "came out", "weight"):
        assert any(NUMBER.fullmatch(cell) for cell in talk.outcome(0, columns)), columns
    words = page.locator("#attention ol >> nth=-1").inner_text().lower()
    assert "ten" in words
    assert "four" in words


DRAWN = """([speaker, from, to]) => {
  const canvas = document.querySelector("#waveform"), wide = canvas.width;
  const {data} = canvas.getContext("2d").getImageData(from * wide, 0, (to - from) * wide, canvas.height);
  const wanted = getComputedStyle(canvas).getPropertyValue(`--${speaker}`).match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] === 255 && wanted.every((x, j) => data[i + j] === x)) return true;
  return false;
}"""  # is a speaker's sound there, from one share of the width to another? Now is at 1


def test_both_voices_are_drawn_as_they_sound(browser, server):
    visit = Visit(browser, server.url, viewport={"width": 800, "height": 700})
    assert not visit.page.evaluate(DRAWN, ["user", 0, 1])
    visit.begin_hands_free()
    visit.page.wait_for_function(DRAWN, arg=["user", 0.9, 1])
    assert not visit.page.evaluate(DRAWN, ["agent", 0, 1])
    visit.page.wait_for_function(DRAWN, arg=["agent", 0.9, 1])
    assert visit.page.evaluate(DRAWN, ["user", 0, 1])
    assert visit.done() == []


def test_the_loudspeaker_holds_goes_on_and_falls_silent(browser, server):
    """Loud is .5, then .25; each step waits for what it must lead to."""
    visit = Visit(browser, server.url)
    peaks = visit.page.evaluate("""async () => {
      const { Loudspeaker } = await import("/loudspeaker.js");
      let told, heard = [];
      const speaker = await Loudspeaker.open(24000, (peak) => { heard.push(peak); told?.(peak); });
      const until = async (wanted) => { while (await new Promise((resolve) => { told = resolve; }) !== wanted); };
      const second = (level) => new Int16Array(24000).fill(32768 * level);
      speaker.play(second(0.5));
      await until(0.5);
      speaker.tell("hold");
      await until(0);
      speaker.play(second(0)); // what the server sends while it holds
      speaker.play(second(0.25));
      heard = [];
      speaker.tell("release");
      await until(0.25);
      const onward = [...heard];
      speaker.tell("flush");
      await until(0);
      speaker.close();
      return onward;
    }""")
    first = peaks.index(0.5)
    assert set(peaks[:first]) <= {0}
    assert set(peaks[first:]) == {0.5, 0.25}, (
        "it goes on where it was, and what came meanwhile follows at once"
    )
    assert visit.done() == []


def test_it_goes_by_keyboard_alone(chatter, server):
    visit = Visit(chatter, server.url)
    page, keys = visit.page, visit.page.keyboard
    keys.press("Tab")
    keys.press("Enter")
    sync_api.expect(page.locator("#state")).to_have_text("Ready")
    say_something(visit)
    visit.turns("agent").first.wait_for()
    assert any(float(weight) > 0 for weight in visit.outcome(0, "weight") if weight != "–")

    page.get_by_label("Strength").focus()
    keys.press("Home")
    assert page.locator("#strength-value").inner_text() == "0.00"
    page.get_by_label("Own units").focus()
    keys.press("Space")
    assert page.get_by_label("Own units").is_checked(), "the space bar still does what it does there"
    page.locator("#press").focus()
    say_something(visit)
    page.locator("#now .turn.agent").wait_for()
    page.wait_for_function(DRAWN, arg=["agent", 0.85, 0.9])  # a word or two were heard
    keys.press("Escape")
    page.get_by_text("Interrupted: the rest was not said.").wait_for()
    assert REPLIES[1].strip() not in page.locator("#log .agent >> nth=-1").inner_text()
    assert set(visit.outcome(1, "weight")) == {"0.00"}, "the strength has reached the server"
    assert visit.done() == []


def say_something(visit: Visit) -> None:
    """With the space bar held until some of it is understood."""
    n_before = visit.turns("user").count()
    visit.page.keyboard.down("Space")
    said = visit.page.locator("#now .turn.user p")
    sync_api.expect(said).to_have_text(re.compile("[a-z]{3}"))
    assert visit.page.locator("#press").get_attribute("aria-pressed") == "true"
    visit.page.keyboard.up("Space")
    visit.turns("user").nth(n_before).wait_for()
    assert visit.page.locator("#press").get_attribute("aria-pressed") == "false"


def test_every_control_is_reached_and_shows_its_focus(talk):
    page, reached = talk.page, []
    page.locator("#press").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "[document.activeElement.id, getComputedStyle(document.activeElement).outlineWidth]"
        )
        if at[0] == "delete":
            break
        reached.append(at[0])
        assert at[1] == "3px", f"{at[0]} shows no focus"
    wanted = ["hands-free", "strength", "stop", "log", "own-units", "report", "history"]
    assert [name for name in reached if name in wanted] == wanted


PALE = """() => {
  const rgba = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((x) => x / 255).map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => { const c = rgba(getComputedStyle(element).backgroundColor);
    return c[3] === 0 ? ground(element.parentElement) : c; };
  const texts = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && !e.disabled
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return texts.flatMap((e) => {
    const style = getComputedStyle(e), [a, b] = [light(rgba(e instanceof SVGElement ? style.fill : style.color)), light(ground(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return contrast < 4.5 ? [`${contrast.toFixed(1)}: ${e.textContent}`] : [];
  });
}"""  # of every text, its contrast with its ground by WCAG's formula


@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")]
)
def test_reloaded_it_resumes_and_fits(browser, talk, width, scheme, tmp_path):
    again = Visit(browser, talk.page.url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    again.turns("agent").first.wait_for()
    assert again.page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"
    paper = again.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(v) for v in paper[4:-1].split(",")) < 200) == (scheme == "dark")
    assert again.page.locator("#attention .bar").count() > 0, "where the model looked is asked for again"
    assert again.page.evaluate(PALE) == [], "text that hardly shows"
    again.page.screenshot(path=tmp_path / f"page-{width}-{scheme}.png", full_page=True)
    assert again.done() == []


def test_what_is_kept_is_downloaded_and_deleted(browser, talk, server):
    """On a copy of the page: who has the address has the conversation."""
    visit = Visit(browser, talk.page.url)
    visit.turns("agent").first.wait_for()
    page, keys, address = visit.page, visit.page.keyboard, talk.page.url
    kept = [visit.download(f"Download the {name}") for name in ("report", "history")]
    assert kept[0].startswith("<!doctype html>")
    assert REPLIES[0] in kept[0]
    assert [turn["speaker"] for turn in json.loads(kept[1])["turns"]] == ["user", "agent"]

    delete = page.get_by_role("button", name="Delete my data")
    page.evaluate("document.querySelector('#confirm').returnValue = 'delete'")  # as after an earlier deletion
    delete.focus()
    keys.press("Enter")
    keys.press("Escape")
    assert visit.download("Download the history") == kept[1], "escaping keeps it"
    delete.focus()
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    page.get_by_text("Your data is deleted").wait_for()
    assert visit.turns("agent").count() == 0
    assert page.url != address
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server.url}v1/conversations/{address.partition('#')[2]}")
    sync_api.expect(talk.page.get_by_role("alert")).to_contain_text("deleted")
    assert visit.done() == []


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "beat"), ("reduce", "none")])
def test_nothing_moves_for_who_wants_no_motion(browser, server, motion, animation):
    visit = Visit(browser, server.url, reduced_motion=motion)
    visit.page.evaluate("document.body.dataset.state = 'thinking'")
    assert visit.page.evaluate("getComputedStyle(document.querySelector('.dot')).animationName") == animation
    visit.done()


def test_without_a_microphone_it_says_what_to_do(server, playwright):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
    visit = Visit(browser, server.url)
    visit.page.get_by_role("button", name="Start").click()
    alert = visit.page.get_by_role("alert")
    sync_api.expect(alert).to_contain_text("press Start again")
    assert visit.page.get_by_role("button", name="Start").is_enabled()
    browser.close()


def test_a_server_that_dies_and_comes_back_goes_on(browser, server):
    visit = Visit(browser, server.url)
    visit.begin_hands_free()
    visit.turns("agent").first.wait_for()
    server.kill()
    sync_api.expect(visit.page.locator("#state")).to_have_text("Server gone")
    sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("Trying again")
    server.start()
    sync_api.expect(visit.page.locator("#state")).to_have_text("Listening")
    assert "sunday" in visit.turns("user").first.inner_text().lower()
    assert visit.turns("agent").count() == 1
    visit.done()


def test_a_token_is_asked_for_and_kept_in_the_tab_only(browser, tmp_path):
    server = Server(tmp_path, "--token", TOKEN, "--strategy", "neutral", "--asr", "none")  # it starts sooner
    try:
        visit = Visit(browser, server.url)
        field = visit.page.get_by_label("This server wants a token")
        assert not field.is_visible()
        visit.page.get_by_role("button", name="Start").click()
        field.fill(TOKEN)
        visit.page.keyboard.press("Enter")
        visit.begin_hands_free()
        sync_api.expect(visit.page.locator("#state")).to_have_text("Listening")
        visit.page.get_by_label("Hands-free").uncheck()  # a new line, with the token again
        sync_api.expect(visit.page.locator("#state")).to_have_text("Ready")
        assert visit.page.get_by_role("alert").inner_text() == ""
        assert visit.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        visit.done()
    finally:
        server.kill()
