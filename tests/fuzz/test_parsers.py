from __future__ import annotations

from itertools import islice

import pytest

from tests.fuzz.mutate import corpus, spoilt
from tests.fuzz.parsers import FUZZED, fire, session


def test_the_corpus_is_what_clients_send():
    kinds = {service: [] for service in FUZZED}  # type: dict[str, list[str]]
    for service, names in kinds.items():
        fresh = session(service)
        names += [type(fresh.dialect.parse(frame.decode(), fresh.settings)).__name__ for frame in corpus()]
    assert all(len(set(names)) > 10 for names in kinds.values()), kinds


def test_the_same_seed_spoils_the_same_frames():
    first, again, other = (list(islice(spoilt(seed), 50)) for seed in ("a", "a", "b"))
    assert first == again != other


@pytest.mark.slow
def test_no_spoilt_frame_breaks_a_parser_or_its_session():
    targets = fire(islice(spoilt("suite"), 5_000))
    for target in targets:
        assert sum(target.kinds.values()) == 5_000
        assert len(target.kinds) > 8, "too few frames are good enough to get through"


def test_a_refusal_does_not_repeat_all_that_was_sent():
    long = "k" * 100_000
    for service in FUZZED:
        fresh = session(service)
        fresh.take_output(0.0)
        for frame in (
            f'{{"type": "{long}"}}',
            f'{{"type": "{long}", "event_id": "{long}"}}',
            f'{{"type": "session.update", "session": {{"{long}": 1}}}}',
            f'{{"type": "response.create", "response": {{"{long}": 1}}, "event_id": 5}}',
            f'{{"type": "conversation.item.create", "item": {{"type": "{long}"}}}}',
            f'{{"type": "conversation.item.truncate", "item_id": "{long}", "content_index": 0, "audio_end_ms": 1}}',
            f'{{"type": "conversation.item.delete", "item_id": "{long}"}}',
        ):
            fresh.receive(frame, 1.0)
            told = [out.frame.data for out in fresh.take_output(1.0) if b'"error"' in out.frame.data]  # type: ignore[union-attr]
            assert all(len(event) < 2_000 for event in told), (service, frame[:90], [event[:300] for event in told])
