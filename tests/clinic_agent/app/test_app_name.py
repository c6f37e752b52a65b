"""`clinic_agent.app:app`, the name that an ASGI server is given."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

import clinic_agent.app
import clinic_agent.app.server


def test_the_application_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    made = FastAPI()
    monkeypatch.setattr(clinic_agent.app.server, "from_environment", lambda: made)
    monkeypatch.setattr(clinic_agent.app, "app", None, raising=False)  # so that what is made here goes again
    monkeypatch.delattr(clinic_agent.app, "app")
    assert clinic_agent.app.app is made


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match="no attribute 'application'"):
        getattr(clinic_agent.app, "application")  # noqa: B009 - a type checker would refuse the plain form
