"""Items in their order, what each was linked to, and what is kept of an interrupted one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Conversation, Item, SpokenSegment


def holding(*ids: str) -> Conversation:
    conversation = Conversation("c")
    for id in ids:
        conversation.add(Item(id, "message"))
    return conversation


def order(conversation: Conversation) -> list[str]:
    return [item.id for item in conversation]


def link(conversation: Conversation, id: str) -> str | None:
    item = conversation.get(id)
    assert item is not None
    return item.previous


def spoken(*segments: tuple[str, float]) -> Item:
    text = "".join(text for text, _ in segments)
    return Item(
        "a",
        "message",
        "assistant",
        parts=[Part("audio", text, is_audio=True)],
        spoken=tuple(SpokenSegment(*s) for s in segments),
    )


def test_each_item_links_to_the_one_before_it():
    conversation = holding("a", "b", "c")
    assert [item.previous for item in conversation] == [None, "a", "b"]


def test_an_item_can_be_put_behind_another_at_the_head_or_by_mistake_at_the_end():
    conversation = holding("a", "b")
    conversation.add(Item("behind a", "message"), "a")
    conversation.add(Item("head", "message"), "root")
    conversation.add(Item("lost", "message"), "nobody")
    conversation.add(Item("last", "message"))
    assert order(conversation) == ["head", "a", "behind a", "b", "lost", "last"]
    assert [item.previous for item in conversation] == [None, None, "a", "a", "b", "lost"]


def test_the_head_of_an_empty_conversation_is_its_end():
    conversation = Conversation("c")
    conversation.add(Item("a", "message"), "root")
    conversation.add(Item("b", "message"))
    assert (order(conversation), link(conversation, "b")) == (["a", "b"], "a")


def test_what_was_removed_is_linked_to_no_more():
    conversation = holding("a", "b", "c")
    assert conversation.remove("c") is not None
    conversation.add(Item("d", "message"))
    assert (order(conversation), link(conversation, "d")) == (["a", "b", "d"], "b")
    assert conversation.remove("c") is None
    assert len(conversation) == 3


def test_after_the_last_removal_it_starts_anew():
    conversation = holding("a")
    conversation.remove("a")
    conversation.add(Item("b", "message"))
    assert link(conversation, "b") is None


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.none() | st.just("root") | st.integers(0, 20).map(str)),
        st.tuples(st.just("remove"), st.integers(0, 20).map(str)),
    ),
    max_size=30,
)


@given(EDITS)
def test_whatever_is_added_and_removed_the_order_is_that_of_a_plain_list(edits: list[tuple[str, str | None]]):
    conversation, plain = Conversation("c"), list[str]()
    for number, (edit, where) in enumerate(edits):
        if edit == "remove":
            assert (conversation.remove(str(where)) is not None) == (where in plain)
            plain = [id for id in plain if id != where]
            continue
        at = 0 if where == "root" else plain.index(where) + 1 if where in plain else len(plain)
        conversation.add(Item(str(number), "message"), where)
        assert link(conversation, str(number)) == (plain[at - 1] if at else None)
        plain.insert(at, str(number))
        assert order(conversation) == plain


def test_whole_words_are_kept_by_their_share_of_the_segment():
    item = spoken(("One two three four.", 1000.0), (" Five six.", 500.0))
    item.keep(1250)
    assert item.text == "One two three four. Five"
    item.keep(500)
    assert item.text == "One two"


def test_all_is_kept_beyond_the_end_and_nothing_before_the_start():
    item = spoken(("One two.", 1000.0))
    item.keep(99_999)
    assert item.text == "One two."
    item.keep(0)
    assert item.text == ""


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(0, 5000)), max_size=5), st.integers(0, 30_000))
def test_what_is_kept_is_a_beginning_of_what_was_said(segments: list[tuple[str, float]], heard_ms: int):
    item = spoken(*segments)
    whole = item.text
    item.keep(heard_ms)
    assert whole.startswith(item.text)


def test_more_time_never_keeps_fewer_words():
    kept = []
    for heard_ms in range(0, 1600, 50):
        item = spoken(("One two three four.", 1000.0), (" Five six.", 500.0))
        item.keep(heard_ms)
        kept.append(len(item.text))
    assert kept == sorted(kept)


def test_a_written_message_has_no_sound_to_cut():
    item = Item("a", "message", "assistant", parts=[Part("output_text", "Nice to meet you.")])
    item.keep(100)
    assert (item.text, item.parts[0].is_audio) == ("Nice to meet you.", False)
