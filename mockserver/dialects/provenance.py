"""Where each server event of a service is known from, and which events are deliberately not served.

Data for docs/fidelity.md, for the tests that compare it with the dialects, and for the spelling of events in fault
files. A new event needs a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mockserver.dialects.names import DIALECT_NAMES, DialectName

Source = Literal["recordings", "others' captures", "others' measurements", "vendor's page", "clients"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How an event is known: `observed` on the wire, `documented` by the vendor, or `guessed`.

    guess: what of the event is a guess, or a choice between sources that differ. The dialect marks it in a comment.
    """

    mark: Literal["observed", "documented", "guessed"]
    source: Source
    """`recordings` are those that the conformance tests play."""
    guess: str = ""


_RECORDED = Evidence("observed", "recordings")
_CUT = Evidence("observed", "recordings", "that a cut message closes in this order")

_ORDER = Evidence("documented", "vendor's page", "its place among the others, the null link at its end")
_CALLED = Evidence("documented", "vendor's page", "that the item closes after the call is over")
_LISTED = Evidence("documented", "vendor's page", "that the item comes empty, and stays open when the listing fails")
_LISTING = tuple(f"mcp_list_tools.{stage}" for stage in ("in_progress", "completed", "failed"))
_CALLING = (
    *(f"response.mcp_call_arguments.{stage}" for stage in ("delta", "done")),
    *(f"response.mcp_call.{stage}" for stage in ("in_progress", "completed", "failed")),
)

_KEY = Evidence("documented", "vendor's page", "the instant: when the key is pressed")

XAI: Mapping[str, Evidence] = {
    "session.created": _RECORDED,
    "conversation.created": _RECORDED,
    "ping": Evidence("observed", "recordings", "before September 2026, one a connection"),
    "session.updated": Evidence("observed", "recordings", "the place of `replace`; hosted tools as they were sent"),
    "conversation.item.added": _RECORDED,
    "conversation.item.deleted": Evidence(
        "documented", "vendor's page", "`item_id` is empty, as a client's authors found it; the page shows the id"
    ),
    "conversation.item.truncated": Evidence("documented", "vendor's page", "the null link at its end"),
    "conversation.item.input_audio_transcription.updated": _RECORDED,
    "conversation.item.input_audio_transcription.completed": Evidence(
        "observed", "recordings", "that it comes, once, where no transcription was requested"
    ),
    "input_audio_buffer.speech_started": _RECORDED,
    "input_audio_buffer.speech_stopped": _RECORDED,
    "input_audio_buffer.committed": Evidence(
        "observed", "recordings", "its place in manual turns before September 2026, and under turn detection since"
    ),
    "input_audio_buffer.cleared": _RECORDED,
    "input_audio_buffer.timeout_triggered": Evidence(
        "documented", "vendor's page", "what surrounds it: the events of a committed turn"
    ),
    "input_audio_buffer.dtmf_event_received": _KEY,
    "response.created": _RECORDED,
    "response.output_item.added": _RECORDED,
    "response.content_part.added": _RECORDED,
    "response.output_audio.delta": _RECORDED,
    "response.output_audio_transcript.delta": _RECORDED,
    "response.output_audio_transcript.done": _CUT,
    "response.content_part.done": _CUT,
    "response.output_audio.done": _CUT,
    "response.output_item.done": _CUT,
    "response.function_call_arguments.delta": _RECORDED,
    "response.function_call_arguments.done": Evidence(
        "observed", "recordings", "that the last number of `call_id` counts the calls of a response"
    ),
    "response.done": Evidence("observed", "recordings", "what comes before it when an answer is cut or fails"),
    "error": Evidence("documented", "vendor's page", "the order of keys, most codes and texts"),
    **dict.fromkeys((*_LISTING, *_CALLING), _ORDER),
}

_PLAYED = Evidence("observed", "others' captures", "that each response has its own, where one follows another")

OPENAI: Mapping[str, Evidence] = {
    "session.created": _RECORDED,
    "session.updated": Evidence("observed", "recordings", "how semantic VAD, truncation and tracing are shown"),
    "conversation.item.added": _RECORDED,
    "conversation.item.done": _CUT,
    "conversation.item.retrieved": Evidence("documented", "vendor's page", "no sound; transcripts where clients look"),
    "conversation.item.truncated": Evidence("documented", "vendor's page", "the item's transcript is empty from then"),
    "conversation.item.deleted": Evidence("observed", "others' captures"),
    "conversation.item.input_audio_transcription.delta": Evidence(
        "observed", "recordings", "`obfuscation` of deltas of 16 characters and more"
    ),
    "conversation.item.input_audio_transcription.completed": _RECORDED,
    "conversation.item.input_audio_transcription.failed": Evidence(
        "observed", "others' captures", "what its message says beside the item's id"
    ),
    "input_audio_buffer.speech_started": _RECORDED,
    "input_audio_buffer.speech_stopped": _RECORDED,
    "input_audio_buffer.committed": _RECORDED,
    "input_audio_buffer.cleared": Evidence("documented", "vendor's page"),
    "input_audio_buffer.timeout_triggered": Evidence(
        "observed", "others' captures", "the words of the system message that follows it"
    ),
    "input_audio_buffer.dtmf_event_received": _KEY,
    "output_audio_buffer.started": _PLAYED,
    "output_audio_buffer.stopped": _PLAYED,
    "output_audio_buffer.cleared": Evidence(
        "documented", "vendor's page", "its place: before the truncation, and before the end of a response that it cuts"
    ),
    "response.created": _RECORDED,
    "response.output_item.added": _RECORDED,
    "response.content_part.added": _RECORDED,
    "response.output_text.delta": _RECORDED,
    "response.output_text.done": _CUT,
    "response.output_audio_transcript.delta": Evidence(
        "observed", "recordings", "`obfuscation` of deltas of 16 characters and more"
    ),
    "response.output_audio_transcript.done": _CUT,
    "response.output_audio.delta": Evidence("observed", "recordings", "250 ms each, four times as fast as they play"),
    "response.output_audio.done": _CUT,
    "response.content_part.done": _CUT,
    "response.output_item.done": _CUT,
    "response.function_call_arguments.delta": _RECORDED,
    "response.function_call_arguments.done": _RECORDED,
    "response.done": Evidence("observed", "recordings", "text tokens are counted by words and marks"),
    "rate_limits.updated": Evidence("observed", "recordings", "what a kind of answer is counted as"),
    "error": Evidence("observed", "others' captures", "some texts: see `docs/dialects.md`"),
    **dict.fromkeys(_LISTING, _LISTED),
    **dict.fromkeys(_CALLING, _CALLED),
}

