"""Watched calls are held to the same checks as other talks with the mock."""

from __future__ import annotations

from tests.mockserver.conftest import no_error_is_overlooked

__all__ = ["no_error_is_overlooked"]
