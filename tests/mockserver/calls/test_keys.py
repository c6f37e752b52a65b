"""Keys of the telephone reach scenarios; xAI's model answers them by itself."""

from __future__ import annotations

import pytest

from mockserver.responders.scenario import Scenario, ScenarioError
from tests.mockserver.calls.phoned import Phoned, voice

MENU = """
turns:
  - when: {pressed: "1"}
    reply: [{say: "Appointments."}]
  - when: {pressed: "12#"}
    reply: [{say: "Extension twelve."}]
  - when: {pressed: true}
    reply: [{say: "You pressed {{ pressed }}."}]
  - when: {says: yes}
    reply: [{say: "Well."}]
  - reply: [{say: "Hello."}]
"""
XAI, OPENAI = "xai@2026-10", "openai@2026-10"


def menu(dialect: str) -> Phoned:
    scenario = Scenario.parse(MENU)
    return Phoned(scenario.responder(scenario.tally()), dialect=dialect, pacing="burst")


def said(phoned: Phoned) -> list[str]:
    return [event["transcript"] for _, event in phoned.of("response.output_audio_transcript.done")]


def test_openai_only_reports_keys_and_the_next_response_has_them() -> None:
    phoned = menu(OPENAI)
    phoned.press("1")
    phoned.run(5)
    assert said(phoned) == []
    phoned.send("response.create")
    phoned.run(1)
    phoned.press("7")
    phoned.press("*")
    phoned.send("response.create")
    phoned.run(1)
    assert said(phoned) == ["Appointments.", "You pressed 7*."]
    phoned.send("response.create")
    phoned.run(1)
    assert said(phoned)[2:] == ["Hello."]


def test_xai_answers_after_the_hash_key() -> None:
    phoned = menu(XAI)
    for key in "12#":
        phoned.press(key)
    phoned.run(1)
    assert said(phoned) == ["Extension twelve."]
    (added,) = [e for _, e in phoned.of("conversation.item.added") if e["item"]["role"] == "user"]
    assert added["item"]["content"] == [{"type": "input_text", "text": "12#"}]


def test_xai_answers_after_a_pause() -> None:
    phoned = menu(XAI)
    phoned.press("3")
    phoned.run(2)
    phoned.press("4")
    phoned.run(2.4)
    assert said(phoned) == []
    phoned.run(1)
    assert said(phoned) == ["You pressed 34."]


def test_xai_takes_keys_into_the_turn_that_the_caller_speaks() -> None:
    phoned = menu(XAI)
    phoned.send("session.update", session={"turn_detection": {"type": "server_vad"}})
    phoned.press("5")
    phoned.run(1, voice(1.0))
    phoned.run(4)
    assert said(phoned) == ["You pressed 5."]


@pytest.mark.parametrize("keys", ["1", '"E"', "[1]"])
def test_what_is_no_key_is_refused(keys: str) -> None:
    with pytest.raises(ScenarioError, match="pressed"):
        Scenario.parse(f"turns:\n  - when: {{pressed: {keys}}}\n    reply: [{{say: x}}]")
