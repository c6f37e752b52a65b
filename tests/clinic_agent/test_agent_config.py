"""The environment, read."""

from __future__ import annotations

import sys

import pytest

from clinic_agent.app.settings import settings_from
from clinic_agent.config import Config, ConfigError, environment, from_environment

KEY = {"XAI_API_KEY": "hand-made-key"}


def test_a_key_alone_means_the_live_service_with_a_pinned_model():
    config = from_environment(KEY)
    assert config.session_url == "wss://api.x.ai/v1/realtime?model=grok-voice-think-fast-1.0"
    assert config.http_url == "https://api.x.ai/v1"


def test_another_endpoint_is_a_matter_of_its_url_alone():
    config = from_environment({**KEY, "XAI_REALTIME_URL": "ws://127.0.0.1:8765/v1/realtime"})
    assert config.http_url == "http://127.0.0.1:8765/v1"


def test_model_voice_and_http_origin_are_taken_from_the_environment():
    config = from_environment(
        {**KEY, "CLINIC_MODEL": "grok-voice-latest", "CLINIC_VOICE": "eve", "XAI_HTTP_URL": "http://localhost:1/"}
    )
    assert (config.model, config.voice, config.http_url) == ("grok-voice-latest", "eve", "http://localhost:1")


def test_the_language_of_the_callers_and_the_collections_are_taken_from_the_environment():
    config = from_environment(
        {**KEY, "CLINIC_LANGUAGE_HINT": " en-GB ", "CLINIC_COLLECTIONS": "collection_1, collection_2,"}
    )
    assert (config.language_hint, config.collections) == ("en-GB", ("collection_1", "collection_2"))
    without = from_environment({**KEY, "CLINIC_LANGUAGE_HINT": "", "CLINIC_COLLECTIONS": " "})
    assert (without.language_hint, without.collections) == (None, ())


@pytest.mark.parametrize("tag", ["English, please", "e", "en_GB", "en-" + "x" * 40])
def test_a_language_hint_that_is_no_tag_is_refused(tag):
    with pytest.raises(ConfigError, match=r"CLINIC_LANGUAGE_HINT is .*; write a language tag like en or en-GB"):
        from_environment({**KEY, "CLINIC_LANGUAGE_HINT": tag})


def test_the_model_replaces_one_in_the_url_and_other_query_keys_stay():
    config = from_environment({**KEY, "XAI_REALTIME_URL": "ws://h/v1/realtime?model=x&reasoning.effort=none"})
    assert config.session_url == "ws://h/v1/realtime?reasoning.effort=none&model=grok-voice-think-fast-1.0"


def test_the_key_is_in_no_text_about_the_config():
    assert "hand-made-key" not in repr(from_environment(KEY))


def test_what_a_url_may_hide_is_not_shown():
    config = from_environment({**KEY, "XAI_REALTIME_URL": "wss://user:pw@h/v1/realtime?token=t"})
    assert config.shown_url == "wss://h/v1/realtime"


def test_how_long_an_idle_line_is_kept_is_a_setting(tmp_path):
    assert settings_from(KEY).hold_s == 1800
    assert settings_from({**KEY, "CLINIC_HOLD_S": "90"}).hold_s == 90
    for wrong in ("-1", "soon", "nan", "1e9"):
        with pytest.raises(ConfigError, match="CLINIC_HOLD_S is"):
            settings_from({**KEY, "CLINIC_HOLD_S": wrong})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "XAI_API_KEY is not set"),
        ({"XAI_API_KEY": "  "}, "XAI_API_KEY is not set"),
        ({"XAI_API_KEY": "two\r\nlines"}, "copy it again"),
        ({"XAI_API_KEY": "schlüssel"}, "copy it again"),
        ({**KEY, "XAI_REALTIME_URL": "https://api.x.ai/v1"}, "XAI_REALTIME_URL is not a ws or wss address"),
        ({**KEY, "XAI_REALTIME_URL": "ws://h:port/"}, "XAI_REALTIME_URL is not"),
        ({**KEY, "XAI_HTTP_URL": "api.x.ai"}, "XAI_HTTP_URL is not a http or https address"),
    ],
)
def test_a_setting_that_cannot_work_is_named(environ, says):
    with pytest.raises(ConfigError, match=says):
        from_environment(environ)


def test_a_file_named_env_says_what_the_environment_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("XAI_API_KEY", "from the environment")
    monkeypatch.delenv("CLINIC_MODEL", raising=False)
    (tmp_path / ".env").write_text("XAI_API_KEY=from the file\nCLINIC_MODEL=from-the-file\n", encoding="utf-8")
    found = environment(tmp_path)
    assert (found["XAI_API_KEY"], found["CLINIC_MODEL"]) == ("from the environment", "from-the-file")


def test_a_file_named_env_that_is_no_text_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"XAI_API_KEY=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        environment(tmp_path)


def test_without_python_dotenv_the_environment_is_all_there_is(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dotenv", None)
    monkeypatch.delenv("CLINIC_MODEL", raising=False)
    monkeypatch.setenv("XAI_API_KEY", "k")
    (tmp_path / ".env").write_text("CLINIC_MODEL=from-the-file\n", encoding="utf-8")
    assert "CLINIC_MODEL" not in environment(tmp_path)
    monkeypatch.delenv("XAI_API_KEY")
    with pytest.raises(ConfigError, match="without python-dotenv"):
        environment(tmp_path)


def test_a_conversation_is_asked_for_in_the_query_and_only_the_last_one():
    config = Config("wss://host/v1/realtime?x=1", "https://host/v1", "k").resuming("a").resuming("b&c")
    assert config.session_url == "wss://host/v1/realtime?x=1&conversation_id=b%26c&model=grok-voice-think-fast-1.0"
