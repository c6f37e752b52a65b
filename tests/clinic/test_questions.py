"""Questions about the clinic: the scenario answers with what the clinic's document says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clinic_agent.clinic.assistant import calling, clinic_assistant
from clinic_agent.clinic.information import information
from clinic_agent.config import Config
from mockserver.testing.mock_server import MockServer
from tests.clinic.phone import TODAY, behaviour, said, tools

LOOKED_UP = {
    "How much is a dental cleaning?": "Prices",
    "Do you take my insurance?": "Payment and insurance",
    "Where are you? Is there parking?": "Address",
    "What do I need to bring?": "Preparation",
    "Do you take new patients?": "First visit",
}
KNOWN = {
    "What are your opening hours?": "Opening hours",
    "How long does a cleaning take?": "Services",
}


@pytest.mark.parametrize(("question", "title"), LOOKED_UP.items(), ids=LOOKED_UP.values())
@behaviour("clinic", tape=False)
async def test_a_question_is_looked_up_and_answered(phone, question, title):
    report = await phone.call(question)
    assert tools(report) == ["find_information"]
    assert information().text(title) in said(report)


@pytest.mark.parametrize(("question", "title"), KNOWN.items(), ids=KNOWN.values())
@behaviour("clinic", tape=False)
async def test_services_and_hours_are_in_the_prompt(phone, question, title):
    report = await phone.call(question)
    assert tools(report) == []
    assert information().text(title) in said(report)


@behaviour("clinic", tape=False)
async def test_without_the_document_the_caller_is_offered_a_person(phone):
    phone.broken = ("find_information",)
    assert "person" in said(await phone.call("How much is a dental cleaning?"))


@pytest.mark.realtime("../../cassettes/scenarios/clinic.yaml", time="virtual", voice="tone", unused="off")
async def test_with_a_collection_the_service_searches_itself(realtime_mock: MockServer, phone):
    config = Config(realtime_mock.ws_url, realtime_mock.http_url, realtime_mock.api_key)
    config = replace(config, collections=("collection_1",), language_hint="en-GB")
    async with calling(config, clinic_assistant(phone.clinic), priced_on=TODAY) as call:
        for question, title in LOOKED_UP.items():
            turn = await call.say(question)
            assert turn.tools == ()
            assert information().text(title) in turn.said
    sent = realtime_mock.sessions[0].received("session.update")[0]["session"]
    assert sent["tools"][-1] == {"type": "file_search", "vector_store_ids": ["collection_1"]}
    assert "find_information" not in str(sent)
    assert sent["audio"]["input"]["transcription"]["language_hint"] == "en-GB"
    assert realtime_mock.ledger.hosted_calls == {"file_search": len(LOOKED_UP)}
