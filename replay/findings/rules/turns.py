"""Rules on turns: requesting responses, committing audio, interrupting, truncating."""

from __future__ import annotations

from collections.abc import Iterator

from replay.cassette.json_values import number_at, object_in, text_at, text_in
from replay.findings.call import CLOSED, COMMITS, CallState, CallStep
from replay.findings.finding import Found

OVERLAP_S = 0.5
SHORT_MS = 500
"""Milliseconds. Shorter silence occurs within sentences."""
RESUMED_MS = 1_000
STILL_S = 3.0
"""Seconds. A microphone that sends nothing for this long during speech is off."""
LEFT_S = 60.0
"""Seconds without anything from a client with an open microphone. Its caller is gone."""
_REPLACES_SINCE = "2026-09"
"""The month from which xAI is known to replace a running response. Clients of before report a refusal."""
_TOLERANCE_S = 0.3
_CUT_S = 0.02
"""Seconds. Shorter deltas were cut by the recorder."""


def overlapping_replies(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client requests a response while another one is in progress or still playing."""
    request = object_in(step.event, "response")
    if request.get("conversation") == "none" or (call.committed and call.service == "xai"):
        return
    if call.active is not None:
        since = f", which began {step.at - call.active_since:.1f} s ago" if call.timed else ""
        replaces = call.service == "xai" and (not call.month or call.month >= _REPLACES_SINCE)
        what = "ends that one as cancelled, bills it, and starts another" if replaces else "refuses it"
        yield Found(f"response.create was sent while a response is in progress{since}: the service {what}", "active")
    elif call.requested is not None and not call.new_inputs and not request.get("instructions"):
        yield Found(
            "response.create was sent again before the first one was answered, with nothing new to answer", "twice"
        )
    elif (rest := call.playing(step.at)) > OVERLAP_S and not call.continues:
        if not call.new_inputs and not request.get("instructions") and not request.get("input"):
            yield Found(
                f"response.create was sent with nothing new to answer, and {rest:.1f} s of the last reply to play:"
                " both play at once",
                "playing",
            )
        elif call.microphone:
            yield Found(f"response.create was sent with {rest:.1f} s of the last reply still to play", "over")


def reply_over_preamble(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client goes on after a tool's result while what was said before the call still plays."""
    request = object_in(step.event, "response")
    rest = call.playing(step.at)
    if call.continues and call.microphone and rest > OVERLAP_S and request.get("conversation") != "none":
        yield Found(
            f"response.create followed a tool's result with {rest:.1f} s of the words before the call still to play:"
            " both play at once, unless the client plays them one after the other"
        )


def commit_under_vad(call: CallState, step: CallStep) -> Iterator[Found]:
    """The server detects turns by itself."""
    if call.vad:
        what = (
            "ignores it without an error" if call.service == "xai" else "ends the turn there, or refuses a late commit"
        )
        yield Found(f"{step.type} was sent while turn_detection is {call.detection.get('type')!r}: the service {what}")


def empty_commit(call: CallState, step: CallStep) -> Iterator[Found]:
    """There is no audio to commit."""
    if step.way == "sent":
        if not call.audio.since_taken and not (call.vad and call.service == "xai"):
            yield Found("the input buffer was committed, and no audio had been appended since the last commit", "empty")
        return
    error = object_in(step.event, "error")
    if (
        error.get("code") == "input_audio_buffer_commit_empty"
        or "buffer too small" in text_in(error, "message").lower()
    ):
        yield Found(f"a commit was refused: {text_at(error.get('message'))[:200]}", "empty")


def silent_commit(call: CallState, step: CallStep) -> Iterator[Found]:
    """The committed audio is silence."""
    audio = call.audio
    if step.type in COMMITS:
        if not call.vad and audio.since_taken and not audio.audible_since_taken and audio.seconds >= 0.1:
            yield Found(f"a turn of silence was committed: {audio.since_taken} messages of nothing but silence", "turn")
    elif call.resumed:  # the user may be listening to the rest of a response; the source worked before
        return
    elif not audio.heard_any and audio.seconds >= (3.0 if step.type == CLOSED else 20.0):
        yield Found(f"{audio.seconds:.0f} s of audio were sent, all of it silence", "all")


def may_be_silent(call: CallState) -> bool:
    """Whether nothing but silence may have come, since the start or in this turn. Under turn detection, which commits
    nothing silent, only the start is listened to."""
    audio = call.audio
    return audio.appends > 0 and not (audio.audible_since_taken or (call.vad and audio.heard_any))


def short_silence(call: CallState, step: CallStep) -> Iterator[Found]:
    """The user only paused."""
    silence = number_at(call.detection, "silence_duration_ms")
    if call.stopped is None or silence is None or silence >= SHORT_MS:
        return
    stopped_at, end_ms = call.stopped
    gap_ms = (number_at(step.event, "audio_start_ms") or 0.0) - end_ms
    if gap_ms < RESUMED_MS and (not call.timed or step.at - stopped_at < RESUMED_MS / 1000):
        message = f"the user's turn ended after {silence:.0f} ms of silence and went on {max(gap_ms, 0):.0f} ms later"
        yield Found(message)


def microphone_stops(call: CallState, step: CallStep) -> Iterator[Found]:
    """Turn detection needs the silence after speech. Without audio the turn does not end."""
    last = call.audio.last_at
    if call.speech_at is None or last is None or not call.vad or not call.timed:
        return
    if (still := step.at - max(last, call.speech_at)) >= STILL_S:
        yield Found(
            f"the user began to speak, and no audio has come for {still:.1f} s: the service waits for the silence"
            " after the speech, and does not respond",
            at=last,
        )


def speech_uncommitted(call: CallState, step: CallStep) -> Iterator[Found]:
    """Without turn detection, speech is answered after a commit only."""
    spoke_at = call.speech_at
    if call.vad or call.taken or call.responses or not call.updates or spoke_at is None:
        return
    # A client that ends turns itself may let its user speak for long.
    if step.type != CLOSED and (call.manual or not call.timed or step.at - spoke_at < STILL_S):
        return
    why = "is null" if call.manual else "was not set, which the service takes for none"
    message = f"the user spoke while no turns are detected, and nothing was committed: turn_detection {why}"
    yield Found(message, at=spoke_at)


def left_open(call: CallState, step: CallStep) -> Iterator[Found]:
    """The caller is gone, and the client keeps its session, which counts among those of its team."""
    if step.way == "received":
        if object_in(step.event, "error").get("type") == "timeout":
            idle, last = _idle(call, step)
            yield Found(f"the client sent nothing for {idle:.0f} s, until the service ended the session", at=last)
    elif call.microphone and call.active is None and step.at >= call.plays_until + LEFT_S:
        idle, last = _idle(call, step)
        if idle >= LEFT_S:
            yield Found(f"the microphone fell silent {idle:.0f} s ago, and the session is still open", at=last)


def _idle(call: CallState, step: CallStep) -> tuple[float, float]:
    """For how long the client has sent nothing, and since when, in seconds."""
    last = max(call.audio.last_at or 0.0, call.sent_at)
    return step.at - last, last


def truncate_beyond(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client kept more of a response than it received, or than the user can have heard."""
    spoken = call.spoken.get(text_in(step.event, "item_id"))
    end_ms = number_at(step.event, "audio_end_ms")
    if spoken is not None and end_ms is not None and spoken.plays_since is not None:  # what was played is known
        played_s = step.at - spoken.plays_since
        if end_ms / 1000 > played_s + _TOLERANCE_S:
            yield Found(
                f"truncated at {end_ms:.0f} ms a response that the service has played for {played_s * 1000:.0f} ms",
                spoken.id,
            )
        return
    if spoken is None or end_ms is None or not spoken.deltas or spoken.seconds / spoken.deltas < _CUT_S:
        return
    end_s = end_ms / 1000
    if end_s > spoken.seconds + _TOLERANCE_S:
        yield Found(
            f"truncated at {end_ms:.0f} ms a response of which {spoken.seconds * 1000:.0f} ms were sent", spoken.id
        )
    elif call.microphone and end_s > step.at - spoken.first_at + _TOLERANCE_S:
        since = (step.at - spoken.first_at) * 1000
        yield Found(
            f"truncated at {end_ms:.0f} ms a response whose audio began {since:.0f} ms ago: nobody has heard so much",
            spoken.id,
        )
