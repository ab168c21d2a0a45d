"""A host that lets `entrain serve` do the prosody: REST for one turn, then a live talk. Run: entrain serve, and then
python examples/client.py turn.wav [http://127.0.0.1:8321]. With a token: ENTRAIN_TOKEN=… python examples/client.py turn.wav"""

import asyncio
import base64
import json
import os
import sys
import time
import wave
from pathlib import Path

import httpx2
import soundfile
from websockets.asyncio.client import connect

turn, url = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8321"
token = os.environ.get("ENTRAIN_TOKEN")
talk = f"/v1/conversations/example-{time.time():.0f}"


def over_rest() -> None:
    """The user's turn there, the reply in a fitting voice back."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as client:
        heard = client.post(f"{talk}/user_turn", files={"audio": turn.read_bytes()}).raise_for_status().json()
        said = (
            client.post(f"{talk}/agent_turn", json={"text": "I see. Tell me more."}).raise_for_status().json()
        )
        Path("reply.wav").write_bytes(base64.b64decode(said["audio"]))
        print("heard:", heard["turn"]["text"], "| pitch:", said["targets"]["f0_shift_st"], "st | reply.wav")


async def live() -> None:
    """The microphone's sound there (here a file's, in real time), the agent's voice and events back."""
    samples, rate_hz = soundfile.read(turn, dtype="int16", always_2d=True)
    pcm, n = samples[:, 0].tobytes() + bytes(20 * rate_hz), rate_hz // 25 * 2  # and ten seconds of silence
    async with connect(url.replace("http", "ws") + f"{talk}/live") as line:
        await line.send(json.dumps({"type": "hello", "rate_hz": rate_hz, "token": token}))
        ready, sound = json.loads(await line.recv()), b""

        async def speak() -> None:
            for at in range(0, len(pcm), n):
                await line.send(pcm[at : at + n])
                await asyncio.sleep(0.04)

        speaking = asyncio.create_task(speak())
        async for message in line:
            if isinstance(message, bytes):
                sound += message  # a real client plays it, and drops what is left at "interrupted"
            elif (event := json.loads(message))["type"] in ("heard", "said", "error"):
                print(event["type"], event.get("turn", {}).get("text") or event.get("message"))
                if event["type"] != "heard":
                    break
        speaking.cancel()
    with wave.open("live-reply.wav", "wb") as file:
        file.setparams((1, 2, ready["rate_hz"], 0, "NONE", ""))
        file.writeframes(sound)


over_rest()
asyncio.run(live())
