"""Stories keep to what talks keep to."""

from __future__ import annotations

from tests.mockserver.conftest import no_error_is_overlooked

__all__ = ["no_error_is_overlooked"]
