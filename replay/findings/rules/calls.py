"""Rules on calls over the telephone and WebRTC, whose sound is on tracks and whose events are on channels."""

from __future__ import annotations

from collections.abc import Iterator

from replay.findings.call import CallState, CallStep
from replay.findings.finding import Found


def audio_in_call(call: CallState, step: CallStep) -> Iterator[Found]:
    """The service takes the sound of a call from its track alone."""
    if call.over_tracks and call.audio.appends:
        yield Found("input_audio_buffer.append was sent on an event channel of a call: its sound is on the audio track")


def trimmed_offer(sdp: str) -> Iterator[Found]:
    """The last line of an offer needs its line end."""
    lines = sdp.splitlines()
    if len(lines) > 1 and lines[0] == "v=0" and not sdp.endswith("\n"):
        yield Found(f"the offer ends with {lines[-1][-40:]!r} instead of CRLF: the service answers 400 invalid_offer")


def no_event_channel(sdp: str) -> Iterator[Found]:
    """A data channel that is made after the offer is not in it, and there is no second offer."""
    if "\nm=audio" in sdp and "\nm=application" not in sdp:
        yield Found("the offer of a page has no data channel: no event will come, and none can be sent")
