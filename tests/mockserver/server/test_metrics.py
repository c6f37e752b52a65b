"""What Prometheus reads."""

from __future__ import annotations

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from mockserver.server import metrics
from mockserver.server.histogram import Histogram
from mockserver.server.metrics import Metrics
from mockserver.server.notices import CallClosed, CallOpened, ErrorSent, TurnAnswered
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import KEY, story, turn

Samples = dict[tuple[str, tuple[str, ...]], float]


async def scraped(http: ClientSession, mock: MockServer) -> Samples:
    async with http.get(mock.control_url + "/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        families = list(text_string_to_metric_families(await response.text()))
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_a_scrape_counts_sessions_turns_seconds_and_usd():
    async def tell(mock: MockServer, http: ClientSession) -> tuple[Samples, Samples, float]:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
            await ws.send_json({"type": "responze.create"})
            output = {"type": "function_call_output", "call_id": "none", "output": "1"}
            await ws.send_json({"type": "conversation.item.create", "item": output})
            while (await ws.receive_json())["type"] != "error":
                pass
            during = await scraped(http, mock)
        while (await (await http.get(mock.control_url + "/health")).json())["open_sessions"]:
            pass
        usd = mock.ledger.as_json()["usd"]
        return during, await scraped(http, mock), float(str(usd))

    during, after, usd = story(tell, findings="warn")
    assert during["realtape_sessions", ()] == 1
    assert after["realtape_sessions", ()] == 0
    assert during["realtape_sessions_opened_total", ("xai@2026-07",)] == 1
    assert after["realtape_sessions_closed_total", ("1000",)] == 1
    assert during["realtape_turns_total", ("completed",)] == 1
    assert during["realtape_first_audio_seconds_count", ()] == 1
    assert 0 < during["realtape_first_audio_seconds_sum", ()] < 2
    assert during["realtape_sent_bytes_total", ()] > during["realtape_received_bytes_total", ()] > 100
    assert 0 < usd == after["realtape_usd_total", ()]
    assert during["realtape_errors_sent_total", ("invalid_event",)] == 1
    assert after["realtape_findings_total", ("tool-result-unknown",)] == 1
    assert during["realtape_lateness_seconds_count", ()] >= 1
    assert during["realtape_kept", ("sessions",)] == 1


def test_faults_are_counted_by_kind():
    async def tell(mock: MockServer, http: ClientSession) -> Samples:
        async with http.put(mock.control_url + "/faults", json=[{"at": "handshake", "do": {"status": 503}}]) as put:
            assert put.status == 200
        async with http.get(mock.http_url.replace("/v1", "/v1/realtime"), headers={"Upgrade": "websocket"}) as response:
            assert response.status == 503
        async with http.delete(mock.control_url + "/faults"), http.post(mock.control_url + "/reset") as reset:
            assert reset.status == 200
        return await scraped(http, mock)

    counted = story(tell, dialect="xai")  # removal and reset leave counters
    assert {labels[0] for name, labels in counted if name == "realtape_info"} == {"xai@2026-10"}  # as sessions' labels
    assert counted["realtape_faults_total", ("status",)] == 1
    assert counted["realtape_refused_total", ("503",)] == 1


def test_a_health_check_needs_no_key_and_is_counted_nowhere():
    async def tell(mock: MockServer, http: ClientSession) -> tuple[int, object, object]:
        async with http.get(mock.http_url.replace("/v1", "/healthz"), headers={"Host": "mock.internal"}) as health:
            async with http.get(mock.control_url + "/refusals", headers={"Authorization": "Bearer t"}) as refusals:
                return health.status, await health.json(), await refusals.json()

    assert story(tell, admin_token="t", api_keys=["k"]) == (200, {"status": "ok"}, [])


def test_each_namespace_has_a_page_of_its_own():
    async def tell(mock: MockServer, http: ClientSession) -> tuple[float, float]:
        async with http.post(mock.control_url + "/namespaces", json={}) as made:
            space = await made.json()
        async with http.ws_connect(space["ws"], headers={"Authorization": f"Bearer {space['api_key']}"}):
            async with http.get(space["control"] + "/metrics") as response:
                text = await response.text()
            return (await scraped(http, mock))["realtape_sessions", ()], float("realtape_sessions 1.0" in text)

    assert story(tell) == (0, 1)


def test_usd_outside_of_responses_is_added_at_the_end_and_nothing_twice():
    counts = Metrics()
    counts.note(CallOpened("s", "xai@2026-07", "m"))
    counts.note(TurnAnswered("s", 1, usd="0.25", first_audio_s=0.4))
    counts.note(TurnAnswered("s", 2, usd="0.5"))
    assert counts.usd == 0.75
    counts.note(CallClosed("s", 1000, "", True, 12.0, 2, "1.0"))
    assert counts.usd == 1.0
    assert counts.first_audio_s.total == 0.4


def test_no_client_makes_labels_without_end():
    counts = Metrics()
    for number in range(metrics.MOST_LABELS + 50):
        counts.note(ErrorSent("s", f"code {number}", ""))
    assert len(counts.errors) == metrics.MOST_LABELS + 1
    assert counts.errors[metrics.OTHER] == 50


def test_a_value_on_a_bound_counts_below_it():
    histogram = Histogram((0.1, 0.2))
    for value in (0.1, 0.15, 0.2, 7.0):
        histogram.observe(value)
    assert histogram.counts == [1, 2, 1]
