"""An agent of pipecat that tells callers about their orders: `pip install "pipecat-ai[openai]"`.

    realtape serve --dialect openai --scenario examples/agents/orders.yaml
    OPENAI_WEBSOCKET_BASE_URL=ws://127.0.0.1:8765/v1 OPENAI_API_KEY=anything python examples/agents/pipecat_agent.py

Without OPENAI_WEBSOCKET_BASE_URL it calls the live service. For callers, put a transport at both ends of the pipeline.
"""

from __future__ import annotations

import asyncio
import os
import sys

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    FunctionCallResultFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

ORDERS = {1042: "sent", 1043: "being packed"}


async def find_order(params: FunctionCallParams, number: int) -> None:
    """Look up where an order is.

    Args:
        number: The number of the order.
    """
    known = number in ORDERS
    found = {"number": number, "state": ORDERS[number]} if known else {"error": f"there is no order {number}"}
    await params.result_callback(found)


class Answer(FrameProcessor):
    """Takes the words of the answer that follows the tool's result, and calls `on_said` at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._register_event_handler("on_said")
        self.words = ""
        self._looked_up = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, FunctionCallResultFrame):
            self._looked_up = True
        elif isinstance(frame, TTSTextFrame) and self._looked_up:
            self.words += frame.text
        elif isinstance(frame, LLMFullResponseEndFrame) and self.words:
            await self._call_event_handler("on_said")


async def ask(words: str) -> str:
    """One typed turn. Gives the words of the answer that follows the tool's result."""
    base = os.environ.get("OPENAI_WEBSOCKET_BASE_URL", "wss://api.openai.com/v1")
    settings = OpenAIRealtimeLLMService.Settings(
        model="gpt-realtime-2.1", system_instruction="You tell callers about their orders."
    )
    service = OpenAIRealtimeLLMService(
        api_key=os.environ["OPENAI_API_KEY"], base_url=f"{base}/realtime", settings=settings
    )
    context = LLMContext([{"role": "user", "content": words}], tools=[find_order])
    pair, answer = LLMContextAggregatorPair(context), Answer()
    worker = PipelineWorker(Pipeline([pair.user(), service, answer, pair.assistant()]), enable_rtvi=False)
    problems: list[str] = []

    @worker.event_handler("on_pipeline_error")
    async def _failed(worker: PipelineWorker, frame: ErrorFrame) -> None:
        problems.append(frame.error)
        await worker.cancel()

    @answer.event_handler("on_said")
    async def _said(_answer: Answer) -> None:
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await worker.queue_frame(LLMRunFrame())
    await runner.run()
    if problems:
        raise RuntimeError(problems[0])
    return answer.words


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1] if len(sys.argv) > 1 else "Where is order 1043?")))
