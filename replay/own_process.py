"""What a process of realtape's own does so that no client waits long: `serve` and `record`, not a user's tests."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0002
"""How long a thread that writes a recording may keep the event loop waiting, in s. Python's default, 5 ms, is audible.
"""


def settle() -> None:
    """Have later garbage collections leave out what is loaded by now: 85,000 objects of a server, for 20 to 40 ms.

    All clients wait for a full collection. What is garbage by now is collected first.
    """
    gc.collect()
    gc.freeze()


def switch_soon() -> None:
    """Give the event loop its turn soon while other threads work."""
    sys.setswitchinterval(SWITCH_S)
