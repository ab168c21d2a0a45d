"""The report: its structure as a browser would parse it, its numbers, and the conversations at the edges."""

from __future__ import annotations

import base64
import io
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entrain.audio import Audio
from entrain.report import DIMENSIONS, Dimension, aim, clock, missed, number, told_as, write_report
from entrain.strategy import Looked
from entrain.turn import FEATURES, Features, Turn

VOID = {"meta", "link", "br", "hr", "img", "input", "source", "wbr"}
SVG_SELF_CLOSING = {"path", "use", "rect", "line", "circle"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element] = []
        self.own_text = ""

    @property
    def text(self) -> str:
        return " ".join((self.own_text + " " + " ".join(child.text for child in self.children)).split())

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        found: list[Element] = []
        for child in self.children:
            wanted = all(
                child.attributes.get(k.rstrip("_").replace("_", "-")) == v for k, v in attributes.items()
            )
            if (not tag or child.tag == tag) and wanted:
                found.append(child)
            found += child.all(tag, **attributes)
        return found


class Page(HTMLParser):
    """A tree; fails where tags do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(self.source)
        self.close()
        assert self.open == [self.root], f"left open: {[element.tag for element in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute twice in <{tag}>"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        self.open[-1].own_text += data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.root, name)


def make_turns(n: int = 8) -> list[Turn]:
    """A slow, low user, and an agent that follows; the user's second turn is whispered, the agent's second failed."""
    rng, turns = random.Random(5), []
    for i in range(n):
        user = i % 2 == 0
        measured: dict[str, Any] = dict(zip(FEATURES, (2.0, 5.0, -30.0, 3.9, 0.012, 0.07, 0.11), strict=True))
        if not user:
            measured |= {"f0_mean_st": 11.0, "f0_range_st": 7.0, "level_db": -24.0, "rate_syll_s": 4.5}
        measured = {name: value * (1 + 0.02 * rng.random()) for name, value in measured.items()}
        z: list[float | None] = [rng.gauss(-1, 0.2) for _ in FEATURES]
        missing: dict[str, str] = {}
        if i == 2:
            missing = {"f0_mean_st": "unvoiced", "f0_range_st": "unvoiced"}
            measured |= dict.fromkeys(missing)
            z[0] = z[1] = None
        spoken = {d.feature: measured[d.feature] for d in DIMENSIONS}
        plan = {
            **spoken, "f0_mean_st": (measured["f0_mean_st"] or 0) - 0.03, "rate_syll_s": measured["rate_syll_s"] / 1.01,
            "f0_shift_st": -1.2, "f0_range_factor": 0.9, "rate_factor": 0.93, "level_shift_db": -1.0,
            "weight_f0": 0.8, "weight_range": 0.0, "weight_rate": 0.5, "weight_level": 1.0,
        }  # fmt: skip
        turns.append(
            Turn(
                speaker="user" if user else "agent",
                start_s=3.0 * i,
                end_s=3.0 * i + 2.5,
                text=f"These are the words of turn {i + 1}.",
                features=Features(**measured, missing=missing),
                z=tuple(z),
                latency_s=0.5 if i else None,
                plan=None if user else plan,
                realised=None if user else spoken,
                fault="synthesis took too long" if i == 3 else "",
            )
        )
    return turns


def tone(duration_s: float = 0.2) -> Audio:
    times = np.arange(round(16_000 * duration_s)) / 16_000
    return Audio((0.3 * np.sin(2 * np.pi * 220 * times)).astype(np.float32), 16_000)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("report")
    audio = {0: tone(), 1: tone().write(folder / "1.wav"), 2: folder / "gone.wav", 3: Audio.empty(16_000)}
    path = write_report(
        make_turns(), folder / "deep" / "r.html", "At the kiosk", audio, {"Voice": "hibari:heart"}
    )
    assert path == folder / "deep" / "r.html"
    return Page(path)


def table_of(page: Page, section: str) -> list[list[str]]:
    (table,) = page.all("section", id=section)[0].all("table")
    return [[cell.text for cell in row.children] for row in table.all("tbody")[0].all("tr")]


# --- structure


def test_it_is_one_page_with_landmarks_and_a_language(page: Page) -> None:
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    assert page.source.lstrip().lower().startswith("<!doctype html>")
    for tag in ("title", "h1", "main", "nav"):
        assert len(page.all(tag)) == 1
    assert page.all("title")[0].text == page.all("h1")[0].text == "At the kiosk"
    assert [heading.text for heading in page.all("h2")] == [
        "Prosody over time",
        "Target and outcome",
        "Transcript",
    ]
    assert page.all("meta", name="viewport")
    assert [(dt.text, dd.text) for dt, dd in zip(page.all("dt"), page.all("dd"), strict=True)] == [
        ("Voice", "hibari:heart")
    ]


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: Page) -> None:
    assert not page.all("script")
    assert not page.all("iframe")
    for element in page.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            if name in ("src", "href", "srcset", "data", "poster", "action", "xlink:href"):
                assert (value or "").startswith(("#", "data:")), (element.tag, name, value)
    assert not re.search(r"@import|url\((?!#)", page.source)
    assert not re.search(r"https?://", page.source)
    (policy,) = [meta for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert (policy.attributes["content"] or "").startswith("default-src 'none'")


def test_every_id_is_there_once_and_every_link_leads_to_one(page: Page) -> None:
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    aims = [
        e.attributes["href"] or "" for e in page.all() if (e.attributes.get("href") or "").startswith("#")
    ]
    aims += ["#" + name for name in re.findall(r"url\(#([^)]+)\)", page.source)]
    assert aims
    assert {aim[1:] for aim in aims} <= set(ids)


def test_it_is_readable_in_light_and_dark_and_on_a_phone(page: Page) -> None:
    (style,) = page.all("style")
    css = style.own_text
    assert "@media (prefers-color-scheme: dark)" in css
    light, dark = (
        set(re.findall(r"(--[a-z]+): #", part)) for part in css.split("@media (prefers-color-scheme: dark)")
    )
    assert light == dark >= {"--paper", "--ink", "--user", "--agent"}
    assert "max-width: 30rem" in css
    assert ":focus-visible" in css
    for svg in page.all("svg"):
        styles = " ".join(e.attributes.get("style") or "" for e in svg.all())
        assert not re.findall(r"(?:fill|stroke): #", styles), "a colour that can't follow the scheme"
        assert "width" not in svg.attributes
    assert page.all("svg")[0].all("text"), "text stays text"


def contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_contrast_is_that_of_wcag_aa_in_both_schemes(page: Page) -> None:
    for scheme in page.all("style")[0].own_text.split("@media (prefers-color-scheme: dark)"):
        colours = dict(re.findall(r"--([a-z]+): #([0-9a-f]{6})", scheme))
        for name in ("ink", "soft", "user", "agent", "fault"):
            for ground in ("paper", "card"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_figures_say_what_they_show(page: Page) -> None:
    figures = page.all("figure")
    steered = ["Pitch", "Rate", "Level"]  # the range's weight is 0: nothing was asked, nothing is drawn
    captions = [figure.all("figcaption")[0].own_text.strip() for figure in figures]
    assert captions == ["Pitch", "Pitch range", "Rate", "Level", *steered]
    labels = [figure.all("div", role="img")[0].attributes["aria-label"] or "" for figure in figures]
    assert labels[0].startswith("Pitch over time; user, 3 of 4 turns measured, 2.0")
    assert "agent, 4 of 4 turns measured, 11.0" in labels[0]
    assert all(svg.attributes["aria-hidden"] == "true" for svg in page.all("svg"))


def test_players_hold_their_sound(page: Page) -> None:
    import soundfile

    players = page.all("audio")
    assert [player.attributes["aria-label"] for player in players] == ["Turn 1, user", "Turn 2, agent"]
    for player in players:
        kind, data = (player.attributes["src"] or "").split(",")
        assert kind == "data:audio/flac;base64"
        samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
        assert rate_hz == 16_000
        np.testing.assert_allclose(samples, tone().samples, atol=2 / 32768)
        assert "controls" in player.attributes
        assert "autoplay" not in player.attributes


def test_sound_that_is_not_there_is_named(page: Page) -> None:
    turns = page.all("ol")[0].children
    assert "No audio: " in turns[2].text
    assert "gone.wav: no such file" in turns[2].text
    assert "No audio: it holds no samples." in turns[3].text


# --- content


def test_the_transcript_has_words_times_features_and_faults(page: Page) -> None:
    turns = page.all("ol")[0].children
    assert len(turns) == 8
    assert turns[1].all("h3")[0].text == "2 · agent"
    assert turns[1].all("time")[0].text == "0:03 – 0:06, 0.5 s after the other"
    assert turns[1].all("p")[0].text == "These are the words of turn 2."
    assert "Fault: synthesis took too long" in turns[3].text
    rows = [[cell.text for cell in row.children] for row in turns[2].all("tbody")[0].all("tr")]
    assert [len(row) for row in rows] == [3] * len(FEATURES)
    assert rows[0] == ["Pitch, st re 100 Hz", "unvoiced", "–"]
    assert rows[3][0] == "Rate, syllables/s"
    assert rows[3][1].startswith("3.9")
    assert rows[4][1].startswith("0.012")


def test_targets_and_outcomes_stand_side_by_side(page: Page) -> None:
    rows = table_of(page, "targets")
    turn = make_turns()[1]
    assert turn.plan
    assert turn.realised
    assert [row[0] for row in rows] == ["2", "4", "6", "8"]
    assert rows[0][1:5] == [
        "−1.20",
        number(turn.plan["f0_mean_st"]),
        number(turn.realised["f0_mean_st"]),
        "0.80",
    ]
    assert rows[0][5] == "×0.90"
    region = page.all("div", role="region")[0]
    assert region.attributes["tabindex"] == "0", "scrolls by keyboard"


def test_the_summary_is_what_the_numbers_say(page: Page) -> None:
    told = [sentence.text for sentence in page.all("section", class_="summary")[0].all("p")]
    assert told[0] == "8 turns in 0:24 min: 4 by the user and 4 by the agent."
    rate_syll_s = np.mean([turn.features.rate_syll_s for turn in make_turns()[::2]])
    assert told[1].startswith("On average the user spoke at 112 Hz, over a range of 5.")
    assert told[1].endswith(f" st and at {rate_syll_s:.1f} syllables/s.")
    assert told[3].startswith(
        "The agent was asked for −1.20 st in pitch, ×0.93 in rate and −1.00 dB in level, on average."
    )
    assert told[3].endswith("Targets were met within 0.03 st in pitch, 1.00 % in rate and 0.00 dB in level.")
    assert told[4] == "1 turn had a fault, named in the transcript."


def test_a_missing_value_is_a_gap_and_not_a_zero(tmp_path: Path) -> None:
    """The user's line of pitch has a break where the whisper is, so two moves and no point in it."""
    svg = Page(write_report(make_turns(), tmp_path / "r.html")).all("svg")[0]
    lines = [
        e.attributes["d"] or "" for e in svg.all("path") if "var(--user)" in (e.attributes.get("style") or "")
    ]
    broken = [line for line in lines if line.count("M") == 2 and "z" not in line]
    assert len(broken) == 2, "its own unit, and z"
    assert all(line.count("M") + line.count("L") == 3 for line in broken)


