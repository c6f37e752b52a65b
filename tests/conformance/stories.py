"""Short conversations that bring about every event of a dialect once. The same for every date of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mockserver.responders.base import Call, Hosted, NotTranscribed, Say
from tests.mockserver.calls.phoned import Phoned, voice
from tests.mockserver.talk import Script, Talk, saying

VAD: Mapping[str, Any] = {"type": "server_vad"}


def settings(dialect: str, detection: Mapping[str, Any] | None, **others: Any) -> dict[str, Any]:
    """A session with turns found in this way, and transcribed, in either service's words."""
    if dialect.partition("@")[0] == "xai":
        heard: dict[str, Any] = {"transcription": {"model": "grok-transcribe"}}
        return {"turn_detection": detection, "audio": {"input": heard}, **others}
    heard = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": detection}
    return {"type": "realtime", "audio": {"input": heard}, **others}


def typed(dialect: str) -> Talk:
    talk = Talk(Script([Say("Good morning.")]), dialect=dialect, update=settings(dialect, None))
    talk.say("Hello.")
    talk.rest()
    return talk


def written(dialect: str) -> Talk:
    asked = settings(dialect, None, output_modalities=["text"])
    talk = Talk(Script([Say("Good morning.")]), dialect=dialect, update=asked)
    talk.say("Hello.")
    talk.rest()
    return talk


def spoken(dialect: str) -> Talk:
    responder = Script([Say("Good morning.")], heard=["Hello there."])
    talk = Talk(responder, dialect=dialect, update=settings(dialect, VAD))
    talk.speak("Hello there.")
    talk.hush(900)
    talk.rest()
    return talk


def unheard(dialect: str) -> Talk:
    responder = Script(
        [Say("Good morning.")], heard=[NotTranscribed("audio_unintelligible", "The sound is too quiet.")]
    )
    talk = Talk(responder, dialect=dialect, update=settings(dialect, VAD))
    talk.speak("Hello there.")
    talk.hush(900)
    talk.rest()
    return talk


def by_hand(dialect: str) -> Talk:
    talk = Talk(Script([Say("Yes.")], heard=["Yes."]), dialect=dialect, update=settings(dialect, None))
    talk.speak("No.")
    talk.send("input_audio_buffer.clear")
    talk.speak("Yes.")
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.rest()
    return talk


def called(dialect: str) -> Talk:
    responder = Script([Say("Let me look."), Call("look", {"city": "London"})], [Say("It is foggy.")])
    talk = Talk(responder, dialect=dialect)
    talk.say("How is the weather?")
    call = talk.until("response.function_call_arguments.done")
    talk.until("response.done")
    talk.create("function_call_output", call_id=call["call_id"], output="fog")
    talk.send("response.create")
    talk.rest()
    return talk


def cancelled(dialect: str) -> Talk:
    talk = Talk(saying(10), dialect=dialect)
    talk.say("Tell me.")
    talk.until("response.output_audio.delta", times=3)
    talk.send("response.cancel")
    talk.rest()
    return talk


def interrupted(dialect: str) -> Talk:
    talk = Talk(saying(10), dialect=dialect, update=settings(dialect, VAD))
    talk.say("Tell me.")
    item = talk.until("response.output_audio.delta", times=3)["item_id"]
    talk.speak("Wait.")
    talk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=100)
    talk.hush(900)
    talk.rest()
    return talk


def idle(dialect: str) -> Talk:
    update = settings(dialect, {**VAD, "idle_timeout_ms": 5000})
    talk = Talk(Script([Say("Good morning.")], [Say("Are you there?")]), dialect=dialect, update=update)
    talk.say("Hello.")
    talk.until("response.done")
    talk.until("input_audio_buffer.timeout_triggered")
    talk.until("response.done")
    return talk


def looked_up(dialect: str) -> Talk:
    talk = Talk(dialect=dialect)
    item = talk.write("Hello.")[0]["item"]["id"]
    if not dialect.startswith("xai"):
        talk.send("conversation.item.retrieve", item_id=item)
    talk.send("conversation.item.delete", item_id=item)
    return talk


