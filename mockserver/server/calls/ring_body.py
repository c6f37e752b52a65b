"""The body of `POST /_mock/calls`: who calls whom, what the caller says, and where the call is announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BeforeValidator, Field

from mockserver.audio.tts.base import Synthesizer
from mockserver.calls.caller import GREETING_S, Step
from mockserver.calls.script import Entry, script
from mockserver.calls.webhook import check_reach
from mockserver.documents.durations import seconds_of
from mockserver.documents.problems import DocumentError
from mockserver.documents.reader import Document
from mockserver.documents.validation import Section, validated
from mockserver.server.calls.phone import ANSWER_S, CALLER, Ring


class RingSection(Section):
    """A call to be made. At most one of `text`, `audio` and `script` says what the caller does."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "url": "webhook",
        "secret": "webhook_secret",
        "say": "text",
        "caller": "from",
    }
    from_: str = Field(default=CALLER, alias="from", description="The caller's number, or a `sip:` address.")
    to: str | None = Field(default=None, description="The number that is called. Default: the only registered one.")
    text: str | list[str] | None = Field(
        default=None, description="What the caller says: one turn, or a list of turns."
    )
    audio: str | None = Field(default=None, description="A WAV file in base64 that the caller plays.")
    script: list[str | dict[str, Any]] | None = Field(default=None, description="What the caller does, in order.")
    digits: str = Field(default="", description="Keys that the caller presses at the end: 0 to 9, *, #, A to D.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Further headers of the SIP INVITE.", max_length=50
    )
    webhook: str | None = Field(default=None, description="Where the call is announced: an address of this machine.")
    webhook_secret: str | None = Field(default=None, description="The secret that signs it: whsec_ and base64.")
    answer_within: Annotated[
        float, BeforeValidator(partial(seconds_of, name="answer_within")), Field(gt=0, le=3600)
    ] = ANSWER_S
    greeting: Annotated[float, BeforeValidator(partial(seconds_of, name="greeting")), Field(ge=0, le=600)] = GREETING_S
    transfer_status: int | None = Field(default=None, ge=400, le=699, description="With which a transfer is refused.")


def parse(body: bytes, voice: Synthesizer, own_webhook: str | None) -> Ring:
    """Read a body; `voice` speaks the caller's words. own_webhook: the address that the operator allows besides those
    of this machine. Raises ValueError (DocumentError with places)."""
    try:
        data = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"the body is no JSON: {problem}") from problem
    asked, problems = validated(Document(data, "", {}), RingSection, quotes=False)
    if asked is None:
        raise DocumentError.of(problems)
    if asked.webhook is not None:
        check_reach(asked.webhook, own_webhook)
    return Ring(
        script=_steps(asked, voice),
        webhook=asked.webhook,
        webhook_secret=asked.webhook_secret,
        caller=asked.from_,
        called=asked.to,
        headers=asked.headers,
        answer_within_s=asked.answer_within,
        greeting_s=asked.greeting,
        transfer_status=asked.transfer_status,
    )


def _steps(asked: RingSection, voice: Synthesizer) -> list[Step]:
    given = [name for name in ("text", "audio", "script") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} both say what the caller does; leave out one of them")
    entries: list[Entry] = []
    if asked.text is not None:
        entries += [asked.text] if isinstance(asked.text, str) else asked.text
    elif asked.audio is not None:
        entries.append({"audio": asked.audio})
    elif asked.script is not None:
        entries += asked.script
    return caller_script(entries, asked.digits, voice)


def caller_script(entries: Sequence[Entry], digits: str, voice: Synthesizer) -> list[Step]:
    """The steps of a caller who presses `digits` at the end. Raises ValueError and OSError."""
    return script([*entries, *([{"press": digits}] if digits else [])], voice)
