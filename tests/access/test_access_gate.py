"""The gate: who somebody is, what a token changes, what is limited, and what is on record."""

import asyncio
from pathlib import Path

import pytest
from dialling import run
from gating import AGENTS, ELSEWHERE, HERE, OTHERS, OURS, UNKNOWN, UNSETTLED, Rig

from visionflow.domain.access import Role
from visionflow.domain.errors import ConfigError, Forbidden, RateLimited, Unauthenticated
from visionflow.interfaces.access.gate import FAILED_LOGINS, Session
from visionflow.interfaces.access.lookups import Found
from visionflow.interfaces.access.peers import Peer

WRONG = "vf_aaaaaaaa_" + "b" * 52


def arrive(rig: Rig, peer: Peer = HERE, face: str = "tcp") -> Session:
    """A connection whose other end is known."""
    return run(rig.session(peer, face))


def test_our_own_user_needs_no_token_and_has_no_limits(tmp_path: Path) -> None:
    rig = Rig(tmp_path, calls_per_second=1 / 60, calls_at_once=1)
    caller = arrive(rig).for_request()
    assert caller.name.startswith("local:")
    assert (caller.role, caller.limited) == (Role.ADMIN, False)
    for _ in range(100):
        rig.gate.enter(caller)
    assert rig.records.codes() == []


@pytest.mark.acceptance("auth")
@pytest.mark.parametrize("found", [AGENTS, OTHERS, UNKNOWN])
def test_nobody_else_is_served_without_one_and_hears_why(tmp_path: Path, found: Found) -> None:
    rig = Rig(tmp_path, found)
    session = arrive(rig)
    assert session.caller is None
    with pytest.raises(Unauthenticated) as caught:
        session.for_request()
    assert found.why in str(caught.value)
    assert "visionflow token create" in str(caught.value)
    assert rig.records.codes() == ["unauthenticated"]
    assert rig.records.access[0]["by"] == session.who


def test_a_look_that_was_not_brought_to_its_end_is_not_the_last_one(tmp_path: Path) -> None:
    async def use() -> None:
        rig = Rig(tmp_path, UNSETTLED)
        session = await rig.session()
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                session.for_request()
            assert UNSETTLED.why in str(caught.value) and caught.value.retry_after_ms
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert rig.saying.looks == 4
        rig.saying.found = OURS
        with pytest.raises(RateLimited):
            session.for_request()
        for _ in range(10):
            await asyncio.sleep(0)
        assert session.for_request().name.startswith("local:")
        await session.known()
        assert rig.saying.looks == 5
        assert rig.records.codes() == [], "that is nobody's intrusion"

    run(use())


@pytest.mark.acceptance("auth")
def test_a_token_makes_known_who_it_is_in_each_of_its_three_places(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN)
    _, text = rig.tokens.create("laptop", Role.OPERATOR)
    session = arrive(rig, ELSEWHERE)
    by_header = session.for_request(bearer=text)
    by_meta = session.for_request(meta_token=text)
    assert by_header == by_meta
    assert (by_header.name, by_header.role) == ("token:laptop", Role.OPERATOR)
    assert by_header.limited
    with pytest.raises(Unauthenticated):
        session.for_request()
    assert session.authenticate(text) == by_header
    assert session.for_request() == by_header
    assert session.caller == by_header


def test_a_wrong_token_of_our_own_user_is_not_overlooked(tmp_path: Path) -> None:
    session = arrive(Rig(tmp_path))
    with pytest.raises(Unauthenticated):
        session.for_request(bearer=WRONG)
    with pytest.raises(Unauthenticated):
        session.for_request(bearer="")
    assert session.for_request().name.startswith("local:")


@pytest.mark.acceptance("auth")
def test_a_token_that_is_revoked_stops_on_open_connections_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN)
    _, text = rig.tokens.create("laptop", Role.OPERATOR)
    session = arrive(rig)
    session.for_request(bearer=text)
    session.authenticate(text)
    rig.tokens.revoke("laptop")
    for given in (None, text):
        with pytest.raises(Unauthenticated):
            session.for_request(bearer=given)
    assert session.caller is None
    assert rig.records.codes().count("unauthenticated") == 2
    # It is not our user's connection again because its token is gone.
    arrive(rig)
    assert "token_revoked" in rig.records.codes()


def test_our_own_users_connection_that_took_a_token_does_not_fall_back_when_it_is_revoked(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, OURS)
    _, text = rig.tokens.create("reader", Role.VIEWER)
    session = arrive(rig)
    assert session.authenticate(text).role is Role.VIEWER
    rig.tokens.revoke("reader")
    with pytest.raises(Unauthenticated):
        session.for_request()


def test_an_agents_process_may_use_a_token_of_its_role_only(tmp_path: Path) -> None:
    rig = Rig(tmp_path, AGENTS)
    _, admin = rig.tokens.create("boss", Role.ADMIN)
    _, agent = rig.tokens.create("helper", Role.AGENT)
    session = arrive(rig)
    with pytest.raises(Forbidden, match="role agent"):
        session.authenticate(admin)
    with pytest.raises(Forbidden):
        session.for_request(bearer=admin)
    assert session.for_request(meta_token=agent).role is Role.AGENT
    assert rig.records.codes().count("forbidden") == 2


