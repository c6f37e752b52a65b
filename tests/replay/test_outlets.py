"""Secrets of forty forms, planted wherever a client, a file or a user can put one, and looked for in what comes out."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mockserver.testing.mock_server import MockServer
from realtape.cli import main as realtape
from replay import outlets
from replay.secrets.named import Secrets, named

MARK = "q7ZmX4vW9kTb2"
"""In every planted secret, and in nothing else: none of these was ever anybody's."""
FORMS = [
    f"xai-{MARK}aaaaaaaaaaaaaaaa",
    f"xai-realtime-client-secret-{MARK}",
    f"sk-proj-{MARK}bbbbbbbb",
    f"ek_{MARK}cccccccc",
    f"ghp_{MARK}dddddddddddddddddddddd",
    f"gsk_{MARK}eeeeeeeeeeee",
    f"hf_{MARK}ffffffffffff",
    f"xoxb-{MARK}-1",
    f"glpat-{MARK}gggggg",
    f"pypi-{MARK}hhhhhhhh",
    f"npm_{MARK}iiiiiiiiii",
    f"whsec_{MARK}jj",
    f"SG.{MARK}kkkkkkkk",
    f"r8_{MARK}llllllllllll",
    f"ya29.{MARK}mmmmmm",
    f"nvapi-{MARK}nnnnnnn",
    f"pplx-{MARK}ooooooo",
    f"password: {MARK}",
    f"the password is {MARK}",
    f"pwd={MARK}",
    f"api_key={MARK}",
    f"secretKey: {MARK}",
    f"OPENAI_API_KEY={MARK}",
    f"env:XAI_API_KEY={MARK}",
    f"Authorization: Bearer {MARK}",
    f"Authorization: Token {MARK}",
    f"Authorization: Basic {b64encode(b'user:' + MARK.encode()).decode()}",
    f"Bearer {MARK}",
    f"Cookie: session={MARK}",
    f"https://h.example/sse?api_key={MARK}",
    f"wss://h.example/?access_token={MARK}",
    f"https://user:{MARK}@h.example/",
    f"https://h.example/#token={MARK}",
    f"curl -u user:{MARK} https://h.example",
    f"--api-key {MARK}",
    f"--password={MARK}",
    f"<password>{MARK}</password>",
    f'{{"client_secret": "{MARK}"}}',
    f'{{"pass\\u0077ord": "{MARK}"}}',
    f"hospital-number {MARK}",
]
"""The last one is known only because the user named it."""
MINE = r"hospital-number (\S+)"
KEY = {"Authorization": f"Bearer own-form-of-a-key-{MARK}"}
CODED = (MARK, b64encode(b"user:" + MARK.encode()).decode())


def hidden(what: str, text: str) -> None:
    """Nothing planted is in this text."""
    for each in CODED:
        at = text.find(each)
        assert at < 0, f"{what}: …{text[max(0, at - 160) : at + 40]!r}…"


