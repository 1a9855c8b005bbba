"""Who may look: users, tokens, roles, addresses."""

import pytest

from dashboard import launch, signin, users

KEY = b"k" * 32


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


def test_a_token_holds_until_its_time():
    token = users.make_token("ana: maria", "engineer", 1000, KEY)

    assert users.read_token(token, KEY, 999) == ("ana: maria", "engineer")
    assert users.read_token(token, KEY, 1000) is None


@pytest.mark.parametrize(
    "forged",
    ["", "x", ".", users.make_token("ana", "operator", 9e9, b"other"), "YTph.00"],
)
def test_a_token_of_somebody_elses_is_nothing(forged):
    assert users.read_token(forged, KEY, 0) is None


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

    with pytest.raises(launch.UnsafeBinding, match="ELETROPOSTO_DASHBOARD_USERS"):
        launch.refuse_unsafe(host)


def test_other_machines_are_let_in_when_people_sign_in(monkeypatch, users_file):
    monkeypatch.setenv("ELETROPOSTO_DASHBOARD_USERS", users_file)

    launch.refuse_unsafe("0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_open(monkeypatch, host):
    monkeypatch.delenv("ELETROPOSTO_DASHBOARD_USERS", raising=False)

    launch.refuse_unsafe(host)
