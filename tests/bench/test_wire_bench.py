"""What measures the faces of a server: replies are checked, and what is missing says so."""

import os

import pytest

from bench import wire
from bench.faces_sides import CLAUDE_FLOW, claude_flow, peer_stdio
from bench.figures import text_of
from bench.processes import NotThere
from bench.rounds import Budget
from bench.wire_client import Burst, Target
from bench.wire_flat import flat
from bench.wire_framing import Http, Lines
from bench.wire_server import Core, call, calling, kept_on, measured, peopled

SHORT = Budget(rounds=1, seconds=0.1)


def test_replies_are_found_wherever_packets_end() -> None:
    lines, answer = Lines(), b'{"id":1,"result":{}}\n{"id":2,"result":{}}\n'
    found = [each for byte in answer for each in lines.replies(bytes((byte,)))]
    assert found == answer.splitlines()
    body = b'{"id":3,"result":{}}'
    for head, sent in (
        (b"Content-Length: 20", body),
        (b"Transfer-Encoding: chunked", b"a\r\n" + body[:10] + b"\r\na\r\n" + body[10:] + b"\r\n"),
    ):
        http = Http("/", {})
        end = b"0\r\n\r\n" if b"chunked" in head else b""
        whole = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + sent + end
        found = [each for byte in whole for each in http.replies(bytes((byte,)))]
        assert found == [body]
        assert http.replies(whole) == [body]
    refused = Http("/", {}).replies(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
    assert refused[0].startswith(b"HTTP/1.1 403")


def test_every_call_is_answered_by_a_real_server_and_an_error_stops_the_measurement() -> None:
    core = Core()
    with peopled(core) as server, calling(Target("lines", server.port), core.client) as client:
        cost = measured(client, Burst((wire.STATUS,), calls=500, window=8), server.pid)
        assert cost.rate > 0 and cost.server_us > 0 and cost.reply_bytes > 1_000
        assert client.next_id == 501
        with pytest.raises(NotThere, match="There is no tool"):
            client.burst(Burst((call("swarm_statos"),), calls=1))


def test_rows_of_the_faces_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "WARM_UP_S", 0.05)
    row = wire.http_reads(SHORT)
    assert all(series.middle for series in row.series)
    assert "CPU a call" in text_of(row)


def test_a_server_is_measured_block_by_block() -> None:
    row = flat(SHORT, calls=1_000, block=500)
    assert all(len(series.samples) == 2 for series in row.series)


def test_peers_are_called_as_we_are_and_what_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = Core()
    monkeypatch.delenv(CLAUDE_FLOW, raising=False)
    with pytest.raises(NotThere, match=CLAUDE_FLOW), claude_flow(core):
        pass
    with peer_stdio("sdk", core) as side, calling(side.target, core.client) as client:
        assert client.burst(Burst((side.request,), calls=20, window=4)).calls == 20


def test_what_is_kept_on_a_core_starts_there() -> None:
    core, before = Core(), os.sched_getaffinity(0)
    with kept_on(core.client):
        assert os.sched_getaffinity(0) == {core.client}
    assert os.sched_getaffinity(0) == before
