"""A Rasa bot that entrains, from nothing: two environments, a trained bot, three servers, and a recorded conversation through them.

    python examples/rasa-bot/run.py                    # a made user, once slow and low, once fast and loud
    python examples/rasa-bot/run.py one.wav two.wav    # your own turns
    python examples/rasa-bot/run.py --stay             # leave the servers running, to talk with: entrain talk --responder rasa:URL

The first time takes five minutes, since Rasa is 2.7 GB; what is done is not done again, and what was broken off is gone on with.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    str(Path(__file__).resolve().parents[2] / "plugins" / "rasa"),
]

from bot_environments import HERE, ROOT, SetUpError, entrain_python, rasa_python  # noqa: E402
from bot_servers import Servers, get, running, train  # noqa: E402

from entrain_rasa.client import Channel, speak  # noqa: E402
from entrain_rasa.turns import Fault  # noqa: E402

STEPS = 6


def main() -> None:
    given = _options()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then too
    try:
        _go(given)
    except (SetUpError, Fault, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"run.py: {error}")
    except KeyboardInterrupt:
        sys.exit("\nrun.py: stopped; run it again to go on.")


def _options() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument(
        "turn", nargs="*", type=Path, help="a wav file for each turn of the user, in their order"
    )
    words.add_argument(
        "--env",
        type=Path,
        default=ROOT / ".venv-rasa",
        help="folder of Rasa's environment and the model (%(default)s)",
    )
    words.add_argument(
        "--python", type=Path, help="a Python 3.8 to 3.10 to make it from; else one is looked for"
    )
    words.add_argument(
        "--out",
        type=Path,
        default=Path("rasa-talk"),
        help="folder for replies, reports and logs (%(default)s)",
    )
    words.add_argument("--rasa-options", default="", help="more for rasa run, as in --rasa-options=--debug")
    words.add_argument(
        "--only-set-up", action="store_true", help="make the environments, train the bot, and end"
    )
    words.add_argument(
        "--stay", action="store_true", help="leave the servers running afterwards, until Ctrl-C"
    )
    return words.parse_args()


def _go(given: argparse.Namespace) -> None:
    for turn in given.turn:
        if not turn.is_file():
            raise SetUpError(f"there is no file {turn}.")
    env, out = given.env.resolve(), given.out.resolve()
    _step(1, "entrain's environment")
    ours = entrain_python(_tell)
    _step(2, "Rasa's environment")
    theirs = rasa_python(env, _tell, given.python)
    _step(3, "the bot")
    model = train(theirs, env / "models", _tell)
    if given.only_set_up:
        print(f"Ready. Next: python {Path(__file__).name}, to talk with it.")
        return
    _step(4, "the user")
    users = (
        {"yours": [turn.resolve() for turn in given.turn]} if given.turn else made_users(ours, env / "user")
    )
    _step(5, "entrain's server, the action server and Rasa (20 s)")
    with running(ours, theirs, model, out, shlex.split(given.rasa_options)) as servers:
        (out / "servers.json").write_text(json.dumps(servers.told, indent=1))
        _step(6, "the conversation")
        talks = {name: hold(servers, turns, name, out) for name, turns in users.items()}
        compare(talks)
        print(
            f"Replies, conversation.json and report.html are in {out}/, a folder for each user. Listen to them."
        )
        if given.stay:
            print(
                f"Rasa is at {servers.rasa.url}: entrain talk --responder rasa:{servers.rasa.url}. Ctrl-C ends it.",
                flush=True,
            )
            _until_interrupted()


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print("Stopping the servers.")


def made_users(python: Path, folder: Path) -> dict[str, list[Path]]:
    """The installed voice as two kinds of user; made once."""
    script = HERE / "bot_user.py"
    done = folder / "done.txt"
    if not done.is_file() or done.read_text() != script.read_text():
        _tell("the installed voice says the sentences of two kinds of user (10 s)")
        subprocess.run([str(python), str(script), str(folder)], check=True, timeout=300)
        done.write_text(script.read_text())
    kinds = sorted(path for path in folder.iterdir() if path.is_dir())
    return {
        kind.name: sorted(kind.glob("*.wav"), key=lambda path: int(path.stem)) for kind in reversed(kinds)
    }


def hold(servers: Servers, turns: list[Path], name: str, out: Path) -> list[dict[str, Any]]:
    """One conversation, of a name that no earlier run had."""
    print(f"\nThe user, {name.replace('-', ' ')}:")
    sender = f"{name}-{time.time_ns()}"
    answers = speak(Channel(servers.rasa.url), turns, sender, out / name)
    report = f"{servers.entrain.url}/v1/conversations/{sender}/report"
    get(report, (out / name / "report.html").write_bytes)
    return answers


def compare(talks: dict[str, list[dict[str, Any]]]) -> None:
    print("\nMeans over the turns (pitch st re 100 Hz, rate syll/s):")
    print(f"{'the user':<16}{'user: pitch, rate':>22}{'agent: pitch, rate':>22}")
    for name, answers in talks.items():
        user = [answer["heard"]["entrain"] for answer in answers]
        agent = [m["entrain"]["realised"] for a in answers for m in a["messages"] if m.get("wav")]
        means = [
            _mean(user, "f0_mean_st"),
            _mean(user, "rate_syll_s"),
            _mean(agent, "f0_mean_st"),
            _mean(agent, "rate_syll_s"),
        ]
        print(f"{name:<16}{means[0]:>14}{means[1]:>8}{means[2]:>14}{means[3]:>8}")
    print()


def _mean(of: list[dict[str, Any]], name: str) -> str:
    values: list[float] = [one[name] for one in of if one and one.get(name) is not None]
    return f"{fmean(values):.2f}" if values else "–"


def _step(number: int, what: str) -> None:
    print(f"[{number}/{STEPS}] {what}", flush=True)


def _tell(what: str) -> None:
    print(f"      {what}", flush=True)


if __name__ == "__main__":
    main()