_TWIN = Evidence("observed", "others' captures", "that the twin `content` comes after `part`")
AZURE: Mapping[str, Evidence] = {
    **OPENAI,
    "response.content_part.added": _TWIN,
    "response.content_part.done": _TWIN,
}
"""As OpenAI, of which the recordings are, where nothing else was seen."""

EVIDENCE: Mapping[str, Mapping[str, Evidence]] = {"xai": XAI, "openai": OPENAI, "azure": AZURE}
"""By service and type of event."""


@dataclass(frozen=True, slots=True)
class Dated:
    """How an event is known as of one date of a service.

    grade: `observed` on the wire, `documented` by the vendor, or `reported` by those who measured it without frames.
    seen: the day or month of the source, as ISO 8601.
    """

    grade: Literal["observed", "documented", "reported"]
    source: Source
    seen: str


def _types(service: str, source: Source) -> tuple[str, ...]:
    return tuple(type for type, known in EVIDENCE[service].items() if known.source == source)


_JULY, _SEPTEMBER = Dated("observed", "recordings", "2026-07-28"), Dated("observed", "recordings", "2026-09-29")
_PAGE = Dated("documented", "vendor's page", "2026-07")
_MEASURED = Dated("reported", "others' measurements", "2026-09-29")
_CAPTURED = Dated("observed", "others' captures", "2026-07")
_NOT_IN_JULY = "input_audio_buffer.cleared"
_TYPED = ("conversation.item.", "rate_limits.", "response.", "session.")
_NOT_TYPED = ("conversation.item.input_audio", "response.function_call", "response.output_text")
DATED: Mapping[DialectName, Mapping[str, Dated]] = {
    "xai@2026-04": {
        "conversation.created": Dated("reported", "clients", "2026-04"),
        "session.updated": Dated("reported", "clients", "2026-02"),
    },
    "xai@2026-07": dict.fromkeys(_types("xai", "vendor's page"), _PAGE)
    | dict.fromkeys(_types("xai", "recordings"), _JULY)
    | {_NOT_IN_JULY: _PAGE},
    "xai@2026-08": dict.fromkeys(
        ("session.created", "session.updated"), Dated("observed", "others' captures", "2026-08")
    )
    | {"response.done": Dated("observed", "others' captures", "2026-08-04")},
    "xai@2026-09": dict.fromkeys(_types("xai", "recordings"), _SEPTEMBER)
    | dict.fromkeys(("conversation.item.truncated", "error"), _MEASURED),
    "xai@2026-10": {},
    "openai@2026-08": dict.fromkeys(_types("openai", "vendor's page"), _PAGE)
    | dict.fromkeys(_types("openai", "others' captures"), _CAPTURED)
    | {
        type: _SEPTEMBER if type.startswith(_TYPED) and not type.startswith(_NOT_TYPED) else _JULY
        for type in _types("openai", "recordings")
    }
    | {"input_audio_buffer.timeout_triggered": Dated("observed", "others' captures", "2026-09-29")},
    "openai@2026-10": {"error": Dated("observed", "others' captures", "2026-11-30")},
    "azure@2026-10": dict.fromkeys(("response.content_part.added", "response.content_part.done"), _CAPTURED),
}
"""What is known of each date itself. A new date has only what was seen of it; the rest is as of the date before."""


def as_of(dialect: DialectName, type: str) -> tuple[DialectName, Dated]:
    """The date from which an event of a dialect is known, and how: the date itself, else the nearest before it, else
    the nearest after it. Azure's is OpenAI's where nothing else was seen."""
    service = dialect.partition("@")[0]
    dated = [name for name in DIALECT_NAMES if name.startswith(f"{service}@")]
    at = dated.index(dialect)
    others = [name for name in reversed(DIALECT_NAMES) if service == "azure" and name.startswith("openai@")]
    name = next(name for name in (*dated[at::-1], *others, *dated[at:]) if type in DATED[name])
    return name, DATED[name][type]


_BETA = "sent by no recorded connection; an older form"
_UNSERVED_OPENAI: Mapping[str, str] = {
    "conversation.created": _BETA,
    "conversation.item.created": _BETA,
    "conversation.item.input_audio_transcription.segment": "speakers are not distinguished",
}
UNSERVED: Mapping[str, Mapping[str, str]] = {
    "xai": {
        "conversation.item.created": "the guide names it for taken-up conversations; recorded ones bring `.added`",
        "conversation.item.done": "in no recording",
        "rate_limits.updated": "in no recording",
        "response.audio.delta": "another name of the audio delta, in one sentence of the vendor's page",
        "response.text.delta": "the service speaks whatever modality is requested",
        "response.output_text.delta": "the service speaks whatever modality is requested",
    },
    "openai": _UNSERVED_OPENAI,
    "azure": _UNSERVED_OPENAI,
}
"""Events that a client may know of and does not get, with the reason."""