# --- safety, determinism, lightness


def test_text_is_escaped_everywhere(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script>\"><img src=x onerror=y>"
    turns = [make_turns()[0].model_copy(update={"text": evil, "fault": evil})]
    turns[0] = turns[0].model_copy(update={"features": Features(missing=dict.fromkeys(FEATURES, evil))})
    page = Page(write_report(turns, tmp_path / "r.html", evil, {0: Path(evil)}, {evil: evil}))
    assert not page.all("script")
    assert not page.all("img")
    assert page.all("h1")[0].text == evil
    assert page.all("p", class_="said")[0].text == evil
    assert page.all("dd")[0].text == evil
    assert "<script" not in page.source


def test_words_of_any_script_keep_their_direction(tmp_path: Path) -> None:
    turns = [make_turns()[0].model_copy(update={"text": "שלום 你好 \U0001f600 a\u202eb"})]
    page = Page(write_report(turns, tmp_path / "r.html"))
    assert page.all("p", class_="said")[0].attributes["dir"] == "auto"
    assert "שלום 你好" in page.all("p", class_="said")[0].text


def test_the_same_conversation_gives_the_same_bytes(tmp_path: Path) -> None:
    turns, audio = make_turns(), {0: tone()}
    first = write_report(turns, tmp_path / "1.html", audio=audio).read_bytes()
    script = (
        "import sys; sys.path[:0] = ['.', 'tests']; from test_report import *;"
        "import matplotlib; matplotlib.rcParams['font.size'] = 30; matplotlib.rcParams['axes.facecolor'] = 'red';"
        f"write_report(make_turns(), {str(tmp_path / '2.html')!r}, audio={{0: tone()}});"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams['font.size'] == 30"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent.parent)
    assert first == (tmp_path / "2.html").read_bytes()
    assert write_report(turns, tmp_path / "1.html", audio=audio).read_bytes() == first


def test_the_module_is_light_to_import() -> None:
    script = "import sys, entrain.report; print(*sys.modules)"
    root = Path(__file__).parent.parent
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=root
    )
    assert not {"matplotlib", "jinja2", "soundfile", "torch"} & set(loaded.stdout.split())


# --- edges


def bare(speaker: str, start_s: float = 0, **more: Any) -> Turn:
    return Turn(speaker=speaker, start_s=start_s, end_s=start_s + 1, **more)  # type: ignore[arg-type]


def test_an_empty_conversation(tmp_path: Path) -> None:
    page = Page(write_report([], tmp_path / "r.html"))
    assert page.all("main")[0].text == "There are no turns in this conversation."
    assert not page.all("h2")


@pytest.mark.parametrize("n", [0, 1])
def test_one_turn(tmp_path: Path, n: int) -> None:
    page = Page(write_report([make_turns()[n]], tmp_path / "r.html"))
    assert len(page.all("ol")[0].children) == 1
    assert page.all("section", class_="summary")[0].all("p")[0].text.startswith("1 turn in 0:0")
    assert len(page.all("svg")) == (4, 7)[n]


def test_nothing_measured(tmp_path: Path) -> None:
    turns = [bare("user"), bare("agent", 1, plan={"f0_shift_st": None}, realised={}), bare("user", 2)]
    page = Page(write_report(turns, tmp_path / "r.html"))
    assert not page.all("svg")
    assert "Nothing could be measured" in page.all("section", id="prosody")[0].text
    assert "How the user sounded could not be measured." in page.all("main")[0].text
    assert "nan" not in page.all("main")[0].text.lower()
    assert table_of(page, "targets") == [["2", *["–"] * 16]]
    assert page.all("p", class_="said soft")[0].text == "No words were recognised."


@pytest.mark.parametrize(
    ("plan", "realised"),
    [
        ({"f0_shift_st": -1.0}, None),
        ({"f0_shift_st": -1.0}, {"f0_shift_st": None}),
        ({"f0_mean_st": 11.0, "weight_f0": None}, {"rate_syll_s": 4.0}),
        ({"rate_factor": 0.0}, {"rate_factor": 1.0}),
        ({"weight_f0": 0.0, "f0_mean_st": 1.0}, {"f0_mean_st": 2.0}),
        ({}, {}),
    ],
)
def test_half_a_plan(tmp_path: Path, plan: dict[str, Any], realised: dict[str, Any] | None) -> None:
    page = Page(write_report([bare("agent", plan=plan, realised=realised)], tmp_path / "r.html"))
    assert "Targets were met" not in page.all("main")[0].text


def test_plans_known_only_as_changes_are_told_as_changes(tmp_path: Path) -> None:
    changes = {"f0_shift_st": -1.2, "rate_factor": 0.9, "confidence_f0_shift_st": 0.6}
    turns = [bare("agent", plan=changes, realised={"f0_shift_st": -1.1, "rate_factor": 0.9})]
    page = Page(write_report(turns, tmp_path / "r.html"))
    assert table_of(page, "targets")[0][:9] == ["1", "−1.20", "−1.20", "−1.10", "0.60", "–", "–", "–", "–"]
    assert "Targets were met within 0.10 st in pitch and 0.00 % in rate." in page.all("main")[0].text
    assert [figure.all("figcaption")[0].text for figure in page.all("figure")] == ["Pitch st", "Rate ×"]


def test_five_hundred_turns(tmp_path: Path) -> None:
    page = Page(write_report(make_turns(500), tmp_path / "r.html"))
    assert len(page.all("ol")[0].children) == 500
    assert len(table_of(page, "targets")) == 250
    assert "minutes" in page.all("svg")[0].text
    assert len(page.source) < 3_000_000


def test_where_the_model_looked_is_told_with_the_turns_and_words(tmp_path: Path) -> None:
    weights = (
        0.05,
        0.1,
        0.01,
        0.2,
        0.3,
        0.02,
        0.15,
    )  # of the seven turns before the last; the rest is on no turn
    words = (("These", 0.25), ("<b>", 0.75))
    looked = {1: Looked((0.4,), ()), 7: Looked(weights, words)}
    page = Page(write_report(make_turns(), tmp_path / "r.html", looked=looked))
    told = page.all("details", class_="looked")
    assert len(told) == 2  # other turns say nothing of it
    links = told[1].all("a")
    assert [link.attributes["href"] for link in links] == [
        f"#turn-{i}" for i in (1, 2, 4, 5, 6, 7)
    ]  # the six that count most
    assert links[3].text == "5 · user 30%"
    assert "--weight: 30%" in str(links[3].attributes["style"])
    assert [word.text for word in told[1].all("p")[1].all("span", class_="weight")] == [
        "These 25%",
        "<b> 75%",
    ]
    assert "Its words" not in told[0].text


def test_the_first_turn_of_a_talk_had_none_before_it(tmp_path: Path) -> None:
    page = Page(write_report([bare("agent")], tmp_path / "r.html", looked={0: Looked((), (("Hi", 1.0),))}))
    assert "There was no turn before it." in page.all("details", class_="looked")[0].text


def test_audio_for_a_turn_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="turn 8; there are 8 turns"):
        write_report(make_turns(), tmp_path / "r.html", audio={8: tone()})