def refused(dialect: str) -> Talk:
    talk = Talk(dialect=dialect)
    talk.send("response.cancel")
    return talk


def aside(dialect: str) -> Talk:
    talk = Talk(Script([Say("A greeting.")]), dialect=dialect)
    talk.send("response.create", response={"conversation": "none", "output_modalities": ["text"]})
    talk.rest()
    return talk


def announced(dialect: str) -> Talk:
    talk = Talk(dialect=dialect)
    talk.create("force_message", content=[{"type": "output_text", "text": "Please hold."}])
    talk.rest()
    return talk


def taken_up_again(dialect: str) -> Talk:
    first = Talk(dialect=dialect, update={"resumption": {"enabled": True}})
    first.say("Hello.")
    first.rest()
    return Talk(dialect=dialect, resumed=first.session.memory, update={"resumption": {"enabled": True}})


def hosted(dialect: str) -> Talk:
    """A server of tools that is listed, answers one call and fails the next; another that cannot be reached."""
    found = Hosted("mcp", {"number": 7}, {"usd": 12}, server="billing", name="find_invoice")
    lost = Hosted("mcp", {"number": 8}, error="no such invoice", server="billing", name="find_invoice")
    server: dict[str, Any] = {"type": "mcp", "server_label": "billing", "server_url": "https://mcp.example/sse"}
    server["require_approval"] = "never"
    down = {**server, "server_label": "ledger", "server_url": "https://mcp.down.invalid/sse"}
    talk = Talk(Script([found], [lost]), dialect=dialect)
    talk.send("session.update", session={**settings(dialect, None), "tools": [server, down]})
    for question in ("How much is invoice seven?", "And eight?"):
        talk.say(question)
        talk.rest()
    return talk


def approved(dialect: str) -> Talk:
    """A call that the client wants to allow first."""
    call = Hosted("mcp", {"number": 7}, {"usd": 12}, server="billing", name="find_invoice")
    server = {"type": "mcp", "server_label": "billing", "server_url": "https://mcp.example/sse"}
    talk = Talk(Script([call, Say("Twelve dollars.")]), dialect=dialect)
    talk.send(
        "session.update", session={**settings(dialect, None), "tools": [{**server, "require_approval": "always"}]}
    )
    talk.say("How much is invoice seven?")
    asked = talk.until("response.done")["response"]["output"][0]["id"]
    talk.create("mcp_approval_response", approval_request_id=asked, approve=True)
    talk.send("response.create")
    talk.rest()
    return talk


def phoned(dialect: str) -> Phoned:
    """The first answer is heard to its end, and the caller speaks over the second one."""
    call = Phoned(Script([Say("Good morning.")], [Say("Good morning. " * 20)]), dialect=dialect)
    call.send("session.update", session=settings(dialect, VAD))
    call.send("response.create")
    call.run(4)
    call.press("1")
    call.send("response.create")
    call.run(2)
    call.run(1, voice(1.0))
    call.run(8)
    return call


Story = Callable[[str], Talk | Phoned]
_BOTH: dict[str, Story] = {
    "A typed turn": typed,
    "A spoken turn": spoken,
    "A turn that cannot be transcribed": unheard,
    "Turns by hand": by_hand,
    "A function call": called,
    "A cancelled answer": cancelled,
    "An interrupted answer": interrupted,
    "Nobody speaks": idle,
    "An item looked at and deleted": looked_up,
    "Tools of an MCP server": hosted,
    "A call": phoned,
    "A refusal": refused,
}
_OPENAI: Mapping[str, Story] = {
    **_BOTH,
    "A call that needs approval": approved,
    "A written answer": written,
    "An answer beside the conversation": aside,
}
STORIES: Mapping[str, Mapping[str, Story]] = {
    "xai": {**_BOTH, "A message by force": announced, "A conversation taken up again": taken_up_again},
    "openai": _OPENAI,
    "azure": _OPENAI,
}
"""By service and title."""