def test_failures_to_log_in_are_limited_by_address_and_a_right_token_is_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN)
    _, text = rig.tokens.create("laptop", Role.OPERATOR)
    for _ in range(FAILED_LOGINS):
        with pytest.raises(Unauthenticated):
            arrive(rig, ELSEWHERE).authenticate(WRONG)
    with pytest.raises(RateLimited) as caught:
        arrive(rig, ELSEWHERE).authenticate(WRONG)
    assert caught.value.retry_after_ms == 6_000
    assert arrive(rig, ELSEWHERE).authenticate(text).name == "token:laptop"
    with pytest.raises(Unauthenticated):
        arrive(rig, HERE).authenticate(WRONG)
    rig.clock.s += 6
    with pytest.raises(Unauthenticated):
        arrive(rig, ELSEWHERE).authenticate(WRONG)
    assert rig.records.codes().count("login_failed") == FAILED_LOGINS + 2
    assert rig.records.codes().count("login_limited") == 1


def test_no_token_is_ever_on_record(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN)
    _, text = rig.tokens.create("laptop", Role.OPERATOR)
    session = arrive(rig)
    session.authenticate(text)
    with pytest.raises(Unauthenticated):
        session.authenticate(WRONG)
    told = str(rig.records.access)
    assert text.split("_")[2] not in told
    assert WRONG not in told


def test_the_use_of_a_token_is_on_record_once_an_hour_for_each_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN)
    _, text = rig.tokens.create("laptop", Role.OPERATOR)
    for _ in range(5):
        arrive(rig).for_request(bearer=text)
    assert rig.records.codes().count("login") == 1
    arrive(rig, ELSEWHERE).for_request(bearer=text)
    assert rig.records.codes().count("login") == 2
    rig.clock.s += 3_600
    arrive(rig).for_request(bearer=text)
    assert rig.records.codes().count("login") == 3


def test_a_flood_by_a_tokens_client_is_limited_over_all_its_connections(tmp_path: Path) -> None:
    rig = Rig(tmp_path, UNKNOWN, calls_per_second=0.1, calls_at_once=50)
    _, text = rig.tokens.create("flooder", Role.OPERATOR)
    callers = [arrive(rig).for_request(bearer=text) for _ in range(3)]
    for number in range(6):
        rig.gate.enter(callers[number % 3])
    with pytest.raises(RateLimited) as caught:
        rig.gate.enter(callers[0])
    assert caught.value.retry_after_ms == 10_000
    assert rig.records.codes()[-1] == "rate_limited"
    for number in range(6):
        rig.gate.leave(callers[number % 3])
    rig.clock.s += 10
    rig.gate.enter(callers[1])


def test_refusals_by_role_are_on_record_and_faults_of_arguments_are_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    caller = arrive(rig).for_request()
    rig.gate.refused(caller, "agent_spawn", Forbidden("it is for operator, admin"))
    rig.gate.refused(caller, "agent_spawn", ValueError("no"))
    assert [(each["tool"], each["code"]) for each in rig.records.calls] == [
        ("agent_spawn", "forbidden")
    ]


def test_what_the_tokens_are_is_on_record_from_the_first_connection_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.tokens.create("old", Role.VIEWER)
    arrive(rig)
    assert rig.records.codes() == ["token_present"]
    made, _ = rig.tokens.create("new", Role.ADMIN)
    arrive(rig)
    arrive(rig)
    assert rig.records.codes() == ["token_present", "token_created"]
    assert made.id in rig.records.access[-1]["message"]


def test_connections_are_clients_where_they_last_and_names_are_over_http(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert arrive(rig, face="tcp").for_request().client != arrive(rig).for_request().client
    first, second = (arrive(rig, face="http").for_request() for _ in range(2))
    assert first.client == second.client


# A server that listens beyond this machine ---------------------------------------------------


@pytest.mark.acceptance("auth")
def test_beyond_loopback_a_server_without_tokens_does_not_start(tmp_path: Path) -> None:
    rig = Rig(tmp_path, host="0.0.0.0")
    with pytest.raises(ConfigError, match="token"):
        rig.gate.may_bind()
    rig.tokens.create("laptop", Role.OPERATOR)
    rig.gate.may_bind()


@pytest.mark.parametrize("host", ["", "::", "192.0.2.1", "fleet.example"])
def test_every_address_that_is_not_loopback_counts(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError):
        Rig(tmp_path, host=host).gate.may_bind()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_loopback_none_is_needed(tmp_path: Path, host: str) -> None:
    Rig(tmp_path, host=host).gate.may_bind()


def test_a_file_of_tokens_with_a_fault_stops_the_start_on_loopback_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.tokens.path.write_text("{")
    with pytest.raises(ConfigError):
        rig.gate.may_bind()


def test_without_authentication_everybody_but_an_agent_is_served_and_each_start_says_so(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, UNKNOWN, host="0.0.0.0", allow_unauthenticated=True)
    rig.gate.may_bind()
    caller = arrive(rig, ELSEWHERE).for_request()
    assert (caller.name, caller.role, caller.limited) == ("anyone@192.0.2.9", Role.ADMIN, True)
    assert "VISIONFLOW_ALLOW_UNAUTHENTICATED" in rig.gate.notices()[0]
    agents = Rig(tmp_path, AGENTS, allow_unauthenticated=True)
    with pytest.raises(Unauthenticated):
        arrive(agents).for_request()
    assert Rig(tmp_path).gate.notices() == []
