"""Takes the pictures in this folder, and that of the inspector beside it: all on the mock.

    python docs/images/take.py

Needs Chromium, and the extras `app`, `picture`, `speech` and `hearing`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from clinic_agent.call.open_mic import microphone as microphone_of  # noqa: E402
from clinic_agent.call.playback import Playback  # noqa: E402
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller  # noqa: E402
from clinic_agent.clinic.assistant import clinic_assistant, run_call, run_open_call  # noqa: E402
from clinic_agent.clinic.clinic import Clinic  # noqa: E402
from clinic_agent.config import Config  # noqa: E402
from mockserver.testing.mock_server import MockServer  # noqa: E402
from tests.clients.call_site import TODAY, call_site, clip, microphone  # noqa: E402
from tests.clients.devtools import MICROPHONE, Page, browsing  # noqa: E402

HERE = Path(__file__).parent
SCENARIO = ROOT / "cassettes" / "scenarios" / "clinic.yaml"
ASK = "I would like a dental cleaning on July sixth."
CHOOSE = "The nine thirty slot, please. My name is Maria Lopez."
STREAMLIT_PORT = 8598
WIDE = (1440, 860)


def take(page: Page, name: str) -> None:
    """A picture of what the page shows, in 256 colours."""
    path = HERE / name
    page.picture(path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def call_page(data: Path) -> None:
    """A caller books, by voice; then the same page as a telephone shows it, in the dark, interrupted."""
    heard = microphone(data / "mic.wav", 1.0, "booking-1", 14.0, "booking-2", 60.0)
    with MockServer(SCENARIO) as mock, call_site(mock, data) as url:
        with browsing(url, data / "one", *MICROPHONE, heard, size=(1180, 740)) as page:
            page.click("#call")
            page.until("document.querySelector('.booking') && document.body.innerText.includes('zero. See you then!')")
            take(page, "call.png")
    heard = microphone(data / "mic.wav", 1.0, "booking-1", 5.5, "booking-2", 60.0)
    (data / "evening").mkdir()
    with MockServer(SCENARIO) as mock, call_site(mock, data / "evening") as url:
        with browsing(url, data / "two", *MICROPHONE, heard, size=(420, 860), dark=True) as page:
            page.click("#call")
            page.until("document.querySelector('.cut') && document.body.innerText.includes('One moment')")
            take(page, "call-dark.png")


def streamlit_demo(data: Path) -> None:
    """Two typed turns and what came of them."""
    url = f"http://127.0.0.1:{STREAMLIT_PORT}/"
    with MockServer(SCENARIO, transcriber="auto") as mock:
        settings = {
            "XAI_API_KEY": mock.api_key,
            "XAI_REALTIME_URL": mock.ws_url,
            "CLINIC_DATA": str(data / "streamlit"),
            "CLINIC_TODAY": TODAY.isoformat(),
            "CLINIC_CONTROL_URL": f"{mock.http_url.removesuffix('/v1')}/_mock",
            "CLINIC_SCENARIOS": str(SCENARIO.parent),
            "PYTHONPATH": str(ROOT),
        }
        script = ROOT / "clinic_agent" / "app" / "playground.py"
        options = ["--server.port", str(STREAMLIT_PORT), "--server.headless", "true", "--server.address", "127.0.0.1"]
        options += ["--client.toolbarMode", "viewer", "--theme.primaryColor", "#0f766e"]
        command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
        with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                while "URL:" not in server.stdout.readline():
                    pass
                with browsing(url, data / "three", size=(1400, 1040)) as page:
                    for words, answer in ((ASK, "I have half past nine"), (CHOOSE, "See you then")):
                        page.until("document.querySelector('textarea')")
                        page.run("document.querySelector('textarea').focus()")
                        page.order("Input.insertText", text=words)
                        for kind in ("keyDown", "keyUp"):
                            page.order(
                                "Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r"
                            )
                        page.until(f"document.body.innerText.includes('{answer}')")
                    page.until("!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner]')")
                    page.until("document.querySelectorAll('audio').length === 2")
                    page.until("document.querySelectorAll('[data-testid=stDataFrame] canvas').length >= 2")
                    page.until("!document.querySelector('[data-testid=stSkeleton]')")
                    take(page, "demo.png")
            finally:
                server.kill()


def inspector(data: Path) -> None:
    """A spoken call with a fault, after its end."""
    fault = {"at": "response.output_audio.delta", "nth": 9, "do": {"delay": "200ms"}}
    with MockServer(SCENARIO, faults=[fault], voice="auto") as mock:
        config = Config(mock.ws_url, mock.http_url, mock.api_key, model="grok-voice-latest")
        assistant = clinic_assistant(Clinic(TODAY))
        asyncio.run(run_call(config, [clip("booking-1")], assistant, priced_on=TODAY, plays=False))
        url = f"{mock.http_url.removesuffix('/v1')}/_mock/"
        with browsing(url, data / "four", size=(1280, 860)) as page:
            page.until("document.querySelector('.talk')?.textContent.includes('check_availability')")
            page.click("#tab-3")
            page.until("document.querySelector('#fault-text').value")
            take(page, "../inspector.png")


def workbench(data: Path) -> None:
    """A call that is described, and typed to."""
    with MockServer(voice="tone") as mock, browsing(f"{mock.control_url}/workbench", data / "five", size=WIDE) as page:
        page.until("document.body.dataset.ready")
        for words, answer in (("Where is order 1043?", "It is being packed."), ("And the other one?", "do you mean?")):
            page.run(f"document.querySelector('#words').value = {words!r}")
            page.run("document.querySelector('#typed').requestSubmit()")
            page.until(f"document.querySelector('#conversation').innerText.includes({answer!r})")
            page.until("document.querySelector('#state').innerText === 'Listening'")
        page.run("document.activeElement.blur()")
        take(page, "workbench.png")


def viewer(data: Path) -> None:
    """The page of a call over an open microphone, whose caller interrupts the offer; the interruption is selected."""

    def caller(hearing: Playback) -> AsyncIterator[bytes]:
        cues = [Cue(After(0, 0.5), clip("booking-1")), Cue(During(2, 2.0), clip("booking-2")), Cue(After(4, 1.0))]
        return microphone_of(ScriptedCaller(cues, hearing).speak)

    with MockServer(SCENARIO, voice="auto", record=data / "tapes") as mock:
        config = Config(mock.ws_url, mock.http_url, mock.api_key)
        asyncio.run(run_open_call(config, caller, clinic_assistant(Clinic(TODAY)), priced_on=TODAY))
    (tape,) = (data / "tapes").iterdir()
    shown = data / "booking.tape"
    tape.rename(shown)
    subprocess.run(
        [sys.executable, "-m", "realtape", "show", shown, "--html", data / "call.html"], cwd=ROOT, check=True
    )
    with browsing((data / "call.html").as_uri(), data / "six", size=(1280, 860)) as page:
        page.run("[...document.querySelectorAll('.item')].find((it) => it.innerText.includes('nine thirty')).click()")
        page.until("document.querySelector('audio').currentTime > 0.5")
        take(page, "viewer.png")


def main() -> None:
    """All of them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for picture in (call_page, streamlit_demo, inspector, workbench, viewer):
            picture(Path(folder))


if __name__ == "__main__":
    main()
