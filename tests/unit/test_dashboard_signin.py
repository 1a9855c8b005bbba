"""Who may look: users, tokens, roles, addresses."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from dashboard import launch, signin, users
from testbench.embedded import host


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "users"
    path.write_text("# people\n" + users.line("ana", "operator", "s3cret") + "\n")
    return str(path)


def test_the_right_password_gives_the_role(users_file):
    assert users.check(users_file, "ana", "s3cret") == "operator"


@pytest.mark.parametrize(("name", "password"), [("ana", "S3cret"), ("bob", "s3cret"), ("", "")])
def test_anything_else_gives_nothing(users_file, name, password):
    assert users.check(users_file, name, password) is None


def test_the_password_is_not_in_the_file(users_file):
    with open(users_file) as file:
        assert "s3cret" not in file.read()


@pytest.mark.parametrize("odd", ["ana", "ana:boss:scrypt:a:b", "ana:viewer:plain"])
def test_a_broken_line_is_named(tmp_path, odd):
    path = tmp_path / "users"
    path.write_text(odd)

    with pytest.raises(users.UsersFileError, match="line 1"):
        users.read(str(path))


def test_a_token_holds_until_its_time(users_file):
    token = users.make_token(users_file, "ana", 1000)

    assert users.read_token(users_file, token, 999) == ("ana", "operator")
    assert users.read_token(users_file, token, 1000) is None


@pytest.mark.parametrize("forged", ["", "x", ".", "YTph.00", "OTk5OTphbmE=." + "0" * 64])
def test_a_token_of_somebody_elses_is_nothing(users_file, forged):
    assert users.read_token(users_file, forged, 0) is None


@pytest.mark.parametrize("left", [None, ("bob", "s3cret"), ("ana", "another")])
def test_who_is_removed_or_has_a_new_password_is_signed_out_at_once(users_file, left):
    token = users.make_token(users_file, "ana", 1000)

    Path(users_file).write_text(users.line(left[0], "operator", left[1]) if left else "")

    assert users.read_token(users_file, token, 0) is None


def test_a_new_role_holds_at_once(users_file):
    token = users.make_token(users_file, "ana", 1000)
    text = Path(users_file).read_text()

    Path(users_file).write_text(text.replace("operator", "viewer"))

    assert users.read_token(users_file, token, 0) == ("ana", "viewer")


async def test_failures_of_one_name_do_not_stop_the_others_behind_a_proxy(monkeypatch, users_file):
    """A proxy gives everybody its own address."""
    monkeypatch.setenv("ELETROPOSTO_DASHBOARD_USERS", users_file)
    monkeypatch.setattr(signin, "_failures", {})
    app = Starlette(routes=signin.routes())
    transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as browser:

        async def answered(name: str, password: str) -> int:
            form = {"name": name, "password": password}
            return (await browser.post("/entrar", data=form)).status_code

        assert {await answered("bob", "guess") for _ in range(8)} == {403}
        assert await answered("bob", "guess") == 429
        assert await answered("ana", "s3cret") == 303


@pytest.mark.parametrize(
    ("claim", "role"),
    [("operator", "operator"), (["viewer", "engineer"], "engineer"), (None, "viewer"),
     ("root", "viewer"), ({"operator": 1}, "viewer")],
)  # fmt: skip
def test_the_role_comes_from_the_claim_and_is_never_more_than_named(claim, role):
    assert signin.role_of(claim) == role


@pytest.mark.parametrize(
    ("target", "path"),
    [("/sessoes?lang=en", "/sessoes?lang=en"), ("http://h:1/a?b=1", "/a?b=1"), ("//evil/x", "/"),
     ("/\\evil", "/"), ("javascript:alert(1)", "/"), ("http://evil//x", "/"), ("", "/")],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(target, path):
    assert signin.local_path(target) == path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "eletroposto.example"])
def test_other_machines_are_refused_without_sign_in(monkeypatch, host):
    monkeypatch.delenv("ELETROPOSTO_DASHBOARD_USERS", raising=False)

    with pytest.raises(signin.Unsafe, match="ELETROPOSTO_DASHBOARD_USERS"):
        signin.refuse_unsafe(host)


def test_other_machines_are_let_in_when_people_sign_in(monkeypatch, users_file):
    monkeypatch.setenv("ELETROPOSTO_DASHBOARD_USERS", users_file)

    signin.refuse_unsafe("0.0.0.0")


def test_secrets_that_cannot_be_read_are_no_reason_to_let_everybody_in(tmp_path):
    """Whether the server is asked first or started past it."""
    secrets = tmp_path / ".streamlit/secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text("[auth\n")

    said = ended(tmp_path, "-m", "dashboard.launch", str(host.free_port()), "127.0.0.1")

    assert "the secrets of the dashboard cannot be read" in said


def test_the_command_line_refuses_in_a_sentence(tmp_path):
    said = ended(tmp_path, "-m", "dashboard.launch", str(host.free_port()), "0.0.0.0")

    assert said.startswith("eletroposto: the dashboard would be open to everybody on 0.0.0.0")
    assert "Traceback" not in said


@pytest.mark.parametrize("address", [["--server.address", "0.0.0.0"], []])
def test_a_server_started_without_being_asked_refuses_by_the_address_it_has(tmp_path, address):
    server = str(Path(launch.__file__).with_name("server.py"))
    port = ["--server.port", str(host.free_port()), "--server.headless", "true"]

    said = ended(tmp_path, "-m", "streamlit", "run", server, *port, *address)

    assert "would be open to everybody on" in said


def ended(folder: Path, *words: str) -> str:
    """What a program says that must not go on."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ELETROPOSTO_")}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment | {"HOME": str(folder)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_open(monkeypatch, host):
    monkeypatch.delenv("ELETROPOSTO_DASHBOARD_USERS", raising=False)

    signin.refuse_unsafe(host)
