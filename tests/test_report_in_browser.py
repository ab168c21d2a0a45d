"""The report page in a real browser: the players play, the figures show, it fits a phone, in light and dark."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from entrain.audio import Audio
from entrain.history import History
from entrain.prosody import extract
from entrain.report import write_report
from entrain.tts import load_tts
from entrain.turn import Turn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """A report on four spoken turns."""
    voice, history, sounds = load_tts("hibari"), History("b"), {}
    for i, text in enumerate(
        [
            "Are you open on Sunday?",
            "Yes, from ten to four.",
            "And is there a garden?",
            "There is, a large one.",
        ]
    ):
        audio: Audio = voice.synthesise(text).audio
        speaker = "agent" if i % 2 else "user"
        plan = {"f0_mean_st": 12.0, "f0_shift_st": -0.4, "weight_f0": 1.0} if i % 2 else None
        features = extract(audio, text)
        history.add(Turn(speaker=speaker, start_s=3.0 * i, end_s=3.0 * i + audio.duration_s, text=text, features=features,
                         plan=plan, realised={"f0_mean_st": features.f0_mean_st} if plan else None))  # fmt: skip
        sounds[i] = audio
    return write_report(history.turns, tmp_path_factory.mktemp("report") / "report.html", audio=sounds)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_page_plays_shows_and_fits(browser, page_file, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    faults, requests = [], []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    for _ in range(50):  # wait_for_function would need a script, which the page's policy forbids
        lengths = page.evaluate("[...document.querySelectorAll('audio')].map(a => a.duration || 0)")
        if all(lengths):
            break
        page.wait_for_timeout(100)
    assert len(lengths) == 4
    assert all(length > 1 for length in lengths), "every player has its sound"
    assert page.locator("figure svg").count() >= 5
    assert all(figure.bounding_box()["height"] > 100 for figure in page.locator("figure svg").all())
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(v) for v in paper[4:-1].split(",")) < 200) == (scheme == "dark")
    assert faults == []
    assert all(url.startswith(("file:", "data:")) for url in requests), "nothing from elsewhere"
    page.close()
