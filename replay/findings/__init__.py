"""Findings: mistakes of a client, each with the values seen and what to do about it.

A rule reads the frames of a connection, both ways, with their times. So the same rules check a live session of the mock
and a recording of any service. They are not a validator: what a service refuses by itself is not reported again, unless
the client goes on as if the service had accepted it. rules/table.py lists the rules.
"""

from __future__ import annotations

from replay.findings.finding import LEVELS, Finding, Level, counted
from replay.findings.levels import Levels, Setting, setting
from replay.findings.rules.table import Rule

__all__ = ["LEVELS", "Finding", "Level", "Levels", "Rule", "Setting", "counted", "setting"]
