"""A rehearsal: an answer of one text is said once with blanks, and becomes a template for when it comes again.

A response says it the plain way, in a session whose dialect gives blanks. What it counted is kept beside the template.
Filling the template gives the same bytes (tests/mockserver/session/test_score.py).
"""

from __future__ import annotations

from dataclasses import replace

from mockserver.audio.formats import EncodedAudio
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Templated
from mockserver.dialects.templates import LATENCY_S, LINK, RESPONSE, Template, blank_audio
from mockserver.protocol.commands import Settings
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import AudioSent, Fact, MessageEnded, MessageStarted, Response, WordsSent
from mockserver.session.context import SessionContext
from mockserver.session.score import WholeMessage
from replay.cassette.frames import Frame, Sound


class Rehearsal:
    """A session for one response with these settings, of which nothing is sent or kept."""

    def __init__(self, session: SessionContext, service: Templated, settings: Settings) -> None:
        self.response = Response(RESPONSE, settings=settings)
        self._dialect, self._blanks = service.blank()
        self._ledger = Ledger(session.ledger.prices, session.ledger.model)
        conversation = Conversation("")
        conversation.add(Item(LINK, "message"))
        self.session: SessionContext = replace(
            session,
            dialect=self._dialect,
            conversation=conversation,
            ledger=self._ledger,
            emit=self._take,
            closed=lambda response, at: None,
            ended=lambda at: None,
            joins=lambda: False,
            breath_s=0.0,
        )
        self._frames: list[Frame | Sound] = []
        self._audio: list[EncodedAudio] = []

    def message(self) -> WholeMessage:
        """What the response said, once it is over."""
        (item,), counts = self.response.output, self.response.counts
        return WholeMessage(
            Template.of(self._frames, self._audio, self._blanks.drawn),
            tuple(item.parts),
            item.spoken,
            dict(self._ledger.samples_out),
            counts.segments,
            counts.runs,
            counts.audio_seconds,
        )

    def _take(self, fact: Fact, at: float) -> None:
        """Render the facts of the message; those of the response differ each time."""
        if isinstance(fact, AudioSent):
            latency_s = None if fact.first_after_s is None else LATENCY_S
            self._audio.append(fact.audio)
            blank = blank_audio(len(self._audio) - 1, fact.audio)
            fact = replace(fact, audio=blank, first_after_s=latency_s)
        if isinstance(fact, MessageStarted | WordsSent | AudioSent | MessageEnded):
            self._frames += self._dialect.render(fact, at)
