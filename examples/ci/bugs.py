"""The agent with one mistake at a time. Each class is named after the finding that it causes."""

from __future__ import annotations

import array
import asyncio
import base64
import json
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from agent import CHUNK, TOOL, Agent, Refused, caller

QUIET = bytes(CHUNK)


def chunks(sound: bytes, size: int = CHUNK) -> Iterator[bytes]:
    return (sound[at : at + size] for at in range(0, len(sound), size))


class ToolResultUnanswered(Agent):
    async def ask(self) -> None:
        """No response is requested after the result of a tool."""


class ToolCallUnanswered(Agent):
    async def result(self, call: dict[str, Any]) -> None:
        """The result of a tool is not sent."""


class ToolResultRepeated(Agent):
    async def result(self, call: dict[str, Any]) -> None:
        await super().result(call)
        await super().result(call)


class ToolResultUnknown(Agent):
    async def result(self, call: dict[str, Any]) -> None:
        await super().result({**call, "call_id": call["item_id"]})


class RepeatedWrite(Agent):
    def book(self, arguments: dict[str, Any]) -> str:
        number = len(self.bookings) + 1
        self.bookings[f"{arguments['day']} {number}"] = ""
        return json.dumps({"booking": number})


class HostedCallAnswered(Agent):
    def is_mine(self, tool: str) -> bool:
        return True

    def book(self, arguments: dict[str, Any]) -> str:
        return super().book(arguments) if arguments else "unknown tool"


class CancelledCallAnswered(Agent):
    """Cancels a response, and answers the call in it half a second later."""

    scenario = "interrupted.yaml"

    async def next(self) -> dict[str, Any]:
        event = await super().next()
        if event["type"] == "response.function_call_arguments.done":
            await self.send("response.cancel")
        return event

    async def played(self) -> None:
        """The caller interrupted: nothing is played."""

    async def result(self, call: dict[str, Any]) -> None:
        await asyncio.sleep(0.5)
        await super().result(call)


class NestedTool(Agent):
    """Declares its tool as chat completions do."""

    def session(self) -> dict[str, Any]:
        inner = {name: value for name, value in TOOL.items() if name != "type"}
        return {**super().session(), "tools": [{"type": "function", "function": inner}]}


class OverlappingReplies(Agent):
    async def hang_up(self) -> None:
        await self.ask()
        await super().hang_up()


class ReplyOverPreamble(Agent):
    async def played(self) -> None:
        """The next response is requested at once."""


class UnansweredItem(Agent):
    async def talk(self) -> None:
        await self.configure()
        part = {"type": "input_text", "text": "An appointment on Monday, please."}
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        await self.listen()


class NothingAsked(Agent):
    """Waits for the service to speak first."""

    give_up_s = 40.0

    async def talk(self) -> None:
        await self.configure()
        await self.listen()


class RepeatedItemId(Agent):
    async def configure(self) -> None:
        await super().configure()
        for words in ("I am Ada.", "I am at home."):
            item = {
                "type": "message",
                "id": "item_1",
                "role": "user",
                "content": [{"type": "input_text", "text": words}],
            }
            await self.send("conversation.item.create", item=item)


class StaleResponseId(Agent):
    """Cancels the first response while the second one goes on."""

    first = ""

    async def next(self) -> dict[str, Any]:
        event = await super().next()
        if event["type"] == "response.created":
            if self.first:
                await self.send("response.cancel", response_id=self.first)
            self.first = event["response"]["id"]
        return event

    def failed(self, message: str) -> None:
        """The error is ignored."""


class UntoldInterruption(Agent):
    """The caller speaks over the last reply, and the service does not hear how much was played."""

    interrupts = False

    def sound(self) -> Iterator[bytes]:
        for chunk in super().sound():
            yield chunk
            if self.interrupts:
                yield from chunks(caller())
                self.interrupts = False

    async def hang_up(self) -> None:
        self.interrupts = True
        await asyncio.sleep(5.0)
        self.over = True


class UnknownModel(Agent):
    model = "grok-3-fast-voice"


class UndeclaredCall(Agent):
    """Declares no tool; the scenario calls one all the same."""

    def session(self) -> dict[str, Any]:
        return {**super().session(), "tools": []}


class ScenarioError(Agent):
    """No mistake of the agent: a template of the scenario has an undefined variable."""

    scenario = "mistaken.yaml"

    def failed(self, message: str) -> None:
        """The scenario is to blame."""


class UnmatchedTurn(ScenarioError):
    """No mistake of the agent: no rule of the scenario answers its second turn."""

    async def answered(self) -> None:
        await self.ask()
        await asyncio.sleep(2.0)
        self.over = True


class UnreachableRule(ScenarioError):
    """No mistake of the agent: a rule of the scenario waits for a tool that no step calls."""


class UnrecordedTurn(Agent):
    """No mistake of the agent: the mock plays the recording of a caller who says something else."""

    scenario = ""
    cassette = "call.tape"


class CommitUnderVad(Agent):
    def sound(self) -> Iterator[bytes]:
        self.commit = True
        yield from super().sound()

    async def play(self, size: int) -> None:
        if self.commit:
            self.commit = False
            await self.send("input_audio_buffer.commit")
        await super().play(size)


class EmptyCommit(Agent):
    def session(self) -> dict[str, Any]:
        return {**super().session(), "turn_detection": None}

    async def configure(self) -> None:
        await super().configure()
        await self.send("input_audio_buffer.commit")