# --- small parts


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [(None, 2, False, "–"), (-1.234, 2, False, "−1.23"), (-0.001, 2, True, "0.00"), (0.5, 1, True, "+0.5")],
)
def test_number(value: float | None, digits: int, signed: bool, text: str) -> None:
    assert number(value, digits, signed) == text


@pytest.mark.parametrize(
    ("time_s", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (-3, "−0:03"), (-0.1, "0:00")]
)
def test_clock(time_s: float, text: str) -> None:
    assert clock(time_s) == text


def test_a_factor_is_missed_in_per_cent_and_a_shift_in_its_unit() -> None:
    pitch, _, rate, _ = DIMENSIONS
    turn = bare(
        "agent",
        plan={"f0_mean_st": 11.0, "rate_syll_s": 4.0},
        realised={"f0_mean_st": 10.5, "rate_syll_s": 4.2},
    )

    def miss(d: Dimension) -> float | None:
        return missed(aim(turn, told_as(d, [turn])), d)

    assert miss(pitch) == pytest.approx(-0.5)
    assert miss(rate) == pytest.approx(5.0)


# --- emotion


def felt(*emotions: dict[str, float] | None) -> list[Turn]:
    turns = make_turns(len(emotions))
    return [turn.model_copy(update={"emotion": e}) for turn, e in zip(turns, emotions, strict=True)]


