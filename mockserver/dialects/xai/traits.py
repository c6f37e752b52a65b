"""How xAI's sessions behave: traits, pace, and how a text is cut into segments."""

from __future__ import annotations

import re
from dataclasses import replace

from mockserver.audio.vad.detector import XAI_TURNS
from mockserver.dialects.base import ItemTraits, PushedTurnTraits, ResponseTraits, Traits, TurnTraits
from mockserver.protocol.commands import Settings
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import Rhythm, plan, portions

_SENTENCE_END = re.compile(r"[.!?…]+[\"')”’]*(?=\s|$)")


FIRST_SEGMENT_WORDS = 7
"""A response's first segment has at most this many words (recorded: 1 to 7)."""


def segments(text: str) -> list[str]:
    """Cut a response's text as the service does: first after the last sentence that ends within seven words, else after
    seven words; then sentence by sentence (fits the recorded transcripts). Joined, the segments give the text."""
    words = list(re.finditer(r"\s*\S+", text))
    if not words:
        return []
    head = text[: words[min(FIRST_SEGMENT_WORDS, len(words)) - 1].end()]
    ends = [found.end() for found in _SENTENCE_END.finditer(head)]
    cut = ends[-1] if ends else len(head)
    pieces, at = [text[:cut]], cut
    for found in _SENTENCE_END.finditer(text, cut):
        pieces.append(text[at : found.end()])
        at = found.end()
    if text[at:].strip():
        pieces.append(text[at:])
    return [portion for piece in pieces for portion in portions(piece)]


RHYTHM_1 = Rhythm(
    unit=734,
    opening=(16, 17, 21, 20),
    speedup=2.6,
    flush_s=0.005,
    segment_s=0.3,
    tail=1704,
    first_audio_s=(0.52, 0.53, 0.58, 0.61, 0.64, 0.65, 0.66, 0.68, 0.71, 0.79, 0.87, 0.88),
    transcript_s=0.3,  # a guess: a recorded spoken turn leaves at most 0.5 s for it
)


RHYTHM_2 = replace(
    RHYTHM_1,
    opening=(8, 21, 19, 38),
    speedup=4.6,
    segment_s=0.25,
    tail=1632,
    first_audio_s=(0.5, 0.58, 0.61, 0.71, 0.73, 0.79),
    message_s=(0.21, 0.22, 0.23, 0.24, 0.27, 0.34),
    closing=11,
    frame=1920,
    short=240,
)
"""Of model 2.0, in September 2026: the first delta is always 245 ms, and speech ends 10 ms before a multiple of 80."""

TRAITS_2026_07 = Traits(
    defaults=Settings(voice="ara"),
    turns=TurnTraits(
        item_added="speech_start",
        answered="transcribed",
        during_response="queued",
        resumes=True,
        commit="answers",
        min_commit_ms=0.0,
        manual=XAI_TURNS,
        manual_events=True,
        keys_pause_s=2.5,
    ),
    items=ItemTraits(
        checks="ids",
        truncation="unheard",
        keeps_audio=False,  # xAI has no request for it
        mcp="events",  # no item is documented
    ),
    responses=ResponseTraits(
        output="one_by_one",
        phases=False,
        counted_input="new",
        rate_limits_after_s=None,
        segments=segments,
        spoken=plan,
        written=plan,  # xAI speaks every answer
        rhythm=RHYTHM_1,
    ),
    max_frame_bytes=16 << 20,  # a guess; OpenAI allows 15 MiB of audio a message
    ping_s=None,
    limits=Limits(
        max_sessions=100,
        session_minutes=120,
        resumption_minutes=30,
        snapshot_ms=25,  # a guess; a recorded conversation was resumed complete 330 ms after its last audio
        secret_seconds=600,
        secret_max_seconds=3600,
    ),
)
TRAITS_2026_04 = replace(TRAITS_2026_07, limits=replace(TRAITS_2026_07.limits, session_minutes=30))
"""The page of 2026-04-04 says 30 minutes."""
TRAITS_2026_09 = replace(
    TRAITS_2026_07,
    turns=replace(
        TRAITS_2026_07.turns,
        answered="before_commit",  # measured by others, in this order; the recordings of July have the commit first
        commit_s=0.2,
        pushed=PushedTurnTraits(
            start_s=0.07,
            interim_s=0.2,
            stop_s=0.1,
            spoken_s=0.1,
            item_s=0.11,
            final_s=0.1,
            overtaking_s=0.145,
            overtaken_s=0.012,
            overtakes=1 / 6,
        ),
        linked="turn",
        positions="opening",
    ),
    items=replace(TRAITS_2026_07.items, cancelled="removed"),  # measured by others
    responses=replace(
        TRAITS_2026_07.responses,
        rhythm=RHYTHM_2,
        overlap="replaces",  # measured by others
        latency="turn",
    ),
    limits=replace(TRAITS_2026_07.limits, max_sessions=10, idle_minutes=15),  # the later page; one source
    keep_alive_s=10.0,
)
