"""What all sessions of a server share, in all of its namespaces: voice, voice activity detector, transcriber, language
model, MCP client.
"""

from __future__ import annotations

from functools import cached_property

from mockserver.audio.asr import AUTO, MISSING, transcriber_named
from mockserver.audio.asr_process import TranscribingProcess
from mockserver.audio.tts import CachedSynthesizer, shared, synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.vad.detector import EngineFactory, engine_named
from mockserver.server.chat import ChatEndpoint
from mockserver.server.options import Options
from mockserver.server.requests import AsksServers, Outside
from mockserver.session.score import Scores
from replay.version import install_command


class Equipment:
    """The equipment that the options of a server name. Raises ImportError, saying what to install."""

    def __init__(self, options: Options) -> None:
        self._options = options
        chosen = options.transcriber
        self.outside = Outside(
            transcriber_named(chosen) if isinstance(chosen, str) else chosen,
            ChatEndpoint(options.chat, options.chat_model or "", options.chat_key) if options.chat else None,
            _mcp_client() if options.mcp == "live" else None,
        )
        """What can be done for sessions."""
        self.scores = Scores()
        """What the voice has said so far."""

    @cached_property
    def voice(self) -> Synthesizer:
        """The synthesizer. Raises RuntimeError, saying what to install, if it cannot speak."""
        return shared(synthesizer_named(self._options.voice))

    @property
    def clip_bytes(self) -> int:
        """Bytes of the spoken clips that are kept: as samples, and as they travel."""
        voice = self.__dict__.get("voice")  # not to make one for a look
        return self.scores.held_bytes + (voice.held_bytes if isinstance(voice, CachedSynthesizer) else 0)

    @cached_property
    def engine(self) -> EngineFactory:
        """The voice activity detector. Raises ImportError, saying what to install."""
        return engine_named(self._options.vad)

    @property
    def transcribes(self) -> bool:
        """Whether there is a transcriber."""
        return self.outside.transcriber is not None

    @property
    def deaf(self) -> str | None:
        """That a transcriber was looked for and none is installed, with the command that brings one; else None."""
        return MISSING if self._options.transcriber == AUTO and not self.transcribes else None

    def load_transcriber(self) -> None:
        """Load the transcriber before a session needs it. Raises ImportError, FileNotFoundError and RuntimeError."""
        if isinstance(self.outside.transcriber, TranscribingProcess):
            self.outside.transcriber.load()


def _mcp_client() -> AsksServers:
    """Raises ImportError, saying what to install."""
    try:
        from mockserver.server.mcp_client import McpClient  # an extra
    except ImportError as missing:
        raise ImportError(f"--mcp live needs {missing.name}; install it with: {install_command('mcp')}") from missing
    return McpClient()
