"""The results page: every section, the same figures as in the JSON, nothing from elsewhere, and safe with any text."""

from __future__ import annotations

import re
import shutil
from functools import lru_cache
from pathlib import Path

import pytest
from simulated_runs import run, table

from entrain_training.evaluate import evaluate
from entrain_training.findings import Results
from entrain_training.looks import Weighed
from entrain_training.page import html, interval, markdown, write
from entrain_training.statistics import Estimate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@lru_cache
def results() -> Results:
    folders = [
        run("strong"),
        run("strong", "words-lookahead", epochs=0),
        run("strong", likelihood="smooth_l1"),
    ]
    return evaluate(folders, [table("strong")], n_shuffles=2)


@lru_cache
def page() -> str:
    return html(results(), "Results")


def test_three_files_are_written_the_same_each_time(tmp_path: Path):
    for folder in ("a", "b"):
        assert write(results(), tmp_path / folder) == tmp_path / folder / "results.html"
    for name in ("results.html", "results.md", "results.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert Results.model_validate_json((tmp_path / "a" / "results.json").read_text()) == results()


def test_the_figures_are_on_the_page_and_in_the_short_version():
    row = results().runs[0].find()
    assert row is not None
    for text in (page(), markdown(results(), "Results")):
        assert f"{row.smooth_l1.value:.4f}" in text
        assert interval(row.skill, 100) in text
        assert interval(results().paired[0].less_percent) in text
        for line in results().left_out:
            assert line in text.replace("&#39;", "'")


def test_every_section_has_its_plots():
    sections = dict(re.findall(r'<section id="([\w-]+)">(.*?)</section>', page(), re.DOTALL))
    n_plots = {name: text.count("<svg") for name, text in sections.items()}
    n_courses = sum(len(r.courses) for r in results().runs)
    assert n_plots == {
        "summary": 0, "skill": 3, "everything": 0, "paired": 0, "sham": 1, "calibration": 2, "courses": n_courses,
        "attention": 3, "left-out": 0,
    }  # fmt: skip
    assert n_courses >= 3
    assert "<mark" in sections["attention"]
    assert set(re.findall(r'href="#([\w-]+)"', page().split("<main>")[0])) == set(sections)


def test_nothing_comes_from_elsewhere_and_no_id_is_there_twice():
    assert not re.findall(r"<script|<link(?! rel=\"icon\" href=\"data:,\")|src=|url\((?!#)|@import", page())
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page())
    assert "default-src 'none'" in page()
    assert "prefers-color-scheme: dark" in page()
    ids = re.findall(r'\bid="([^"]+)"', page())
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page())) <= set(ids)
    assert "nan" not in re.findall(r"\b[Nn]a[Nn]\b", page())


def test_words_can_hold_anything():
    first = results().runs[1]
    look = first.looks[0].model_copy(
        update={"words": (Weighed(word="<script>", weight=1.0),), "conversation": "<b>"}
    )
    told = results().model_copy(
        update={"runs": (first.model_copy(update={"looks": (look,), "name": "a<i>|b"}),)}
    )
    text = html(told, "<title>")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<i>b" not in text
    assert r"a<i>\|b" in markdown(told, "Results")


def test_runs_without_shams_or_scale_say_so():
    bare = results().runs[2].model_copy(update={"sham": ()})
    text = html(results().model_copy(update={"runs": (bare,), "paired": (), "left_out": ()}), "Results")
    assert "none of these runs predicts a scale" in text
    assert re.search(r'id="sham">\s*<h2>[^<]*</h2>\s*<p>Not evaluated.', text)
    assert "All that there is was evaluated." in text
    assert 'id="paired"' not in text


def test_intervals_are_told_with_a_real_minus():
    assert interval(Estimate(value=-0.0123, low=-0.02, high=0.001), 100) == "−1.23 (−2.00 to 0.10)"
    assert interval(Estimate(value=0.5)) == "0.50"
    assert interval(None) == "–"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_in_a_browser_it_is_quiet_and_fits_a_phone(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = write(results(), tmp_path)
    with playwright.sync_playwright() as given:
        browser = given.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, scheme in ((1200, "dark"), (390, "light")):
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            said: list[str] = []
            tab.on("console", lambda message, said=said: said.append(message.text))
            tab.goto(path.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert not said
        browser.close()
