"""The rules, one row each. A new rule is a function in one of the modules here, a row, and a section in
docs/findings.md.

`error` is for what harms a call as it is. `warn` is for what may harm one, or what the service repairs. The rows are in
the order of docs/findings.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter, methodcaller

from replay.findings.call import CLOSED, COMMITS, OPENED, TICK, CallState, CallStep
from replay.findings.finding import Found, Level
from replay.findings.rules import access, audio, calls, items, running_totals, scenario, setup, tools, turns

Check = Callable[[CallState, CallStep], Iterator[Found]]
"""A rule's function. It sees each step before the CallState does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `id`: its name. `level`: its default severity. `check`: its function. `on`: the steps at which it looks: `sent
    TYPE`, `received TYPE`, OPENED, TICK or CLOSED; with the type of an item, `sent TYPE ITEM_TYPE`. `fix`: what to do
    about a finding. `advice`: the mistake harms no call by itself, so a level for all rules does not make an error of
    it. `needs`: reads the part of the state without which it finds nothing, so that it is not asked; None: it is
    always asked.
    """

    id: str
    level: Level
    check: Check
    on: tuple[str, ...]
    fix: str
    advice: bool = False
    needs: Callable[[CallState], object] | None = None


def _never(call: CallState, step: CallStep) -> Iterator[Found]:
    """For rules that look at no step: Watch.judge applies them at the end, or when a test asks."""
    yield from ()


_ITEM, _RESULT, _RESPOND, _UPDATE, _ERROR = (
    "sent conversation.item.create",
    "sent conversation.item.create function_call_output",
    "sent response.create",
    "sent session.update",
    "received error",
)
_LATER = (TICK, CLOSED)

APPENDED_TRANSCRIPTS = Rule(
    "appended-transcripts",
    "error",
    running_totals.appended_transcripts,
    (_ITEM, _UPDATE, _RESPOND),
    "Replace the text of an item with each new reading of it; only the last one is final.",
    needs=attrgetter("transcripts"),
)
SUMMED_BILLABLE_SECONDS = Rule(
    "summed-billable-seconds",
    "error",
    _never,
    (),
    "Take the last billable_audio_seconds of a connection; do not add them up.",
)
KEY_IN_BROWSER = Rule(
    "key-in-browser",
    "error",
    access.key_in_browser,
    (OPENED,),
    "Have your server ask POST /v1/realtime/client_secrets for a short-lived secret, and give the page that.",
    needs=attrgetter("handshake.offered"),
)
TRIMMED_OFFER = Rule(
    "trimmed-offer",
    "error",
    _never,
    (),
    "Send pc.localDescription.sdp as it is: trim(), forms and templates cut its last line end.",
)
NO_EVENT_CHANNEL = Rule(
    "no-event-channel",
    "warn",
    _never,
    (),
    'Call pc.createDataChannel("oai-events") before pc.createOffer(); without a channel, join the call by its call_id.',
)
UNVERIFIED_WEBHOOK = Rule(
    "unverified-webhook",
    "error",
    _never,
    (),
    "Check webhook-signature before anything else, as client.webhooks.unwrap does, and answer 400 if it is wrong.",
)
UNREACHABLE_RULE = Rule(
    "unreachable-rule",
    "warn",
    _never,
    (),
    "Move the rule up, narrow the rule before it, or correct the name of its tool.",
    advice=True,
)
NO_RETRY = Rule(
    "no-retry",
    "warn",
    _never,
    (),
    "Try again after Retry-After, a few times, and tell the caller meanwhile.",
)
RULES: tuple[Rule, ...] = (
    Rule(
        "tool-result-unanswered",
        "error",
        tools.result_unanswered,
        _LATER,
        "Send response.create once all results of a response are in.",
        needs=attrgetter("results"),
    ),
    Rule(
        "tool-call-unanswered",
        "error",
        tools.call_unanswered,
        _LATER,
        "Answer every call with a function_call_output of its call_id, also when the tool fails, and then send"
        " response.create.",
        needs=attrgetter("calls"),
    ),
    Rule(
        "tool-result-repeated",
        "error",
        tools.result_repeated,
        (_RESULT,),
        "Send one function_call_output per call_id; act on response.function_call_arguments.done or on response.done,"
        " not on both.",
    ),
    Rule(
        "tool-result-unknown",
        "error",
        tools.result_unknown,
        (_RESULT,),
        "Send the call_id of the call that is answered, not the id of its item.",
    ),
    Rule(
        "hosted-call-answered",
        "warn",
        tools.hosted_answered,
        (_RESULT,),
        "Answer only the functions that the session declares; ignore calls of other names.",
    ),
    Rule(
        "repeated-write",
        "error",
        tools.write_repeated,
        (_RESULT,),
        "Make tools that change something idempotent: answer the same arguments with the first result.",
    ),
    Rule(
        "cancelled-call-answered",
        "warn",
        tools.cancelled_call_answered,
        (_RESULT,),
        "Drop the call when its response is cancelled, or undo what it did.",
    ),
    Rule(
        "nested-tool",
        "error",
        items.nested_tool,
        (_UPDATE,),
        'Put name, description and parameters beside type, without "function".',
    ),
    Rule(
        "overlapping-replies",
        "error",
        turns.overlapping_replies,
        (_RESPOND,),
        "Send one response.create per turn; cancel or wait until the last reply has been played before the next.",
    ),
    Rule(
        "reply-over-preamble",
        "warn",
        turns.reply_over_preamble,
        (_RESPOND,),
        "Wait until the words before the call have been played, or queue the audio of the next reply behind them.",
        advice=True,
        needs=attrgetter("continues"),
    ),
    Rule(
        "unanswered-item",
        "warn",
        items.item_unanswered,
        _LATER,
        "Send response.create after the message; only speech under turn detection is answered without it.",
        needs=attrgetter("unanswered"),
    ),
    Rule(
        "nothing-asked",
        "warn",
        items.nothing_asked,
        _LATER,
        "Send audio, a message, or a response.create: the service waits for the client.",
        advice=True,
        needs=lambda call: not (call.asked or call.audio.appends or call.responses),
    ),
    Rule(
        "repeated-item-id",
        "warn",
        items.item_id_repeated,
        (_ITEM,),
        "Give each item an id of its own, or none: then the service makes one.",
    ),
    Rule(
        "stale-response-id",
        "warn",
        items.response_id_gone,
        ("sent response.cancel",),
        "Take the id of the last response.created, and cancel only until its response.done.",
    ),
    Rule(
        "untold-interruption",
        "warn",
        items.interruption_untold,
        (TICK, "received response.created"),
        "On speech_started stop playback, and send conversation.item.truncate with the milliseconds that were played.",
        advice=True,
        needs=attrgetter("interrupted"),
    ),
    Rule(
        "commit-under-vad",
        "warn",
        turns.commit_under_vad,
        tuple(f"sent {name}" for name in COMMITS),
        "Leave the commit out, or set turn_detection to null and end turns yourself.",
    ),
    Rule(
        "empty-commit",
        "warn",
        turns.empty_commit,
        (*(f"sent {name}" for name in COMMITS), _ERROR),
        "Commit once per turn, after its audio; under turn detection not at all.",
    ),
    Rule(
        "silent-audio",
        "warn",
        turns.silent_commit,
        (*(f"sent {name}" for name in COMMITS), *_LATER),
        "Look at the source: a muted or wrong device, or a buffer that was never filled.",
        needs=turns.may_be_silent,
    ),
    Rule(
        "audio-format",
        "error",
        audio.mislabelled,
        _LATER,
        "Send what session.audio.input.format declares, or declare what you send.",
        needs=lambda call: call.audio.wav or call.audio.verdict,
    ),
    Rule(
        "audio-rate",
        "error",
        audio.wrong_pace,
        _LATER,
        "Resample to the declared rate, or declare the rate of the microphone; send sound as fast as it is recorded.",
        needs=attrgetter("audio.paces"),
    ),
    Rule(
        "audio-speed",
        "warn",
        audio.wrong_speed,
        _LATER,
        "Resample to the declared rate, or declare the rate of the recording.",
        needs=attrgetter("audio.speed"),
    ),
    Rule(
        "odd-audio-bytes",
        "error",
        audio.odd_bytes,
        _LATER,
        "Cut PCM16 between samples: every message an even number of bytes.",
        needs=attrgetter("audio.odd"),
    ),
    Rule(
        "audio-before-configuration",
        "warn",
        setup.audio_before_configuration,
        (_UPDATE, "received session.updated", *_LATER),
        "Send session.update first, and audio when session.updated has come.",
        needs=attrgetter("audio.appends"),
    ),
    Rule(
        "short-silence",
        "warn",
        turns.short_silence,
        ("received input_audio_buffer.speech_started",),
        "Set turn_detection.silence_duration_ms to 500 or more, or callers are interrupted when they take a breath.",
        needs=attrgetter("stopped"),
    ),
    Rule(
        "microphone-stops",
        "error",
        turns.microphone_stops,
        _LATER,
        "Keep sending while nobody speaks: silence is what ends a turn.",
        needs=lambda call: call.speech_at is not None,
    ),
    Rule(
        "speech-uncommitted",
        "warn",
        turns.speech_uncommitted,
        _LATER,
        "Set turn_detection to server_vad, or commit the audio at the end of each turn.",
        needs=lambda call: call.speech_at is not None,
    ),
    Rule(
        "left-open",
        "warn",
        turns.left_open,
        (*_LATER, _ERROR),
        "Close the connection to the service when the caller's line ends, by hanging up or by a lost connection.",
    ),
    Rule(
        "truncate-beyond",
        "error",
        turns.truncate_beyond,
        ("sent conversation.item.truncate",),
        "Count audio_end_ms from what has been played of this item, not from what was received.",
        needs=attrgetter("spoken"),
    ),
    Rule(
        "ignored-error",
        "error",
        setup.ignored_error,
        (_RESPOND, CLOSED),
        "Read error events; after a refused session.update send one that is accepted, before anything else.",
        needs=lambda call: call.item_refused or call.update_refused,
    ),
    Rule(
        "repeated-error",
        "warn",
        setup.repeated_error,
        (_ERROR,),
        "Change the request instead of sending it again.",
        needs=attrgetter("errors"),
    ),
    Rule(
        "unknown-field",
        "error",
        setup.unknown_field,
        (_ERROR, "received session.updated"),
        "Use the service's own names; an update with an unknown one may be dropped whole.",
    ),
    Rule(
        "ignored-field",
        "warn",
        setup.ignored_field,
        (_UPDATE,),
        "Leave it out, and do not rely on it.",
        advice=True,
    ),
    APPENDED_TRANSCRIPTS,
    SUMMED_BILLABLE_SECONDS,
    Rule(
        "latest-model",
        "warn",
        access.latest_model,
        (OPENED,),
        "Name the model that you have tested, such as grok-voice-3.0.",
        advice=True,
    ),
    Rule(
        "unknown-model",
        "error",
        items.unknown_model,
        ("received session.created", "received session.updated"),
        "Name a model of this service.",
    ),
    Rule(
        "model-ends",
        "warn",
        setup.model_ends,
        ("received session.created", "received session.updated", "received ping"),
        "Change to the model that takes its place, and test with that one, before the day.",
        advice=True,
    ),
    Rule(
        "key-in-query",
        "error",
        access.key_in_query,
        (OPENED,),
        "Send it as Authorization: Bearer …; a browser offers a client secret as a subprotocol. Replace the key: it is"
        " in logs by now.",
        needs=attrgetter("handshake.secrets"),
    ),
    KEY_IN_BROWSER,
    Rule(
        "audio-in-call",
        "error",
        calls.audio_in_call,
        _LATER,
        "Leave the event out. A telephone call's sound comes over the telephone; a call over WebRTC sends it on a"
        " track: pc.addTrack(microphone) before the offer.",
        needs=attrgetter("over_tracks"),
    ),
    TRIMMED_OFFER,
    NO_EVENT_CHANNEL,
    UNVERIFIED_WEBHOOK,
    Rule(
        "beta-header",
        "warn",
        access.beta_header,
        (OPENED,),
        "Leave OpenAI-Beta out: OpenAI refuses it, xAI never had it.",
        needs=lambda call: call.handshake.beta is not None,
    ),
    Rule(
        "no-backoff",
        "error",
        access.without_backoff,
        (OPENED,),
        "Wait for Retry-After; without one begin at half a second and double it, with some chance.",
        needs=attrgetter("earlier_attempts"),
    ),
    NO_RETRY,
    Rule(
        "reconnecting",
        "error",
        access.reconnecting,
        (OPENED,),
        "Keep one connection for the whole call; resume only after it was lost.",
        needs=attrgetter("earlier_attempts"),
    ),
    Rule(
        "session-cap",
        "warn",
        setup.near_the_cap,
        (TICK,),
        "End the call, or open a new session and take the conversation along, before the service does.",
        advice=True,
    ),
    Rule(
        "undeclared-call",
        "warn",
        scenario.undeclared_call,
        ("received response.function_call_arguments.done",),
        "Correct the name in the scenario, or declare the function in session.update: a live model calls nothing else.",
        advice=True,
    ),
    Rule(
        "scenario-error",
        "warn",
        scenario.scenario_error,
        (_ERROR, "received response.done"),
        "Correct the step in the scenario.",
        advice=True,
    ),
    Rule(
        "unmatched-turn",
        "warn",
        scenario.unmatched_turn,
        ("received response.done",),
        "Add a rule for it to the scenario, or a last rule without `when`.",
        advice=True,
        needs=methodcaller("unmatched"),
    ),
    UNREACHABLE_RULE,
    Rule(
        "unrecorded-turn",
        "warn",
        scenario.unrecorded_turn,
        ("received response.done",),
        "Say what was recorded, or record the call again.",
        advice=True,
        needs=methodcaller("unrecorded"),
    ),
)