def test_emotions_are_told_with_each_turn_and_drawn_over_the_talk(tmp_path: Path) -> None:
    turns = felt(
        {"angry": 0.71, "calm": 0.29}, None, {"angry": 0.4, "calm": 0.6}, {"angry": 0.2, "calm": 0.8}
    )
    page = Page(write_report(turns, tmp_path / "r.html"))
    items = [page.all("li", id=f"turn-{i}")[0] for i in (1, 2)]
    assert "Sounds angry 71%." in items[0].text
    assert "Emotion: angry 71%, calm 29%." in items[0].text
    assert "Sounds" not in items[1].text
    figure = next(f for f in page.all("figure") if f.attributes.get("id") == "emotion")
    told = figure.all("div")[0].attributes["aria-label"] or ""
    assert "user: angry in 1 turn, calm in 1 turn; agent: calm in 1 turn." in " ".join(told.split())
    drawn = {text.text for text in figure.all("text")}
    assert {"angry", "calm"} <= drawn
    strips = [use.attributes.get("style") or "" for use in figure.all("use")]
    assert sum("var(--user)" in style and "opacity: 0.6" in style for style in strips) == 2  # labels


def test_without_emotions_nothing_is_said_of_them(tmp_path: Path) -> None:
    page = Page(write_report(make_turns(), tmp_path / "r.html"))
    assert "Sounds" not in page.source
    assert not [f for f in page.all("figure") if f.attributes.get("id") == "emotion"]


def test_one_turn_may_be_all_that_was_judged(tmp_path: Path) -> None:
    page = Page(write_report(felt({"calm": 1.0}, None, None), tmp_path / "r.html"))
    assert [f for f in page.all("figure") if f.attributes.get("id") == "emotion"]


def test_a_label_may_be_anything(tmp_path: Path) -> None:
    evil = "<script>$x_{</script>"
    page = Page(write_report(felt({evil: 1.0}, {evil: 0.5, "": 0.5}), tmp_path / "r.html"))
    assert not page.all("script")
    assert f"Sounds {evil} 100%." in page.all("li", id="turn-1")[0].text
