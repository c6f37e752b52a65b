"""What a call may be made of at one server: its dialects, their models and voices, and how the server was started."""

from __future__ import annotations

from collections.abc import Mapping

from mockserver.audio.names import VOICES
from mockserver.dialects.names import DIALECT_NAMES
from mockserver.dialects.openai.session_object import VOICES as OPENAI_VOICES
from mockserver.server.service import MockService
from replay.openai_models import REALTIME
from replay.xai_models import VOICE

_TITLES = {"xai": "xAI Grok Voice", "openai": "OpenAI Realtime"}
"""Azure has OpenAI's wire, under other addresses."""


def choices(service: MockService) -> Mapping[str, object]:
    """As the page shows them. `dialect`: the one to begin with. `words`: how spoken words are found."""
    started = service.options.dialect.partition("@")[0]
    return {
        "dialect": service.options.dialect if started in _TITLES else "xai",
        "services": [_service(name) for name in _TITLES],
        "words": service.factory.understands,
        "mcp": service.options.mcp,
        "chat": service.options.chat is not None,
    }


def _service(name: str) -> Mapping[str, object]:
    dated = [each for each in DIALECT_NAMES if each.startswith(f"{name}@")]
    models = [each for each, model in VOICE.items() if model.replaced is None] if name == "xai" else list(REALTIME)
    voices = [each for each in VOICES if each not in OPENAI_VOICES] if name == "xai" else list(OPENAI_VOICES)
    return {
        "name": name,
        "title": _TITLES[name],
        "dialects": [*dated[::-1]],
        "models": sorted(models[::-1], key=lambda model: model.endswith("-mini")),
        "voices": voices,
    }
