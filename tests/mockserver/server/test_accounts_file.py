from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from mockserver.dialects.handshake import Denied
from mockserver.documents.problems import DocumentError
from mockserver.protocol.limits import Limits
from mockserver.server.accounts import Accounts, Team
from mockserver.server.accounts_file import load, parse
from tests.mockserver.refusals import first_problem

DISTINCT = Limits(*range(1, 9))
FILE = """
limits: {session_minutes: 30}
teams:
  - name: clinic
    keys: [xai-one, xai-two]
    limits: {max_sessions: 2, idle_minutes: 0.5}
  - {name: broke, keys: [xai-broke], blocked: true}
"""


def books(text: str = FILE) -> Accounts:
    return Accounts(file=parse(text), seed="0")


def test_keys_of_one_team_share_its_seats():
    team = books().owner("xai-one")
    assert isinstance(team, Team)
    accounts = books()
    first, second = accounts.owner("xai-one"), accounts.owner("xai-two")
    assert first is second and isinstance(first, Team)
    assert (first.name, first.limits) == ("clinic", Limits(max_sessions=2, idle_minutes=0.5))
    assert accounts.owner("xai-broke") == Denied("blocked")
    assert accounts.owner("another") == Denied("wrong")


def test_where_only_blocked_teams_are_known_any_other_key_is_let_in():
    accounts = books("teams: [{keys: [xai-broke], blocked: true}]")
    assert isinstance(accounts.owner("another"), Team)
    assert accounts.owner("xai-broke") == Denied("blocked")


def test_a_file_is_read_as_yaml_or_json_and_may_say_nothing_of_teams(tmp_path: Path):
    file = tmp_path / "accounts.json"
    file.write_text('{"limits": {"requests_per_minute": 5}}')
    loaded = load(file)
    assert (loaded.limits, loaded.accounts) == (Limits(requests_per_minute=5), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("teams: [{keys: hush-1}]", "a.yaml:1: teams[0].keys: expected a list of texts, none of them empty"),
        ("teams:\n  - keys: [hush-1, 5]", "a.yaml:2: teams[0].keys: expected a list of texts"),
        ("teams: [{keys: []}]", "a.yaml:1: teams[0].keys: expected a list of texts"),
        ("teams: [{name: x}]", "a.yaml:1: teams[0]: `keys` is missing"),
        ("teams:\n- keys: [hush-1]\n- keys: [hush-1]", "a.yaml:1: teams: a key of teams[1] is one of teams[0] as well"),
        ("limits: {max_session: 1}", "a.yaml:1: limits.max_session: unknown key 'max_session'; did you mean 'max_sess"),
        ("limits:\n  max_sessions: 0", "a.yaml:2: limits.max_sessions: max_sessions must be at least 1"),
        ("limits: {secret_seconds: '9'}", "a.yaml:1: limits.secret_seconds: expected a whole number"),
        ("limits: {secret_seconds: 9, secret_max_seconds: 8}", "secret_seconds is 9, which is more than secret_max_"),
        ("teams: 5", "a.yaml:1: teams: expected a list, got the number 5"),
    ],
)
def test_a_bad_file_is_refused_by_place_and_without_its_keys(text: str, problem: str):
    with pytest.raises(DocumentError) as refused:
        parse(text, "a.yaml")
    assert problem in first_problem(str(refused.value))
    assert "hush" not in str(refused.value)


def test_a_file_can_say_every_limit_and_no_other():
    every = {each.name: getattr(DISTINCT, each.name) for each in fields(DISTINCT)}
    assert parse(f"limits: {json.dumps(every)}").limits == DISTINCT
    with pytest.raises(DocumentError, match="unknown key"):
        parse("limits: {another: 1}")


def test_what_a_team_says_goes_before_all_teams_and_that_before_the_service():
    service = Limits(max_sessions=100, session_minutes=120, secret_seconds=600, secret_max_seconds=3600)
    resolved = Limits(session_minutes=5).over(Limits(session_minutes=30, max_sessions=7)).over(service)
    assert (resolved.session_minutes, resolved.max_sessions, resolved.secret_seconds) == (5, 7, 600)


def test_a_longest_life_of_secrets_below_the_default_lowers_it_and_a_default_above_raises_it():
    service = Limits(secret_seconds=600, secret_max_seconds=3600)
    assert Limits(secret_max_seconds=60).over(service).secret_seconds == 60
    assert Limits(secret_seconds=4000).over(service).secret_max_seconds == 4000
