from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.sessions import Conversation, OpenAIConversation, XaiConversation

# The same conversations every time.
RUN = settings(max_examples=25, stateful_step_count=30, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@pytest.mark.parametrize("machine", [XaiConversation, OpenAIConversation])
def test_what_must_always_hold_does_after_every_step(machine: type[Conversation]):
    run_state_machine_as_test(machine, settings=RUN)
