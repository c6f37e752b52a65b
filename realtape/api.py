"""The public names of realtape, each imported from the module that defines it.

`X as X` marks a name as public for type checkers.
"""

from __future__ import annotations

from mockserver.audio.degrade import degrade as degrade
from mockserver.calls import caller as _caller
from mockserver.dial.report import DialReport as DialReport
from mockserver.faults import kinds as _kinds
from mockserver.protocol.limits import Limits as Limits
from mockserver.responders.base import Call as Call
from mockserver.responders.base import Fail as Fail
from mockserver.responders.base import Hosted as Hosted
from mockserver.responders.base import NotTranscribed as NotTranscribed
from mockserver.responders.base import Pause as Pause
from mockserver.responders.base import Say as Say
from mockserver.responders.scenario import Clip as Clip
from mockserver.responders.scenario import Rule as Rule
from mockserver.responders.scenario import Scenario as Scenario
from mockserver.responders.scenario import ScenarioError as ScenarioError
from mockserver.responders.scenario import When as When
from mockserver.server.virtual_time import virtual_time as virtual_time
from mockserver.testing import callers as callers
from mockserver.testing.dialler import CannotDial as CannotDial
from mockserver.testing.dialler import dial as dial
from mockserver.testing.mock_server import MockServer as MockServer
from realtape.cli import main as main

faults = _kinds
"""The kinds of faults, such as `faults.Close(at="response.done", code=1011)`."""

phone = _caller
"""The steps of a caller on the phone, such as `phone.Interrupt(0.4)` and `phone.Press("1#")`."""
