"""Six common changes, made in a copy of the project: complete, each works; with a forgotten place, each is noticed.

The places are those of CONTRIBUTING.md. mypy notices most of them, so that nobody has to remember.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("mockserver", "replay", "clinic_agent", "realtape", "cassettes", "docs", "tests", "pyproject.toml", "run.py")
CHECKED = ".mypy_cache"
"""What mypy knows of the project already, if it was run here; without it each first check takes a minute."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("changes")]


@dataclass(frozen=True)
class Edit:
    """In the file at `path`, `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


class Copy:
    """A copy of the project, in which changes are made and taken back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in (*COPIED, *([CHECKED] if (ROOT / CHECKED).is_dir() else [])):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(ROOT / name, root / name)

    @contextmanager
    def changed(self, *edits: Edit) -> Iterator[None]:
        before = {edit.path: (self.root / edit.path).read_text(encoding="utf-8") for edit in edits}
        try:
            for edit in edits:
                file = self.root / edit.path
                text = file.read_text(encoding="utf-8")
                assert text.count(edit.old) == 1, (
                    f"{edit.path} has changed: adapt this test. Not once in it:\n{edit.old}"
                )
                file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
            yield
        finally:
            for path, text in before.items():
                (self.root / path).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> str | None:
        """What Python says when it fails; None when all goes well."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environment = {**own, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        return None if done.returncode == 0 else done.stdout + done.stderr

    def mypy(self) -> str | None:
        return self.run("-m", "mypy", "mockserver", "replay", "clinic_agent", "realtape")

    def pytest(self, *tests: str) -> str | None:
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy") / "realtape")


TALK = """
import asyncio, json
from websockets.asyncio.client import connect
from realtape import MockServer, Say, Scenario, faults

async def events(upto, times=1, **options):
    words = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
    came = []
    async with MockServer(pacing="burst", voice="tone", **options) as mock:
        key = {"Authorization": f"Bearer {mock.api_key}"}
        async with connect(f"{mock.ws_url}?model=grok-voice-latest", additional_headers=key) as service:
            await service.send(json.dumps({"type": "conversation.item.create", "item": words}))
            for _ in range(times):
                await service.send(json.dumps({"type": "response.create"}))
            while came.count(upto) < times:
                came.append(json.loads(await service.recv())["type"])
    return came
