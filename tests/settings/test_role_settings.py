"""Each key of the guide's templates has a stated effect or a warning; the docs are the classes'."""

from pathlib import Path

import msgspec
import pytest
import role_bench

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.base import AgentContext, BaseAgent, PermanentFailure
from visionflow.agents.roles.settings import Read, RoleSettings, read_settings, warnings_of
from visionflow.settings import load_agents
from visionflow.testing.role_docs import ROLES, filled, role_facts

DOCS = Path(__file__).resolve().parents[2] / "docs" / "agents-yaml.md"
GUIDE = {name: dict(template.config) for name, template in load_agents(None).templates.items()}


def read(role: str, config: dict[str, object]) -> Read[RoleSettings]:
    facts = role_facts(role)

    def never() -> object:
        raise AssertionError("settings need no sandbox")

    context = AgentContext(
        folder=Path("/nowhere"),
        blobs=MemoryBlobs(),
        open_sandbox=never,  # pyright: ignore[reportArgumentType]
        write_log=lambda *_: None,
    )
    agent: BaseAgent = facts.kind("a1", "a1", role, dict(config), context)
    return read_settings(agent, facts.settings)


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_every_key_of_the_guide_has_an_effect_or_a_reason_why_not(role: str) -> None:
    settings = role_facts(role).settings
    keys = set(settings.__struct_fields__)
    assert set(settings.EFFECTS) == keys
    assert not keys & set(settings.UNUSED)
    assert set(GUIDE[role]) <= keys | set(settings.UNUSED)
    for text in (*settings.EFFECTS.values(), *settings.UNUSED.values()):
        assert len(text.split()) > 3


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_the_guides_own_settings_are_taken_and_only_unused_ones_are_warned_about(
    role: str,
) -> None:
    found = read(role, GUIDE[role])
    unused = [key for key in GUIDE[role] if key in role_facts(role).settings.UNUSED]
    assert [warning.split(" has no effect")[0] for warning in found.warnings] == [
        f"{role}: {key}" for key in sorted(unused)
    ]


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_each_unused_key_is_warned_about_with_its_reason(role: str) -> None:
    for key, why in role_facts(role).settings.UNUSED.items():
        assert read(role, {key: "x"}).warnings == (f"{role}: {key} has no effect: {why}",)


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_a_slip_of_a_known_key_is_asked_about_and_other_keys_are_context(role: str) -> None:
    key = role_facts(role).settings.__struct_fields__[0]
    found = read(role, {key[:-1] + "y": 1, "zebra": 2})
    assert f"did you mean {key!r}" in found.warnings[0]
    assert found.warnings[1] == f"{role}: zebra is no setting and is only context"


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_a_value_of_the_wrong_kind_ends_the_task_with_key_and_agent(role: str) -> None:
    for field in msgspec.structs.fields(role_facts(role).settings):
        with pytest.raises(PermanentFailure, match=rf"{role} a1 .*{field.name}"):
            read(role, {field.name: {"a": "map"}})


@pytest.mark.acceptance("config")
def test_the_tables_of_the_docs_are_those_of_the_classes() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert page == filled(page), "run: python -m visionflow.testing.role_docs docs/agents-yaml.md"


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("role", ROLES)
def test_the_effect_of_each_setting_is_seen_by_a_test(role: str) -> None:
    import test_role_effects  # noqa: F401  # It registers what its tests see.

    keys = {(role, key) for key in role_facts(role).settings.EFFECTS}
    assert keys == {seen for seen in role_bench.COVERED if seen[0] == role}


def test_a_near_miss_of_a_key_without_effect_is_one_too() -> None:
    told = warnings_of("coder", ["max_token"], {"languages"}, {"max_tokens": "no model"})
    assert told == [
        "coder: max_token is no setting and is only context; did you mean 'max_tokens'?"
    ]
