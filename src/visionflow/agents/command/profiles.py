"""Profiles: what VisionFlow knows of each command-line agent.

Facts only: how it is called without a person at hand, which credentials it needs, what keeps it
quiet, whether it can go on with a conversation. How its words are put together is in `template`,
how its output is read in `reading`.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

_NETWORK = (
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
    "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""How the network is reached from here; a proxy's address may hold a password."""
_AWS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
)  # fmt: skip
_SECRETS = frozenset((*_AWS, "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"))
_ENDINGS = ("_KEY", "_TOKEN", "_HEADERS")


class Profile(msgspec.Struct, frozen=True):
    """A command-line agent, as far as running it goes."""

    name: str
    title: str
    program: str
    """The name of its program; empty for `script`, which stands for any other."""
    words: str
    """The command line that the profile's name alone stands for."""
    env: tuple[str, ...] = ()
    """Variables of the user's environment that it gets, where they are set: credentials, where
    its provider is, how the network is reached. No others are passed."""
    files: tuple[str, ...] = ()
    """Files that it gets copies of in a home of its own, relative to HOME; no others."""
    homes: dict[str, str] = {}
    """Variables that name a folder in the place of one below HOME: `{"CODEX_HOME": ".codex"}`."""
    signs: tuple[str, ...] = ()
    """Of `env` and `files` those of which one is enough to be let in by its provider."""
    set: dict[str, str] = {}
    """Variables that it is given: no telemetry, no update of itself, no prompt."""
    leaves: tuple[str, ...] = ()
    """Patterns of names at the top of the workspace that hold notes of its own, not its work."""
    network: bool = True
    """Whether it has to reach other machines."""
    resumes: bool = False
    """Whether it can go on with an interrupted conversation by the name that it gave it."""
    reports: str = ""
    """What it tells of its use of a model, in words."""
    needs: str = ""
    """What it needs beside its program, in words."""
    install: str = ""
    """A command that installs it."""
    login: str = ""
    """How it gets credentials: a command, or a variable to set."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those of `env` whose values are never shown."""
        return tuple(n for n in self.env if n in _SECRETS or n.endswith(_ENDINGS))


CLAUDE = Profile(
    name="claude",
    title="Claude Code",
    program="claude",
    words="claude -p {goal}",
    env=(
        "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_MODEL",
        "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
        "ANTHROPIC_BEDROCK_BASE_URL", "AWS_REGION", *_AWS, "ANTHROPIC_VERTEX_PROJECT_ID",
        "CLOUD_ML_REGION", *_NETWORK,
    ),
    files=(".claude/.credentials.json",),
    homes={"CLAUDE_CONFIG_DIR": ".claude"},
    signs=(
        "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", ".claude/.credentials.json",
    ),
    set={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        # By itself it tries a refused key eleven times, which takes minutes.
        "CLAUDE_CODE_MAX_RETRIES": "3",
        # As root it bypasses permissions only where this says that something else confines it.
        "IS_SANDBOX": "1",
    },
    resumes=True,
    reports="tokens and cost",
    needs="an API key or a login",
    install="npm install -g @anthropic-ai/claude-code",
    login="set ANTHROPIC_API_KEY, or run `claude` once and log in",
)  # fmt: skip
CODEX = Profile(
    name="codex",
    title="Codex",
    program="codex",
    words="codex exec {goal}",
    env=(
        "OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORGANIZATION",
        "OPENAI_PROJECT", "AZURE_OPENAI_API_KEY", "OPENROUTER_API_KEY", *_NETWORK,
    ),
    files=(".codex/auth.json", ".codex/config.toml"),
    homes={"CODEX_HOME": ".codex"},
    signs=("CODEX_API_KEY", ".codex/auth.json"),
    resumes=True,
    reports="tokens",
    needs="a login, or an API key",
    install="npm install -g @openai/codex",
    login="run `codex login`, or set CODEX_API_KEY",
)  # fmt: skip
GEMINI = Profile(
    name="gemini",
    title="Gemini CLI",
    program="gemini",
    words="gemini -p {goal}",
    env=(
        "GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_MODEL", "GOOGLE_GENAI_USE_VERTEXAI",
        "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_GEMINI_BASE_URL", *_NETWORK,
    ),
    files=(
        ".gemini/oauth_creds.json", ".gemini/google_accounts.json", ".gemini/settings.json",
    ),
    signs=("GEMINI_API_KEY", "GOOGLE_API_KEY", ".gemini/oauth_creds.json"),
    set={
        "GEMINI_TELEMETRY_ENABLED": "false",
        # It would start itself once more otherwise, to give itself more memory.
        "GEMINI_CLI_NO_RELAUNCH": "true",
    },
    resumes=True,
    reports="tokens",
    needs="an API key or a login",
    install="npm install -g @google/gemini-cli",
    login="set GEMINI_API_KEY, or run `gemini` once and log in",
)  # fmt: skip
AIDER = Profile(
    name="aider",
    title="aider",
    program="aider",
    words="aider --message {goal}",
    env=(
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY",
        "OPENROUTER_API_KEY", "GROQ_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL",
        "ANTHROPIC_BASE_URL", "OLLAMA_API_BASE", "AIDER_MODEL", "AIDER_EDITOR_MODEL",
        "AIDER_WEAK_MODEL", *_NETWORK,
    ),
    files=(
        ".aider.conf.yml", ".aider.model.settings.yml", ".aider.model.metadata.json",
        ".aider/oauth-keys.env",
    ),
    signs=(
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY",
        "OPENROUTER_API_KEY", "GROQ_API_KEY", "OLLAMA_API_BASE", ".aider/oauth-keys.env",
    ),
    set={
        "AIDER_ANALYTICS": "false",
        "AIDER_CHECK_UPDATE": "false",
        "AIDER_CHAT_HISTORY_FILE": "/dev/null",
        "AIDER_INPUT_HISTORY_FILE": "/dev/null",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # It breaks lines at this width, errors among them.
        "COLUMNS": "2000",
    },
    leaves=(".aider*",),
    reports="tokens and cost, both rounded",
    needs="the API key of a model's provider",
    install="pipx install aider-chat",
    login="set OPENAI_API_KEY, ANTHROPIC_API_KEY or another provider's key",
)  # fmt: skip
SCRIPT = Profile(
    name="script",
    title="any other program",
    program="",
    words="PROGRAM {goal}",
    network=False,
    reports="what its last line tells, as a JSON object with `usage`",
    needs="nothing that is known",
)
PROFILES: dict[str, Profile] = {each.name: each for each in (CLAUDE, CODEX, GEMINI, AIDER, SCRIPT)}


def credentials_of(
    profile: Profile, home: Path, env: Mapping[str, str]
) -> tuple[tuple[str, Path], ...]:
    """Which of `profile.files` are there: (its place below a home, where it stands now). A
    variable such as CODEX_HOME is followed, though the copy stands below HOME."""
    found: list[tuple[str, Path]] = []
    for name in profile.files:
        place = home / name
        for variable, folder in profile.homes.items():
            if env.get(variable) and name.startswith(folder + "/"):
                place = Path(env[variable]) / name.removeprefix(folder + "/")
        if place.is_file():
            found.append((name, place))
    return tuple(found)


def profile_of(program: str) -> Profile:
    """The profile of a program by its name or path; `script` where none is known."""
    name = Path(program).name
    return next((each for each in PROFILES.values() if each.program == name), SCRIPT)