"""

WIRE_FIELD = Edit(
    "mockserver/dialects/xai/dialect.py",
    '"input_audio_buffer.speech_stopped", item_id=fact.item.id, audio_end_ms=fact.at_ms)',
    '"input_audio_buffer.speech_stopped", item_id=fact.item.id, audio_end_ms=fact.at_ms, loudness=0.5)',
)
ITS_SHAPE = Edit(
    "mockserver/dialects/xai/schema.py",
    '"input_audio_buffer.speech_stopped": {"item_id": str, "audio_end_ms": int},',
    '"input_audio_buffer.speech_stopped": {"item_id": str, "audio_end_ms": int, "loudness": float},',
)
SPOKEN = "tests/mockserver/session/test_spoken_turns.py"


def test_a_wire_field(copy: Copy):
    with copy.changed(WIRE_FIELD):
        assert "loudness" in (copy.pytest(SPOKEN) or "")
    with copy.changed(WIRE_FIELD, ITS_SHAPE):
        assert copy.pytest(SPOKEN) is None


NAME = Edit("mockserver/dialects/names.py", '    "openai@2026-08",\n', '    "xai@2026-12",\n    "openai@2026-08",\n')
ITS_SERVICE = Edit(
    "mockserver/dialects/registry.py",
    'case "xai@2026-10":',
    'case "xai@2026-10" | "xai@2026-12":',
)
HANDSHAKE = f"{TALK}\nassert 'session.created' in asyncio.run(events('response.done', dialect='xai@2026-12'))"


def test_a_dated_service(copy: Copy):
    with copy.changed(NAME):
        assert "xai@2026-12" in (copy.mypy() or "")
        assert "xai@2026-12" in (copy.run("-c", "import mockserver.dialects.registry") or "")
    with copy.changed(NAME, ITS_SERVICE):
        assert copy.mypy() is None
        assert copy.run("-c", HANDSHAKE) is None


FAULT = [
    Edit(
        "mockserver/faults/kinds.py",
        "@dataclass(frozen=True, config=_CONFIG)\nclass Duplicate(",
        "@dataclass(frozen=True, config=_CONFIG)\nclass Swallow(FaultBase):\n"
        '    """The event is lost."""\n\n    kind: ClassVar[str] = "swallow"\n\n\n'
        "@dataclass(frozen=True, config=_CONFIG)\nclass Duplicate(",
    ),
    Edit("mockserver/faults/kinds.py", "    | Drop\n", "    | Drop\n    | Swallow\n"),
]
ITS_EFFECT = [
    Edit("mockserver/faults/injector.py", "    Stall,\n", "    Stall,\n    Swallow,\n"),
    Edit("mockserver/faults/injector.py", "            case Drop():\n", "            case Drop() | Swallow():\n"),
    Edit(
        "mockserver/faults/injector.py",
        "        case Drop() | Duplicate()",
        "        case Drop() | Swallow() | Duplicate()",
    ),
]
LOST = f"""{TALK}
lost = asyncio.run(events("response.created", 2, faults=[faults.Swallow(at="response.output_audio.done")]))
assert "response.done" in lost and "response.output_audio.done" not in lost, lost
"""


def test_a_fault(copy: Copy):
    with copy.changed(*FAULT):
        assert "Swallow" in (copy.mypy() or "")
    with copy.changed(*FAULT, *ITS_EFFECT):
        assert copy.mypy() is None
        assert copy.run("-c", LOST) is None


FINDING = [
    Edit(
        "replay/findings/rules/turns.py",
        "def overlapping_replies(",
        "def shouted(call: CallState, step: CallStep) -> Iterator[Found]:\n"
        '    """The client writes in capitals."""\n'
        '    if "HELLO" in str(step.event):\n'
        '        yield Found("the message is in capitals", "shouted")\n\n\n'
        "def overlapping_replies(",
    ),
    Edit(
        "replay/findings/rules/table.py",
        '    Rule(\n        "session-cap",',
        '    Rule("shouted", "warn", turns.shouted, (_ITEM,), "Write in small letters."),\n'
        '    Rule(\n        "session-cap",',
    ),
]
ITS_SECTION = Edit(
    "docs/findings.md",
    "### session-cap\n",
    "### shouted\n\nLevel `warn`. Write in small letters.\n\n```jsonl\n"
    '{"t": 0.0, "dir": "client", "ev": {"type": "conversation.item.create", "item": {"type": "message", "role": "user",'
    ' "content": [{"type": "input_text", "text": "HELLO"}]}}}\n'
    '{"t": 0.1, "dir": "client", "ev": {"type": "response.create"}}\n```\n\n### session-cap\n',
)
PAGE = "tests/replay/findings/test_page.py"


def test_a_finding(copy: Copy):
    with copy.changed(*FINDING):
        assert "shouted" in (copy.pytest(PAGE) or "")
    with copy.changed(*FINDING, ITS_SECTION):
        assert copy.mypy() is None
        assert copy.pytest(PAGE, "-k", "shouted or these_rules") is None


STEP = [
    Edit(
        "mockserver/responders/base.py",
        "@dataclass(frozen=True, slots=True)\nclass Fail:",
        '@dataclass(frozen=True, slots=True)\nclass Wait:\n    """Stay silent for a second."""\n\n\n'
        "@dataclass(frozen=True, slots=True)\nclass Fail:",
    ),
    Edit(
        "mockserver/responders/base.py",
        "Step = Say | Call | Hosted | Pause | Fail | Chat",
        "Step = Say | Call | Hosted | Pause | Wait | Fail | Chat",
    ),
]
ITS_CASES = [
    Edit(
        "mockserver/responders/compiler.py",
        "Hosted, Pause, Say, Step\n",
        "Hosted, Pause, Say, Step, Wait\n",
    ),
    Edit("mockserver/responders/compiler.py", "case Pause() | Fail()", "case Pause() | Wait() | Fail()"),
    Edit("mockserver/session/response.py", "Say, Step, Turn\n", "Say, Step, Turn, Wait\n"),
    Edit("mockserver/session/steps.py", "Hosted, Pause, Say, Step\n", "Hosted, Pause, Say, Step, Wait\n"),
    Edit("mockserver/session/steps.py", "case Say() | Pause() | Fail()", "case Say() | Pause() | Wait() | Fail()"),
    Edit(
        "mockserver/session/response.py",
        "                case Call():\n                    self._call(step, at)\n",
        "                case Wait():\n                    at += 1\n                    yield at\n"
        "                case Call():\n                    self._call(step, at)\n",
    ),
]
WAITED = f"""{TALK}
from mockserver.responders.base import Wait
from realtape import Rule
came = asyncio.run(events("response.done", scenario=Scenario(turns=[Rule(reply=[Say("One."), Wait(), Say("Two.")])])))
assert "response.output_audio.delta" in came, came
"""


def test_a_scenario_step(copy: Copy):
    with copy.changed(*STEP):
        problem = copy.mypy() or ""
        assert all(f"mockserver/{file}" in problem for file in ("responders/compiler.py", "session/steps.py"))
    with copy.changed(*STEP, *ITS_CASES):
        assert copy.mypy() is None
        assert copy.run("-c", WAITED) is None


TOOL = Edit(
    "clinic_agent/clinic/tools.py",
    "class EndCall(Arguments):",
    'class OpeningHours(Arguments):\n    """Look up when the clinic is open."""\n\n\nclass EndCall(Arguments):',
)
ITS_ROW = Edit(
    "clinic_agent/clinic/tools.py",
    "        Tool(END_CALL, EndCall,",
    '        Tool("opening_hours", OpeningHours, lambda _, key: {"opens": "09:00"}, reads=True),\n'
    "        Tool(END_CALL, EndCall,",
)
OFFERED = """
from datetime import date
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.tools import clinic_tools
assert "Look up when the clinic is open." in str(clinic_tools(Clinic(date(2026, 7, 1))).schemas())
"""


def test_a_clinic_tool(copy: Copy):
    with copy.changed(TOOL):
        assert "AssertionError" in (copy.run("-c", OFFERED) or "")
    with copy.changed(TOOL, ITS_ROW):
        assert copy.mypy() is None
        assert copy.run("-c", OFFERED) is None


def test_an_edit_that_no_longer_fits_says_so(copy: Copy):
    with pytest.raises(AssertionError, match="adapt this test"), copy.changed(Edit("run.py", "no such line", "")):
        pass
