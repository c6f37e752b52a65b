"""Rules on configuration, on refused requests, and on the length of a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timezone

from replay.cassette.json_values import number_at, object_at, text_at
from replay.findings.call import CLOSED, CallState, CallStep
from replay.findings.fields import ignored_fields, unknown_fields
from replay.findings.finding import Found
from replay.openai_models import ENDS_SOON_DAYS, REALTIME, TRANSCRIPTION, row
from replay.xai_models import VOICE

CAPS_S = {"xai": 7_200.0, "openai": 3_600.0}
NEAR = 0.95
_BENIGN = (
    "response_cancel_not_active",
    "no active response",
    "input_audio_buffer_commit_empty",
    "buffer too small",
)
"""Errors that real clients meet in passing, without harm."""
_PERSISTENT = 3


def audio_before_configuration(call: CallState, step: CallStep) -> Iterator[Found]:
    """Audio that came before the session was configured."""
    early = call.audio.appends
    if step.type == "session.update":
        if early and not call.updates and call.configured_at is None:
            yield Found(
                f"{early} messages of audio were sent before the first session.update: the service read them in its"
                " default format"
            )
    elif step.type == "session.updated":
        if call.configured_at is None and call.update is not None and early > call.early_appends:
            count = early - call.early_appends
            yield Found(f"{count} messages of audio were sent before session.updated had come")
    elif call.service == "xai" and not call.updates and call.configured_at is None and call.audio.seconds > 1.0:
        if not call.committed and not call.responses:
            yield Found(
                f"{call.audio.seconds:.1f} s of audio were sent without any session.update: no turns are detected"
            )


def unknown_field(call: CallState, step: CallStep) -> Iterator[Found]:
    """A field that the service does not know: it refuses the update or drops the field. A field that comes back is
    known.
    """
    if call.update is None:
        return
    echoed = object_at(step.event, "session")
    for path, near in unknown_fields(call.service, object_at(call.update.event, "session")):
        *parents, name = path.split(".")[1:]
        if step.type == "session.updated" and (call.service == "openai" or name in object_at(echoed, *parents)):
            continue
        hint = f"; the nearest name is {near}" if near else ""
        message = f"session.update has {path}, which {call.service} does not know{hint}"
        yield Found(message, path, call.update.at, call.update.number)


def ignored_field(call: CallState, step: CallStep) -> Iterator[Found]:
    """A setting that the service accepts without effect."""
    for path, value, why in ignored_fields(call.service, object_at(step.event, "session")):
        yield Found(f"session.update sets {path} to {str(value)[:60]!r}, and {why}", path)


def ignored_error(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client continues as if a refused update had been applied."""
    item = call.item_refused
    if item is not None and step.type == "response.create" and (not call.timed or step.at - item.at >= 0.05):
        message = text_at(item.event, "error", "message")[:160]
        yield Found(
            f"an item was refused ({message}), and the client requested a response without it",
            f"item {item.number}",
            item.at,
            item.number,
        )
    refused = call.update_refused
    if refused is None or step.at < refused.at or (call.timed and step.at - refused.at < 0.05):
        return
    if step.type == "response.create" or (step.type == CLOSED and call.audio.appends > call.early_appends):
        message = text_at(refused.event, "error", "message")[:160]
        yield Found(
            f"session.update was refused ({message}), and the client continued without a new one: none of it applies",
            f"update {refused.number}",
            refused.at,
            refused.number,
        )


def repeated_error(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client sends the same refused request again and again."""
    error = object_at(step.event, "error")
    message, code = text_at(error, "message"), text_at(error, "code")
    if any(word in message.lower() or word == code for word in _BENIGN):
        return
    if call.errors.get(message, 0) + 1 == _PERSISTENT:
        yield Found(f"refused {_PERSISTENT} times for the same reason: {message[:160]}", message[:160])


def near_the_cap(call: CallState, step: CallStep) -> Iterator[Found]:
    """Services end sessions that last too long."""
    cap_s = CAPS_S.get(call.service or "")
    if cap_s is not None and step.at >= NEAR * cap_s and call.timed:
        yield Found(f"the session has lasted {step.at / 60:.0f} minutes; the service ends it after {cap_s / 60:.0f}")


def model_ends(call: CallState, step: CallStep) -> Iterator[Found]:
    """A model of the session ends soon, or has ended, or is deprecated, on the session's day."""
    if step.type == "ping":
        yield from _deprecated(call, step)
        return
    if call.service != "openai":
        return
    session = object_at(step.event, "session")
    expires_at = number_at(session, "expires_at")
    if not expires_at:
        return
    if (today := _day(expires_at - CAPS_S["openai"])) is None:
        return
    for name in (text_at(session, "model"), text_at(session, "audio", "input", "transcription", "model")):
        known = row(name, TRANSCRIPTION) or row(name, REALTIME)  # gpt-realtime-whisper is no variant of gpt-realtime
        if known is not None and known.ends is not None and (known.ends - today).days <= ENDS_SOON_DAYS:
            yield Found(f"the service ends {name} on {known.ends}; {known.successor} takes its place", name)


def _deprecated(call: CallState, step: CallStep) -> Iterator[Found]:
    """The model of an xAI session is deprecated. The day is that of the server's clock."""
    known, unix_ms = VOICE.get(call.model), number_at(step.event, "timestamp")
    if known is None or known.deprecated is None or not unix_ms:
        return
    if (today := _day(unix_ms / 1000)) is not None and today >= known.deprecated:
        message = f"the service deprecated {call.model} on {known.deprecated}; {known.successor} takes its place"
        yield Found(message, call.model)


def _day(unix_s: float) -> date | None:
    """The day of a Unix second in UTC; None for a number that is no date."""
    try:
        return datetime.fromtimestamp(unix_s, timezone.utc).date()
    except (OverflowError, OSError, ValueError):
        return None
