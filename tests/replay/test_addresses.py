"""What counts as this machine: no proxy is used for it, no key is needed, and others are warned of anything else."""

from __future__ import annotations

import pytest

import clinic_agent.config
from mockserver.server.origins import is_foreign
from replay.addresses import is_loopback_address, is_loopback_host, is_loopback_url
from replay.dialing import direct

HERE = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]")
ELSEWHERE = (
    "0.0.0.0",
    "10.0.0.1",
    "128.0.0.1",
    "[::]",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "localhost.example",
    "api.x.ai",
    "",
)


@pytest.mark.parametrize(("hosts", "local"), [(HERE, True), (ELSEWHERE, False)])
@pytest.mark.parametrize("url", ["ws://{}:8765/v1/realtime?a=b", "https://user:key@{}/", "http://{}"])
def test_all_of_127_and_its_mapped_form_are_this_machine(hosts: tuple[str, ...], local: bool, url: str):
    for host in hosts:
        assert is_loopback_url(url.format(host)) is local, host
        assert clinic_agent.config.is_loopback_url(url.format(host)) is local, host


def test_what_is_no_url_is_not_this_machine():
    assert not is_loopback_url("http://[127.0.0.1")
    assert not is_loopback_host("")


def test_a_name_is_no_address():
    assert is_loopback_host("localhost")
    assert not is_loopback_address("localhost")


def test_no_proxy_is_used_for_another_address_of_this_machine():
    assert direct("ws://127.0.0.2:8765/v1/realtime") == direct("ws://127.0.0.1:8765/v1/realtime")
    assert direct("wss://api.x.ai/v1/realtime") == {}


@pytest.mark.parametrize(("origin", "foreign"), [("http://127.0.0.2:3000", False), ("http://128.0.0.2:3000", True)])
def test_a_page_of_another_address_of_this_machine_is_its_own(origin: str, foreign: bool):
    assert is_foreign(origin, "127.0.0.1:8765", ()) is foreign
