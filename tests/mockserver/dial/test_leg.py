"""A call as a phone company carries it, without a socket: messages and instants."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mockserver.audio.codecs import encode
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.calls.caller import Caller, HangUp, Interrupt, Listen, Pause, Press, Speak, Step
from mockserver.dial.leg import CallLeg
from mockserver.dial.network import Network
from mockserver.dial.plivo import Plivo
from mockserver.dial.provider import Provider
from mockserver.dial.report import DialReport, report_of
from mockserver.dial.twilio import Twilio

MULAW = AudioFormat("pcmu", 8000)
Message = dict[str, Any]
Bridge = Callable[[Message, float], Sequence[Message | str | bytes]]


def tone(seconds: float, hz: float = 300.0) -> Samples:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * 8000)) / 8000)).astype(np.int16)


def base64_of(samples: Samples, format: AudioFormat = MULAW) -> str:
    return base64.b64encode(encode(samples, format)).decode()


class Call:
    """A call whose bridge is a function: what it answers to each message, at once."""

    def __init__(self, steps: Sequence[Step], provider: Provider | None = None, **options: Any) -> None:
        self.provider = provider or Twilio()
        caller = Caller(steps, greeting_s=options.pop("greeting_s", 0.0))
        self.leg = CallLeg(self.provider, caller, options.pop("network", None), **options)
        self.sent: list[tuple[float, Message]] = []

    def run(self, bridge: Bridge = lambda message, now: (), until_s: float = 60.0) -> DialReport:
        while not self.leg.over:
            due = self.leg.next_due()
            assert due is not None and due < until_s, "the call does not end"
            for text in self.leg.take_output(due):
                message = json.loads(text)
                self.sent.append((due, message))
                for answer in bridge(message, due):
                    self.leg.receive(json.dumps(answer) if isinstance(answer, dict) else answer, due)
        return report_of(self.leg, "ws://bridge")

    def sent_of(self, event: str) -> list[tuple[float, Message]]:
        return [(at, message) for at, message in self.sent if message["event"] == event]

    def media(self, samples: Samples) -> Message:
        sound = {"payload": base64_of(samples)}
        return {"event": "media", "streamSid": self.provider.stream_id, "media": sound}

    def mark(self, name: str) -> Message:
        return {"event": "mark", "streamSid": self.provider.stream_id, "mark": {"name": name}}

    @property
    def clear(self) -> Message:
        return {"event": "clear", "streamSid": self.provider.stream_id}


def at_chunks(answers: Mapping[int, Sequence[Message | str | bytes]]) -> Bridge:
    """A bridge that answers to frames of the caller by their numbers; each arrives at its number times 20 ms."""

    def bridge(message: Message, now: float) -> Sequence[Message | str | bytes]:
        return answers.get(int(message["media"]["chunk"]), ()) if message["event"] == "media" else ()

    return bridge


def at_chunk(number: int, answers: Sequence[Message | str | bytes]) -> Bridge:
    return at_chunks({number: answers})


def test_twilio_opens_numbers_and_ends_a_stream_as_documented():
    call = Call([Speak(tone(0.04)), Press("5")], Twilio(parameters={"clinic": "north"}))
    call.run()
    connected, start, *_, stop = [message for _, message in call.sent]
    media = [message for _, message in call.sent_of("media")]
    ((_, dtmf),) = call.sent_of("dtmf")
    sid = start["streamSid"]
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": start["start"]["accountSid"],
            "streamSid": sid,
            "callSid": call.provider.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"clinic": "north"},
        },
        "streamSid": sid,
    }
    assert [len(sid), sid[:2], call.provider.call_id[:2]] == [34, "MZ", "CA"]
    assert media[1] == {
        "event": "media",
        "sequenceNumber": "3",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": media[1]["media"]["payload"]},
        "streamSid": sid,
    }
    assert all(len(base64.b64decode(each["media"]["payload"])) == 160 for each in media)
    assert dtmf["dtmf"] == {"track": "inbound_track", "digit": "5"}
    assert stop["stop"].keys() == {"accountSid", "callSid"}
    numbers = [int(message["sequenceNumber"]) for _, message in call.sent[1:]]
    assert numbers == list(range(1, len(call.sent)))


def test_frames_leave_every_20_ms_from_the_first_on():
    call = Call([Pause(0.2)])
    call.run()
    assert [at for at, _ in call.sent_of("media")] == pytest.approx([0.02 * n for n in range(1, 11)])


def test_a_mark_comes_back_when_the_sound_before_it_has_been_played():
    call = Call([Pause(1.0)])
    call.run(at_chunk(5, [call.mark("now"), call.media(tone(0.25)), call.mark("played"), call.media(tone(0.1))]))
    returned = {message["mark"]["name"]: at for at, message in call.sent_of("mark")}
    assert returned == pytest.approx({"now": 0.1, "played": 0.35})


def test_a_clear_drops_the_sound_and_returns_the_marks():
    call = Call([Pause(1.0)])
    sound = [call.media(tone(0.5)), call.mark("a"), call.media(tone(0.5)), call.mark("b")]

    report = call.run(at_chunks({5: sound, 20: [call.clear]}))
    assert [(at, message["mark"]["name"]) for at, message in call.sent_of("mark")] == [(0.4, "a"), (0.4, "b")]
    assert [(each.name, each.cleared) for each in report.marks] == [("a", True), ("b", True)]
    (clear,) = report.clears
    assert [clear.at_s, clear.dropped_s] == pytest.approx([0.4, 0.7])
    loud = np.flatnonzero(np.abs(report.heard) > 100)
    assert loud[0] / 8000 == pytest.approx(0.1, abs=0.001) and loud[-1] / 8000 == pytest.approx(0.4, abs=0.001)


def test_sound_that_comes_faster_than_it_plays_is_heard_without_a_gap():
    call = Call([Pause(1.5)])
    sent = tone(1.0)
    report = call.run(at_chunk(1, [call.media(sent[at : at + 1000]) for at in range(0, 8000, 1000)]))
    heard = report.heard[160 : 160 + 8000]
    assert np.abs(heard.astype(int) - sent).max() < 300  # µ-law's steps
    assert report.mistakes == [] and report.sound_received_s == 1.0


def plivo_media(samples: Samples, **media: Any) -> Message:
    sound = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": base64_of(samples), **media}
    return {"event": "playAudio", "media": sound}


def test_plivo_speaks_its_own_protocol():
    call = Call([Pause(1.0), Press("#")], Plivo(extra_headers="user=7", opened_unix_s=1000.0))
    sid = call.provider.stream_id
    sound = [
        plivo_media(tone(0.1)),
        {"event": "checkpoint", "streamId": sid, "name": "heard"},
        plivo_media(tone(0.5)),
        {"event": "checkpoint", "streamId": sid, "name": "never"},
        {"event": "sendDTMF", "dtmf": "12"},
    ]

    report = call.run(at_chunks({5: sound, 20: [{"event": "clearAudio"}]}))
    start = call.sent[0][1]
    assert start["start"].keys() == {"callId", "streamId", "accountId", "tracks", "mediaFormat"}
    assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000}
    assert start["extra_headers"] == "user=7" and start["sequenceNumber"] == 1
    first = call.sent_of("media")[0][1]
    assert first["media"].keys() == {"track", "timestamp", "chunk", "payload"}
    assert (first["media"]["chunk"], first["media"]["timestamp"], first["streamId"]) == (1, "1000000", sid)
    ((played_s, played),) = call.sent_of("playedStream")
    assert played["name"] == "heard" and played_s == pytest.approx(0.2)
    assert [at for at, _ in call.sent_of("clearedAudio")] == pytest.approx([0.4])
    assert [(each.name, each.cleared, each.returned_s is None) for each in report.marks][1:] == [("never", True, True)]
    assert call.sent_of("dtmf")[0][1]["dtmf"]["digit"] == "#"
    assert report.digits_heard == "12" and report.mistakes == []


@pytest.mark.parametrize("content_type", ["audio/x-l16;rate=8000", "audio/x-l16;rate=16000"])
def test_plivo_s_linear_streams_carry_the_same_sound(content_type: str):
    provider = Plivo(content_type=content_type)
    rate = provider.format.rate
    call = Call([Speak(tone(0.2)), Pause(0.2)], provider)
    sound = base64.b64encode(tone(0.1).repeat(rate // 8000).tobytes()).decode()
    media = {"contentType": "audio/x-l16", "sampleRate": rate, "payload": sound}
    report = call.run(at_chunk(1, [{"event": "playAudio", "media": media}]))
    assert len(base64.b64decode(call.sent_of("media")[0][1]["media"]["payload"])) == rate // 25
    assert np.array_equal(report.heard[160:960], tone(0.1)) and report.mistakes == []


def test_a_lossy_line_loses_frames_and_says_how_many():
    call = Call([Speak(tone(2.0))], network=Network(loss=0.2))
    report = call.run(at_chunk(1, [call.media(tone(1.9))]))
    assert report.frames_sent + report.lost_to_bridge == 100
    assert 8 <= report.lost_to_bridge <= 35 and 8 <= report.lost_to_caller <= 35
    media = [message["media"] for _, message in call.sent_of("media")]
    assert [int(each["chunk"]) for each in media] == list(range(1, report.frames_sent + 1))
    assert int(media[-1]["timestamp"]) > 20 * len(media)  # the gaps show in the timestamps
    silent = [at for at in range(1, 95) if not report.heard[at * 160 : at * 160 + 160].any()]
    assert len(silent) >= 5


def test_a_jittery_line_delays_messages_keeps_their_order_and_repeats_with_its_seed():
    def sent(seed: str) -> list[float]:
        call = Call([Speak(tone(1.0))], network=Network(jitter_ms=60), seed=seed)
        call.run()
        chunks = [int(message["media"]["chunk"]) for _, message in call.sent_of("media")]
        assert chunks == sorted(chunks)
        return [at for at, _ in call.sent_of("media")]

    late = np.array(sent("1")) - 0.02 * np.arange(1, 51)
    assert late.min() >= -1e-9 and 0.02 < late.max() <= 0.06
    assert sent("1") == sent("1") != sent("2")


def test_a_dropped_line_ends_without_a_stop():
    call = Call([Pause(5.0)], network=Network(drop_after_s=1.0))
    report = call.run()
    assert (report.ended, report.seconds, call.sent_of("stop")) == ("network", 1.0, [])


def test_a_call_that_does_not_end_is_hung_up():
    call = Call([Pause(5.0)], longest_s=2.0)
    report = call.run()
    assert (report.ended, report.seconds, len(call.sent_of("stop"))) == ("limit", 2.0, 1)
    assert [each.rule for each in report.errors] == ["too-long"]


def answering(call: Call, seconds: float, to_chunk: int) -> Bridge:
    return at_chunk(to_chunk, [call.media(tone(seconds))])


def test_a_turn_is_answered_after_its_last_sound_and_not_after_its_silence():
    spoken = np.concatenate([tone(0.5), np.zeros(4000, np.int16)])
    call = Call([Speak(spoken, "Hello"), Listen()])
    report = call.run(answering(call, 1.0, 60))
    (turn,) = report.turns
    assert (turn.text, turn.began_s, turn.ended_s, turn.latency_s) == ("Hello", 0.0, 0.5, 0.7)
    assert report.ended == "caller" and report.errors == []


def test_what_the_bridge_says_first_is_its_greeting():
    call = Call([Speak(tone(0.5)), HangUp()], greeting_s=2.0)
    report = call.run(answering(call, 1.0, 50))
    assert report.greeting == (1.0, 2.0)
    assert report.turns[0].began_s == pytest.approx(3.0, abs=0.05)


def barge_in(bridge: Callable[[Call], Bridge]) -> DialReport:
    call = Call([Speak(tone(0.2), "First"), Interrupt(0.5), Speak(tone(1.0), "No, wait"), Listen(at_most_s=4.0)])
    return call.run(bridge(call))


def test_a_barge_in_is_timed_from_the_first_word_to_the_silence():
    def bridge(call: Call) -> Bridge:
        return at_chunks({20: [call.media(tone(5.0))], 60: [call.clear], 120: [call.media(tone(0.5))]})

    report = barge_in(bridge)
    first, second = report.turns
    assert second.barge_in and second.began_s == pytest.approx(0.92, abs=0.05)
    assert second.stop_s == pytest.approx(1.2 - second.began_s, abs=0.03)
    assert second.latency_s == pytest.approx(2.4 - second.ended_s, abs=0.03)
    assert not first.barge_in and report.errors == []


def test_an_answer_with_pauses_that_ends_by_itself_was_not_cleared():
    paused = np.concatenate([tone(0.7), np.zeros(4000, np.int16), tone(0.4)])
    report = barge_in(lambda call: at_chunks({20: [call.media(paused)], 140: [call.media(tone(0.5))]}))
    _, second = report.turns
    assert second.stopped_s == pytest.approx(2.0, abs=0.05) and not second.cleared
    assert second.answered_s == 2.8 and "without a clear" in str(report)


def test_an_answer_that_is_cleared_in_a_pause_was_cleared():
    paused = np.concatenate([tone(0.7), np.zeros(8000, np.int16), tone(0.4)])
    report = barge_in(lambda call: at_chunks({20: [call.media(paused)], 70: [call.clear]}))
    _, second = report.turns
    assert second.stopped_s == pytest.approx(1.1, abs=0.05) and second.cleared and "by a clear" in str(report)


def test_an_answer_that_talks_over_the_caller_is_a_mistake():
    report = barge_in(lambda call: answering(call, 5.0, 20))
    assert "barge-in-ignored" in {each.rule for each in report.errors}
    assert "no clear came" in str(report.errors[0])
    with pytest.raises(AssertionError, match="speech_started"):
        report.check()


def test_sound_of_the_old_answer_after_a_clear_is_a_warning():
    def bridge(call: Call) -> Bridge:
        late = [call.media(tone(0.4))]
        return at_chunks({20: [call.media(tone(5.0))], 60: [call.clear], 62: late, 150: late})

    assert [each.rule for each in barge_in(bridge).mistakes] == ["sound-after-clear"]


def test_silence_after_a_turn_is_a_mistake():
    call = Call([Speak(tone(0.2), "Anybody?"), Listen(at_most_s=4.0)])
    (mistake,) = call.run().errors
    assert mistake.rule == "no-answer" and '"Anybody?"' in mistake.message


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        ("{", "not-json"),
        (b"\x00\x01", "not-json"),
        ("[]", "unknown-event"),
        ({"type": "response.output_audio.delta"}, "unknown-event"),
        ({"event": "playAudio"}, "unknown-event"),
        ({"event": "media", "media": {"payload": "AAAA"}}, "wrong-stream-id"),
        ({"event": "clear", "streamSid": "MZ0"}, "wrong-stream-id"),
        ({"event": "media", "streamSid": "SID"}, "no-payload"),
        ({"event": "media", "streamSid": "SID", "media": {"payload": "Ä"}}, "not-base64"),
        ({"event": "media", "streamSid": "SID", "media": {"payload": "UklGRiQAAABXQVZF"}}, "file-header"),
        ({"event": "mark", "streamSid": "SID", "mark": {}}, "no-name"),
        ({"event": "mark", "streamSid": "SID", "mark": {"name": "x" * 1001}}, "no-name"),
        ("[" * 100_000, "not-json"),
        ({"event": "media", "streamSid": "SID", "media": {"payload": "A" * 200 + "AA=="}}, "zeros-as-silence"),
    ],
)
def test_what_twilio_does_not_take_is_told_in_words(sent: Message | str | bytes, rule: str):
    call = Call([Pause(0.2)])
    if isinstance(sent, dict) and sent.get("streamSid") == "SID":
        sent = {**sent, "streamSid": call.provider.stream_id}
    (mistake,) = call.run(at_chunk(2, [sent, sent])).mistakes
    assert (mistake.rule, mistake.count, mistake.at_s) == (rule, 2, 0.04)
    assert mistake.fix in str(mistake)


def test_pcm_that_is_sent_as_mulaw_is_known_by_its_sound():
    rng = np.random.default_rng(7)
    voice = (tone(1.5, 220.0) * (0.3 + 0.7 * np.hanning(12000)) + rng.normal(0, 80, 12000)).astype(np.int16)
    call = Call([Pause(2.0)])
    payload = base64.b64encode(voice.tobytes()).decode()
    wrong = {"event": "media", "streamSid": call.provider.stream_id, "media": {"payload": payload}}
    assert [each.rule for each in call.run(at_chunk(2, [wrong])).mistakes] == ["pcm-as-mulaw"]
    right = Call([Pause(2.0)])
    assert right.run(at_chunk(2, [right.media(voice)])).mistakes == []


def test_plivo_wants_the_format_of_its_stream():
    call = Call([Pause(0.2)], Plivo())
    wrong = plivo_media(tone(0.1), contentType="audio/x-l16", sampleRate=16000)
    (mistake,) = call.run(at_chunk(2, [wrong])).mistakes
    assert mistake.rule == "wrong-format" and "audio/x-l16 at 16000 Hz" in mistake.message


@pytest.mark.parametrize(
    ("code", "reason", "mistakes"), [(1000, "bye", []), (None, "", ["closed"]), (1011, "boom", ["closed"])]
)
def test_a_bridge_that_breaks_off_is_told_apart_from_one_that_hangs_up(
    code: int | None, reason: str, mistakes: list[str]
):
    call = Call([Speak(tone(0.2), "Bye"), Listen()])
    for _ in range(40):
        due = call.leg.next_due()
        assert due is not None
        call.leg.take_output(due)
        if due == 0.3:
            call.leg.receive(json.dumps(call.media(tone(0.2))), due)
    call.leg.closed(code, reason, 0.8)
    report = report_of(call.leg, "ws://bridge")
    assert (report.ended, report.close_code) == ("bridge", code)
    assert [each.rule for each in report.mistakes] == mistakes
    assert reason in str(report)


def test_a_bridge_that_hangs_up_before_the_caller_is_done_is_a_mistake():
    call = Call([Speak(tone(0.2), "Hello"), Pause(1.0), Press("1")])
    for _ in range(20):
        due = call.leg.next_due()
        assert due is not None
        call.leg.take_output(due)
        if due == 0.3:
            call.leg.receive(json.dumps(call.media(tone(0.1))), due)
    call.leg.closed(1000, "", 0.5)
    (mistake,) = report_of(call.leg, "ws://bridge").errors
    assert mistake.rule == "closed" and "1 more to say or press" in mistake.message


def test_half_a_sample_is_a_mistake():
    call = Call([Pause(0.2)], Plivo(content_type="audio/x-l16;rate=8000"))
    media = {"contentType": "audio/x-l16", "sampleRate": 8000, "payload": "AAAA"}
    assert [each.rule for each in call.run(at_chunk(1, [{"event": "playAudio", "media": media}])).errors] == [
        "half-sample"
    ]


def test_the_report_is_json_and_a_stereo_file_with_the_caller_on_the_left():
    call = Call([Speak(tone(0.2), "Hello"), Listen()])
    report = call.run(answering(call, 0.5, 30))
    fields = json.loads(report.as_json())
    assert fields["turns"][0]["latency_s"] == 0.4 and fields["ended"] == "caller"
    frames = np.frombuffer(report.wav()[44:], "<i2").reshape(-1, 2)
    left, right = frames[:, 0], frames[:, 1]
    assert np.flatnonzero(left)[-1] < 1600 <= 4800 <= np.flatnonzero(right)[0]
