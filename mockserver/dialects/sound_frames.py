"""Events with audio: their base64 is made once for all sessions (`EncodedAudio`), and is copied into the frame."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from mockserver.audio.formats import EncodedAudio
from replay.cassette.frames import Text

_NONE: Mapping[str, object] = {}
_SLOT = "\0"
_ENCODED_SLOT = orjson.dumps(_SLOT)


def sound_frame(before: Mapping[str, object], audio: EncodedAudio, after: Mapping[str, object] = _NONE) -> Text:
    """An event with the fields `before`, then a `delta` of audio, then the fields `after`.

    No text of the client may be in `after`: the slot is the last of its kind.
    """
    head, _, tail = orjson.dumps({**before, "delta": _SLOT, **after}).rpartition(_ENCODED_SLOT)
    return Text(b"".join((head, b'"', audio.base64, b'"', tail)))
