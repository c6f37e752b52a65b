from __future__ import annotations

import pytest

from mockserver.dialects.handshake import Denied, Secret
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Conversation, Item
from mockserver.responders.echo import EchoResponder
from mockserver.server import accounts
from mockserver.server.accounts import Accounts, Team
from mockserver.session.resumption import Memory

NOON = 1_767_268_800.0
HALF_HOUR = 1800.0


def team_of(books: Accounts, key: str) -> Team:
    team = books.owner(key)
    assert isinstance(team, Team)
    return team


def minted(books: Accounts, key: str = "k", seconds: int = 600, now: float = NOON) -> Secret:
    return books.mint(team_of(books, key), "secret-", seconds, now)


def test_without_keys_any_key_is_let_in_and_each_is_a_team():
    books = Accounts(seed="0")
    assert team_of(books, "a") is team_of(books, "a")
    assert team_of(books, "a") is not team_of(books, "b")
    assert books.owner("") == books.owner(None) == Denied("missing")


def test_with_keys_only_those_are_let_in():
    books = Accounts(keys=["good", "better"], seed="0")
    assert team_of(books, "good") is not team_of(books, "better")
    assert books.owner("goo") == books.owner("good ") == Denied("wrong")


@pytest.mark.parametrize("keys", [[], ["good", "broke"]])
def test_a_blocked_key_is_known_but_not_let_in(keys: list[str]):
    books = Accounts(keys=keys, blocked=["broke"], seed="0")
    assert books.bearer("broke", NOON) == Denied("blocked")


def test_a_key_is_nowhere_in_the_books():
    books = Accounts(keys=["sk-hush-1"], blocked=["sk-hush-2"], seed="0")
    secret = minted(books, "sk-hush-1")
    kept = repr([vars(books), [str(entry) for entry in books._teams.items()], books._secrets])
    assert "sk-hush" not in kept
    assert secret.value not in kept


def test_a_secret_opens_the_door_of_its_team_until_it_expires():
    books = Accounts(keys=["k"], seed="0")
    secret = minted(books, seconds=60)
    assert secret.expires_at == NOON + 60
    assert books.bearer(secret.value, NOON + 59.9) is team_of(books, "k")
    assert books.bearer(secret.value, NOON + 60) == Denied("wrong")


def test_an_expired_secret_does_not_come_back_as_just_any_key():
    books = Accounts(seed="0")
    secret = minted(books, seconds=60)
    assert books.bearer(secret.value, NOON + 61) == Denied("wrong")


def test_the_same_seed_mints_the_same_secrets_and_they_look_like_the_service_s():
    first, again, other = (minted(Accounts(seed=seed)).value for seed in ("1", "1", "2"))
    assert first == again != other
    assert len(first) == len("secret-") + 80
    books = Accounts(seed="1")
    assert minted(books).value != minted(books).value


def test_seats_are_counted_per_team_and_given_back():
    books = Accounts(seed="0")
    team, other = team_of(books, "a"), team_of(books, "b")
    assert [books.begin_session(team, 2) for _ in range(3)] == [None, None, Denied("crowded", 1)]
    assert books.begin_session(other, 2) is None
    books.end_session(team)
    assert books.begin_session(team, 2) is None


def test_requests_are_counted_over_the_last_minute():
    books = Accounts(seed="0")
    team = team_of(books, "a")
    assert books.count_request(team, NOON, 2) is None
    assert books.count_request(team, NOON + 20, 2) is None
    assert books.count_request(team, NOON + 30, 2) == Denied("rate", 30)
    assert books.count_request(team, NOON + 60, 2) is None
    assert books.count_request(team, NOON + 61, 2) == Denied("rate", 19)


def test_a_conversation_is_remembered_for_half_an_hour_by_its_own_team():
    books = Accounts(seed="0")
    team, other = team_of(books, "a"), team_of(books, "b")
    memory = Memory(Conversation("c-1"), EchoResponder(), 0)
    books.remember(team, memory, NOON, HALF_HOUR)
    assert books.recall(team, "c-1", NOON + 1799, HALF_HOUR) is memory
    assert books.recall(team, "c-1", NOON + 1800, HALF_HOUR) is None
    assert books.recall(other, "c-1", NOON, HALF_HOUR) is None
    assert books.recall(team, "c-2", NOON, HALF_HOUR) is None


def test_conversations_are_bounded_by_their_bytes_and_the_newest_stays():
    books = Accounts(seed="0", resumable_bytes=5000)
    for n in range(4):
        conversation = Conversation(f"c-{n}")
        conversation.add(Item("i", "message", parts=[Part("input_text", "x" * (1000 if n < 3 else 9000))]))
        books.remember(team_of(books, f"{n % 2}"), Memory(conversation, EchoResponder(), 0), NOON, HALF_HOUR)
        assert books.resumable_bytes == (n + 1) * 1500 if n < 3 else books.resumable_bytes == 9500
    assert books.counts["resumable"] == 1
    assert books.recall(team_of(books, "1"), "c-3", NOON, HALF_HOUR) is not None


def test_expired_conversations_are_forgotten():
    books = Accounts(seed="0")
    team = team_of(books, "a")
    books.remember(team, Memory(Conversation("c-0"), EchoResponder(), 0), NOON, HALF_HOUR)
    books.remember(team, Memory(Conversation("c-1"), EchoResponder(), 0), NOON + HALF_HOUR, HALF_HOUR)
    assert books.counts["resumable"] == 1


def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accounts, "MAX_REMEMBERED", 3)
    books = Accounts(seed="0")
    team = team_of(books, "a")
    for n in range(4):
        books.remember(team, Memory(Conversation(f"c-{n}"), EchoResponder(), 0), NOON, HALF_HOUR)
    assert books.recall(team, "c-0", NOON, HALF_HOUR) is None
    assert books.recall(team, "c-3", NOON, HALF_HOUR) is not None
    secrets = [minted(books, "a") for _ in range(4)]
    assert [secret.value for secret in secrets if books._secrets.get(accounts.digest(secret.value))] == [
        secret.value for secret in secrets[1:]
    ]
    for n in range(4):
        books.owner(f"key {n}")
    assert len(books._teams) == 3
