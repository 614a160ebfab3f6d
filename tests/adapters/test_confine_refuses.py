"""What a confined command may not reach: files, listeners, sockets, by every means there is."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from confine_support import CONFINING, PYTHON, named, python_command, run, sandbox_of

from visionflow.adapters.confine import Means, OsSandbox
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command

TRY = """
import json, os, socket, sys
def works(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return True
def dial(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as line:
        line.settimeout(5)
        line.connect(address)
"""


@pytest.fixture(params=CONFINING, ids=named)
def sandbox(request: pytest.FixtureRequest) -> OsSandbox:
    return sandbox_of(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def tcp_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def tried(sandbox: OsSandbox, folder: Path, expression: str, *arguments: str) -> object:
    code = f"{TRY}\nprint(json.dumps(works(lambda: {expression})))"
    done = run(sandbox, python_command(folder, code, *arguments))
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.acceptance("confine")
def test_some_means_hold_here_and_say_what_they_are() -> None:
    confinement = OsSandbox().confinement
    assert confinement.active, confinement.reasons
    assert confinement.memory is not None


@pytest.mark.acceptance("confine")
def test_a_secret_in_the_home_folder_cannot_be_read(
    sandbox: OsSandbox, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "home" / ".ssh" / "id"
    secret.parent.mkdir(parents=True)
    secret.write_text("key")
    assert tried(sandbox, folder, "open(sys.argv[1]).read()", str(secret)) is not True
    assert tried(sandbox, folder, "os.listdir(sys.argv[1])", str(secret.parent)) is not True


@pytest.mark.acceptance("confine")
def test_writes_outside_are_refused_and_inside_they_work(
    sandbox: OsSandbox, folder: Path, tmp_path: Path
) -> None:
    # Where /tmp is the command's own, a name there may be taken, but nothing appears outside.
    tried(sandbox, folder, "open(sys.argv[1], 'w')", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as other:
        assert tried(sandbox, folder, "open(sys.argv[1], 'w')", f"{other}/out") is not True
        assert os.listdir(other) == []
    for place in ("/usr/visionflow-test", "/etc/visionflow-test", "/visionflow-test"):
        assert tried(sandbox, folder, "open(sys.argv[1], 'w')", place) is not True
    assert tried(sandbox, folder, "open('in', 'w').close()") is True
    assert (folder / "in").exists()


def test_what_may_only_be_read_can_be_read_and_not_written(
    sandbox: OsSandbox, folder: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "file").write_text("text")
    code = f"{TRY}\nprint(open(sys.argv[1]).read(), works(lambda: open(sys.argv[1], 'a')))"
    command = python_command(folder, code, str(given / "file"), read=(str(given),))
    done = run(sandbox, command)
    assert done.stdout.startswith("text ")
    assert "True" not in done.stdout


def test_a_link_that_leads_outside_leads_nowhere(
    sandbox: OsSandbox, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("key")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    assert tried(sandbox, folder, "open('link').read()") is not True
    tried(sandbox, folder, "open('up/made', 'w')")
    linked = tried(sandbox, folder, "os.link(sys.argv[1], 'hard')", str(tmp_path / "secret"))
    assert linked is not True
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user cannot read it anyway")
def test_root_does_not_lend_a_command_the_password_hashes(sandbox: OsSandbox, folder: Path) -> None:
    assert tried(sandbox, folder, "open('/etc/shadow').read()") is not True
    assert tried(sandbox, folder, "open('/etc/passwd').read()") is True


@pytest.mark.acceptance("confine")
def test_a_listener_outside_cannot_be_dialled(
    sandbox: OsSandbox, folder: Path, tcp_port: int
) -> None:
    dial = "dial(socket.AF_INET, ('127.0.0.1', int(sys.argv[1])))"
    assert tried(sandbox, folder, dial, str(tcp_port)) is not True
    datagram = "dial(socket.AF_INET, ('192.0.2.1', 9500), socket.SOCK_DGRAM)"
    assert tried(sandbox, folder, datagram) is not True


@pytest.mark.acceptance("confine")
def test_sockets_of_the_unix_family_outside_cannot_be_dialled(
    sandbox: OsSandbox, folder: Path, tmp_path: Path
) -> None:
    name = f"visionflow-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as file:
        abstract.bind("\0" + name)
        abstract.listen()
        before = os.getcwd()
        os.chdir(tmp_path)
        file.bind("s")
        os.chdir(before)
        file.listen()
        dial = "dial(socket.AF_UNIX, sys.argv[1])"
        assert tried(sandbox, folder, dial, os.path.relpath(tmp_path / "s", folder)) is not True
        dial = "dial(socket.AF_UNIX, chr(0) + sys.argv[1])"
        assert tried(sandbox, folder, dial, name) is not True


def test_the_loopback_inside_works_where_the_command_has_its_own_network(folder: Path) -> None:
    sandbox = sandbox_of(CONFINING[0])
    if sandbox.confinement.network != "network namespace":
        pytest.skip("no network namespace on this machine")
    code = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as line:
        line.sendall(b"hello")
        print(server.accept()[0].recv(5).decode())
"""
    assert run(sandbox, python_command(folder, code)).stdout == "hello\n"


def test_shared_memory_and_terminals_work_in_a_namespace(folder: Path) -> None:
    sandbox = sandbox_of(CONFINING[0])
    code = (
        "import os, _multiprocessing as m; os.openpty(); m.SemLock(1, 1, 1, '/x', True); print(1)"
    )
    done = run(sandbox, python_command(folder, code))
    assert done.stdout == "1\n", done.stderr


def test_processes_outside_cannot_be_signalled_or_looked_into(
    sandbox: OsSandbox, folder: Path
) -> None:
    own = str(os.getpid())
    assert tried(sandbox, folder, "os.kill(int(sys.argv[1]), 0)", own) is not True
    assert tried(sandbox, folder, "open(f'/proc/{sys.argv[1]}/environ').read()", own) is not True


def test_hostile_names_are_only_names(sandbox: OsSandbox, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"a b\n$(touch x);'\"--\xff")
    folder.mkdir()
    code = "import os, sys; open(os.fsencode(sys.argv[1]), 'w').write(os.getcwd())"
    name = os.fsdecode(b"-n \xfe\n")
    done = run(sandbox, python_command(folder, code.replace("'w'", "'w', errors='replace'"), name))
    assert done.exit_code == 0, done.stderr
    assert os.listdir(folder) == [name]


def test_the_environment_is_what_was_given_and_a_private_temporary_folder(
    sandbox: OsSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_TEST_SECRET", "1")
    code = """
import json, os, tempfile
place = tempfile.mkdtemp()
print(json.dumps([sorted(os.environ), os.environ["TMPDIR"], place]))
"""
    names, private, place = json.loads(run(sandbox, python_command(folder, code)).stdout)
    assert set(names) - {"LC_CTYPE", "PWD"} == {"HOME", "PATH", "TMPDIR"}
    assert os.path.dirname(place) == private
    assert not os.path.exists(place)


def test_a_program_that_does_not_exist_is_not_started(sandbox: OsSandbox, folder: Path) -> None:
    for name in ("no-such-program", "/no/such/program", str(folder)):
        command = Command(argv=(name,), cwd=str(folder), env={"PATH": "/usr/bin"})
        with pytest.raises(CommandNotStarted, match="could not be started"):
            run(sandbox, command)
    gone = Command(argv=("true",), cwd="/no/such/folder", env={"PATH": "/usr/bin"})
    with pytest.raises(CommandNotStarted, match="/no/such/folder"):
        run(sandbox, gone)


def test_without_means_foreign_code_is_refused_and_trusted_code_runs(folder: Path) -> None:
    bare = OsSandbox((Means(),))
    assert not bare.confinement.active
    command = Command(argv=(PYTHON, "-c", "print(1)"), cwd=str(folder), env={})
    with pytest.raises(ConfinementUnavailable, match="nothing on this machine can confine"):
        run(bare, command)
    trusted = Command(argv=command.argv, cwd=command.cwd, env={}, trusted=True)
    done = run(bare, trusted)
    assert done.stdout == "1\n"
    assert done.enforced.filesystem is None
    assert done.enforced.reasons


def test_a_command_given_the_network_is_not_reported_as_held_from_it(
    sandbox: OsSandbox, folder: Path, tcp_port: int
) -> None:
    code = f"{TRY}\ndial(socket.AF_INET, ('127.0.0.1', int(sys.argv[1])))"
    command = python_command(folder, code, str(tcp_port))
    given = Command(
        **{name: getattr(command, name) for name in command.__struct_fields__} | {"network": True}
    )
    done = run(sandbox, given)
    assert done.exit_code == 0, done.stderr
    assert done.enforced.network is None
    assert done.enforced.filesystem is not None
