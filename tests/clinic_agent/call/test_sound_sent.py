"""The length of the sound that a service sent, counted from the events of a sideband."""

from __future__ import annotations

from clinic_agent.call.sound_sent import SoundSent

WORDS = {"type": "response.output_audio_transcript.delta", "response_id": "r1", "delta": "Hello, caller. "}


def done(**usage: float) -> dict[str, object]:
    return {"type": "response.done", "response": {"id": "r1", "usage": {}}, "usage": usage}


def test_the_count_of_the_service_takes_the_place_of_the_guess():
    sent = SoundSent()
    sent.take({"type": "response.created", "response": {"id": "r1"}})
    sent.take(WORDS)
    assert (sent.samples, sent.is_estimate) == (24_000, True)
    sent.take(done(output_audio_seconds=1.5899999999999999))
    assert (sent.samples, sent.is_estimate) == (38_160, False)


def test_without_a_count_and_after_a_lost_sideband_it_is_an_estimate():
    sent = SoundSent()
    sent.take(WORDS)
    sent.take(done())
    assert (sent.samples, sent.is_estimate) == (24_000, True)
    attached = SoundSent()
    attached.miss()
    assert attached.is_estimate


def test_a_service_that_bills_tokens_leaves_no_estimate():
    sent = SoundSent()
    sent.take(WORDS)
    sent.take({"type": "response.done", "response": {"id": "r1", "usage": {"output_tokens": 20}}})
    assert not sent.is_estimate