class ShortSilence(Agent):
    silence_ms = 200


class MicrophoneStops(Agent):
    def sound(self) -> Iterator[bytes]:
        return chunks(caller())


class SpeechUncommitted(Agent):
    def session(self) -> dict[str, Any]:
        return {key: value for key, value in super().session().items() if key != "turn_detection"}


class LeftOpen(Agent):
    give_up_s = 200.0

    async def hang_up(self) -> None:
        """The microphone stops, and the connection stays open."""
        self.over = True
        for _ in range(8):
            await self.next()


class TruncateBeyond(Agent):
    async def hang_up(self) -> None:
        """The caller hangs up; all received audio is reported as heard, although it was not played yet."""
        heard_ms = self.received * 1000 // 48_000
        await self.send("conversation.item.truncate", item_id=self.item, content_index=0, audio_end_ms=heard_ms)
        self.over = True


class SilentAudio(Agent):
    def sound(self) -> Iterator[bytes]:
        return repeat(QUIET)


class AudioFormat(Agent):
    """Sends 32-bit float samples, as a browser records them."""

    def sound(self) -> Iterator[bytes]:
        samples = array.array("h", caller())
        floats = array.array("f", (sample / 32768 for sample in samples)).tobytes()
        return chain(chunks(floats, 2 * CHUNK), repeat(QUIET))


class AudioRate(Agent):
    """Sends audio at 16 kHz."""

    def sound(self) -> Iterator[bytes]:
        samples = array.array("h", caller())
        fewer = array.array("h", (sample for at, sample in enumerate(samples) if at % 3)).tobytes()
        return chain(repeat(QUIET[:3200], 70), chunks(fewer, 3200), repeat(QUIET[:3200]))


class AudioSpeed(Agent):
    """Sends a recording of 8 kHz as one of 24 kHz."""

    def sound(self) -> Iterator[bytes]:
        faster = array.array("h", array.array("h", caller())[::3]).tobytes()
        return chain(chunks(6 * faster), repeat(QUIET))


class OddAudioBytes(Agent):
    def sound(self) -> Iterator[bytes]:
        return chain(chunks(caller(), CHUNK + 1), repeat(QUIET))


class AudioBeforeConfiguration(Agent):
    async def talk(self) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(QUIET).decode())
        await super().talk()


class IgnoredError(Agent):
    def session(self) -> dict[str, Any]:
        return {**super().session(), "instructions": None, "voice": 7}

    async def configure(self) -> None:
        await self.send("session.update", session=self.session())
        await asyncio.sleep(1.0)
        await self.ask()

    def failed(self, message: str) -> None:
        """The error is ignored."""


class RepeatedError(Agent):
    async def configure(self) -> None:
        await super().configure()
        for _ in range(3):
            await self.send("session.configure", session={})
            await asyncio.sleep(0.1)

    def failed(self, message: str) -> None:
        """The same request is sent again."""


class UnknownField(Agent):
    def session(self) -> dict[str, Any]:
        return {**super().session(), "voise": "eve"}


class IgnoredField(Agent):
    def session(self) -> dict[str, Any]:
        return {**super().session(), "modalities": ["text"]}


class SessionCap(Agent):
    give_up_s = 8_000.0

    async def hang_up(self) -> None:
        """The connection stays open for two hours: the service sends an event every ten seconds, and stays in use."""
        self.over = True
        for number in range(700):
            await self.next()
            if number % 60 == 0:
                await self.send("input_audio_buffer.clear")


class AppendedTranscripts(Agent):
    def read(self, item: str, words: str) -> None:
        self.words[item] = self.words.get(item, "") + words


class SummedBillableSeconds(Agent):
    def bill(self, running_total_s: float) -> None:
        self.billable_s += running_total_s


class LatestModel(Agent):
    model = "grok-voice-latest"


class ModelEnds(Agent):
    """Uses a model of OpenAI whose last day is announced."""

    model = "gpt-realtime"
    months = 10


class KeyInQuery(Agent):
    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.query = f"&api_key={key}"


class KeyInBrowser(Agent):
    def credentials(self) -> dict[str, Any]:
        return {"subprotocols": [f"xai-client-secret.{self.key}"], "origin": "https://clinic.example"}


class BetaHeader(Agent):
    def credentials(self) -> dict[str, Any]:
        return {"additional_headers": {"Authorization": f"Bearer {self.key}", "OpenAI-Beta": "realtime=v1"}}


class NoBackoff(Agent):
    async def back_off(self, seconds: float) -> None:
        """The next attempt follows at once."""


class NoRetry(Agent):
    async def back_off(self, seconds: float) -> None:
        raise Refused("the service is busy")


class Reconnecting(Agent):
    """Opens a connection for each turn."""

    async def call(self) -> None:
        for _ in range(3):
            async with await self.connect() as self.connection:
                await self.configure()
                await self.ask()
                while (await self.next())["type"] != "response.done":
                    pass

    def session(self) -> dict[str, Any]:
        return {"resumption": {"enabled": True}}

    async def next(self) -> dict[str, Any]:
        event = await super().next()
        if event["type"] == "conversation.created":
            self.query = f"&conversation_id={event['conversation']['id']}"
        return event


def named(bug: type[Agent]) -> str:
    """`ToolResultUnanswered` as `tool-result-unanswered`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in bug.__name__)[1:]


BUGS = {named(bug): bug for bug in (*Agent.__subclasses__(), *ScenarioError.__subclasses__())}