def events(form: str) -> Iterator[dict[str, Any]]:
    """What a client can say, with a secret at each place that may come back in a log, a page or a finding."""
    words = [{"type": "input_text", "text": form}]
    yield {"type": "session.update", "session": {"instructions": form, "voice": form}}
    yield {"type": "session.update", "session": {form: 1, "metadata": {"note": form}}}
    yield {"type": form}
    yield {"type": "conversation.item.create", "previous_item_id": form, "item": {"type": form}}
    yield {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": words}}
    yield {"type": "conversation.item.create", "item": {"type": "message", "role": form, "content": form}}
    yield {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": form, "output": form},
    }
    yield {"type": "conversation.item.delete", "item_id": form, "event_id": form}
    yield {"type": "response.create", "response": {"instructions": form, "tool_choice": form}}
    yield {"type": "response.create"}
    yield {"type": "input_audio_buffer.append", "audio": form}


def talk(url: str, form: str, model: str) -> None:
    """One call that says it everywhere; the server may end it."""
    for query in (f"?model={quote(form)}", f"?model={model}&conversation_id={quote(form)}&{quote(form)}={quote(form)}"):
        try:
            # A queue without end: a client that leaves frames unread would wait for the close frame behind them.
            headers = {**KEY, "User-Agent": form[:60]}
            with connect(url + query, additional_headers=headers, close_timeout=1, max_queue=None) as ws:
                for event in events(form):
                    ws.send(json.dumps(event))
                ws.send(form)
                while '"response.done"' not in str(ws.recv(20)):
                    pass
                ws.close(4000, form[:100])
        except (ConnectionClosed, InvalidStatus):
            continue


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
    return body.decode("utf-8", "replace")


@contextmanager
def serving(tmp_path: Path, *arguments: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """`realtape serve` that records, with what it says on stderr in a file."""
    told = tmp_path / "stderr.txt"
    command = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--json", "--record", str(tmp_path / "tapes")]
    with (
        told.open("w") as stderr,
        subprocess.Popen(
            [*command, "--pacing", "burst", "--voice", "tone", "--secret-pattern", MINE, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()), told
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "form"), [("xai", "text"), ("openai", "json")])
def test_no_outlet_of_a_server_holds_what_clients_said_in_secret(tmp_path: Path, dialect: str, form: str):
    with serving(tmp_path, "--dialect", dialect, "--log-format", form) as (ready, told):
        for each in FORMS:
            talk(ready["ws"], each, "gpt-realtime-2.1" if dialect == "openai" else "grok-voice-latest")
            for place in (f"/v1/{quote(each, safe='')}", f"/_mock/{quote(each, safe='')}"):
                with pytest.raises(urllib.error.HTTPError):
                    get(ready["origin"] + place)
        control = ready["control"]
        sessions = json.loads(get(f"{control}/sessions"))
        for outlet in (
            "sessions",
            "journal",
            "findings",
            "health",
            "unused",
            "ledger",
            "faults",
            "refusals",
            "limits",
            "",
        ):
            hidden(outlet, get(f"{control}/{outlet}"))
        for session in sessions:
            for outlet in ("", "/call", "/sound", "/tape", "/scenario"):
                hidden(f"a session's {outlet}", get(f"{control}/sessions/{session['id']}{outlet}"))
    hidden("stderr", told.read_text())
    assert "error sent" in told.read_text() or '"event": "error"' in told.read_text()
    tapes = sorted((tmp_path / "tapes").glob("*.tape"))
    assert len(tapes) >= len(FORMS)
    for tape in tapes:
        hidden(tape.name, tape.name + tape.read_bytes().decode("latin-1"))


def test_every_logger_of_ours_leaves_secrets_out_of_messages_and_tracebacks(caplog: pytest.LogCaptureFixture):
    log = outlets.logger("mockserver.test")
    for form in FORMS[:-1]:
        try:
            raise ValueError(f"cannot use {form}")
        except ValueError:
            log.exception("failed with %s", form)
    hidden("log", caplog.text)
    assert "failed with" in caplog.text and "Traceback" in caplog.text


def test_what_ends_a_command_is_printed_without_secrets():
    program = (
        "import logging, threading\nfrom replay.outlets import guard_process\nguard_process()\n"
        f"def fail(): raise ValueError('password: {MARK}')\n"
        "thread = threading.Thread(target=fail)\nthread.start()\nthread.join()\n"
        f"logging.getLogger('other').error('sk-proj-{MARK}bbbbbbbb')\nfail()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    hidden("stderr", ended.stderr)
    assert ended.stderr.count("Traceback") == 2 and "password: <scrubbed:password>" in ended.stderr


def test_what_is_named_is_hidden_while_somebody_holds_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLINIC_WORD", "schöne Grüße von gestern")
    mine = named(["CLINIC_WORD"], [r"MRN-\d+"], ["session.metadata.patient"])
    text = "MRN-4711 says schöne Grüße von gestern"
    assert outlets.clean(text) == text
    with outlets.held(mine) as holder:
        assert "4711" not in outlets.clean(text) and "gestern" not in outlets.clean(text)
        assert outlets.is_named(("session", "metadata", "patient"))
        holder.learn("a-key-of-a-client")
        assert "a-key" not in outlets.clean("with a-key-of-a-client")
        with outlets.held(Secrets()):
            pass
        assert "4711" not in outlets.clean(text)
    assert outlets.clean(text) == text
    assert not outlets.is_named(("session", "metadata", "patient"))


def test_a_key_in_the_environment_is_hidden_from_the_moment_it_is_there(monkeypatch: pytest.MonkeyPatch):
    assert outlets.clean("said plain words of mine") == "said plain words of mine"
    monkeypatch.setenv("XAI_API_KEY", "plain words of mine")
    assert "plain words" not in outlets.clean("said plain words of mine")


def test_a_client_s_own_key_is_not_in_the_journal_that_the_control_plane_shows():
    with MockServer(findings="off") as mock, connect(mock.ws_url, additional_headers=KEY) as ws:
        ws.send(json.dumps({"type": "session.update", "session": {"instructions": KEY["Authorization"][7:]}}))
        while "session.updated" not in str(ws.recv(5)):
            pass
        shown = get(mock.ws_url.replace("ws:", "http:").replace("/v1/realtime", "/_mock/journal"))
        hidden("journal", shown)
        assert "instructions" in shown


@pytest.mark.parametrize("command", ["show", "lint", "check", "bill"])
def test_a_command_does_not_quote_a_secret_in_a_file_that_it_cannot_use(tmp_path: Path, command: str):
    for number, form in enumerate(FORMS[:-1]):
        file = tmp_path / f"{number}.yaml"
        file.write_text(f"turns:\n  - when: {{says: {json.dumps(form)}, {json.dumps(form)}: 1}}\n    reply: 3\n")
        result = CliRunner().invoke(realtape, [command, str(file)])
        hidden(f"{command} of {form}", result.output)


def test_an_upstream_with_a_key_in_its_address_is_not_told_to_anyone(tmp_path: Path):
    for url in (f"ws://user:{MARK}@127.0.0.1:9/v1/realtime", f"ws://127.0.0.1:9/v1/realtime?api_key={MARK}"):
        command = [sys.executable, "-m", "realtape", "record", "--upstream", url, "--out", str(tmp_path / "a.tape")]
        with subprocess.Popen(
            [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            body = ""
            if line:
                with pytest.raises(InvalidStatus) as refused:
                    connect(json.loads(line)["ws"], additional_headers=KEY)
                body = refused.value.response.body.decode()
            process.terminate()
            hidden("what it said", line + body + process.stderr.read())
            process.wait(20)


def test_log_records_of_other_packages_pass_the_formatter():
    record = logging.LogRecord("other", logging.ERROR, "x.py", 1, "token=%s", (f"{MARK}aaaa1",), None)
    hidden("record", outlets.CleanFormatter().format(record))


def numbered(count: int, who: str = "") -> tuple[str, ...]:
    return tuple(f"plain-{who}-value-number-{number:05}-of-many" for number in range(count))


def test_more_secrets_than_are_learned_can_be_named_and_all_are_hidden():
    log = outlets.logger("mockserver.test")
    many = numbered(1_100)
    with outlets.held(Secrets(many)) as holder:
        holder.learn("a-key-of-a-client")
        cleaned = outlets.clean(" ".join((many[0], many[-1], "a-key-of-a-client")))
        assert "plain" not in cleaned and "client" not in cleaned
        assert log.filter(record := logging.LogRecord("x", 20, "x.py", 1, "from %s", (many[7],), None))
        assert record.msg == "from <scrubbed:key>"


def test_what_holders_learn_is_bounded_for_each_and_for_all():
    with ExitStack() as stack:
        holders = [stack.enter_context(outlets.held(Secrets())) for _ in range(7)]
        for number, holder in enumerate(holders):
            for value in numbered(outlets.MOST_LEARNED + 1, str(number)):
                holder.learn(value)
        shown = [outlets.clean(value) for number in range(7) for value in numbered(101, str(number))]
        assert sum(each == "<scrubbed:key>" for each in shown) == outlets.MOST_LEARNED_TOGETHER
        assert shown[-101].startswith("plain") and shown[-100:] == ["<scrubbed:key>"] * 100
    assert outlets.clean(numbered(1, "6")[0]).startswith("plain")
    holders[0].learn(numbered(1)[0])  # nobody would forget it
    assert outlets.clean(numbered(1)[0]).startswith("plain")


def test_a_learned_value_that_is_in_use_is_not_the_first_forgotten():
    first, second, *others = numbered(outlets.MOST_LEARNED + 1)
    with outlets.held(Secrets()) as holder:
        for value in (first, second, *others[:-1], first, others[-1]):
            holder.learn(value)
        assert outlets.clean(f"{first} {second}") == f"<scrubbed:key> {second}"


def test_nobody_cleans_while_a_value_is_being_learned():
    locked: list[bool] = []

    class Value(str):
        """Its hash is asked for whenever a collection of values is changed."""

        def __hash__(self) -> int:
            locked.append(outlets._ALL._lock.locked())
            return super().__hash__()

    with outlets.held(Secrets()) as holder:
        holder.learn(Value("a-key-of-a-client"))
        assert outlets.clean("with a-key-of-a-client") == "with <scrubbed:key>"
    assert locked and all(locked)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(MARK)


@pytest.mark.parametrize(
    ("message", "arguments", "said"),
    [
        (Unprintable(), (), "<scrubbed:unchecked>"),
        ("%s and %s", (f"password: {MARK}",), "arguments that do not fit '%s and %s'"),
    ],
)
def test_a_message_that_cannot_be_checked_is_logged_as_a_placeholder_and_ends_nobody(
    message: Any, arguments: Any, said: str
):
    log = outlets.logger("mockserver.test")
    error = ValueError(f"password: {MARK}")
    record = logging.LogRecord("x", 20, "x.py", 1, message, arguments, (ValueError, error, None))
    assert log.filter(record)
    written = logging.Formatter().format(record)
    hidden("record", written)
    assert written.splitlines()[0] == said
