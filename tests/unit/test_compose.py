"""docker-compose.yml is well formed and keeps what the operations guide promises."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[2]
DEFAULT = {"db", "migrate", "ingest", "relay", "prefect", "flows", "dashboard"}
DEMO = {"mosquitto", "dojot", "bench-register", "bench-history", "bench"}
SCALE = {"ingest-replica", "balancer"}
DURATION = r"^(\d+(ms|s|m|h))+$"

Text = str | int | float | bool | None


class Strict(BaseModel):
    """The part of the Compose specification in use; a word that is not known is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Healthcheck(Strict):
    test: list[str] = Field(min_length=2)
    interval: str = Field(pattern=DURATION)
    timeout: str = Field(pattern=DURATION)
    retries: int
    start_period: str = Field("0s", pattern=DURATION)


class Dependency(Strict):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class EnvFile(Strict):
    path: str
    required: bool


class Network(Strict):
    aliases: list[str]


class Deploy(Strict):
    replicas: int | str


class Service(Strict):
    image: str
    build: str | None = None
    user: str
    init: Literal[True]
    read_only: Literal[True]
    cap_drop: list[str]
    security_opt: list[str]
    tmpfs: list[str]
    restart: Literal["no", "on-failure", "unless-stopped"]
    stop_grace_period: str = Field(pattern=DURATION)
    profiles: list[str] = []
    command: list[str] = []
    entrypoint: list[str] = []
    env_file: list[EnvFile] = []
    environment: dict[str, Text] = {}
    secrets: list[str] = []
    volumes: list[str] = []
    ports: list[str] = []
    networks: dict[str, Network] = {}
    network_mode: str | None = None
    ulimits: dict[str, int] = {}
    shm_size: str | None = None
    deploy: Deploy | None = None
    healthcheck: Healthcheck | None = None
    depends_on: dict[str, Dependency] = {}


class SecretFile(Strict):
    file: str


class Compose(Strict):
    name: str
    services: dict[str, Service]
    volumes: dict[str, None]
    secrets: dict[str, SecretFile]


def read() -> Compose:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return Compose.model_validate({k: v for k, v in document.items() if not k.startswith("x-")})


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read()


def test_services_are_in_the_profiles_that_the_guide_names(compose: Compose) -> None:
    assert compose.name == "eletroposto"
    by_profile: dict[str, set[str]] = {}
    for name, service in compose.services.items():
        by_profile.setdefault(",".join(service.profiles), set()).add(name)
    assert by_profile == {"": DEFAULT, "demo": DEMO, "scale": SCALE}


def test_a_default_service_does_not_depend_on_one_of_a_profile(compose: Compose) -> None:
    for name in DEFAULT:
        assert set(compose.services[name].depends_on) <= DEFAULT


def test_who_is_waited_for_to_be_healthy_can_tell(compose: Compose) -> None:
    for name, service in compose.services.items():
        for needed, dependency in service.depends_on.items():
            other = compose.services[needed]
            if dependency.condition == "service_healthy":
                assert other.healthcheck is not None, f"{name} waits for {needed}"
            if dependency.condition == "service_completed_successfully":
                assert other.restart != "unless-stopped", f"{needed} never completes"


@pytest.mark.parametrize("name", ["ingest", "relay", "flows", "dashboard", "ingest-replica"])
def test_nothing_of_ours_starts_before_the_schema_is_there(compose: Compose, name: str) -> None:
    assert compose.services[name].depends_on["migrate"].condition == (
        "service_completed_successfully"
    )


@pytest.mark.parametrize("name", ["db", "ingest", "relay", "prefect", "dashboard", "mosquitto"])
def test_long_running_services_are_probed(compose: Compose, name: str) -> None:
    assert compose.services[name].healthcheck is not None


def test_only_chargers_are_let_in_from_outside(compose: Compose) -> None:
    outside = {
        name
        for name, service in compose.services.items()
        for port in service.ports
        if not port.startswith("127.0.0.1:")
    }
    assert outside == {"ingest", "balancer"}


def test_nobody_is_root_or_may_become_root(compose: Compose) -> None:
    for service in compose.services.values():
        assert service.user.split(":")[0] not in ("root", "0", "")
        assert service.cap_drop == ["ALL"]
        assert service.security_opt == ["no-new-privileges:true"]


def test_passwords_are_files_and_nowhere_else(compose: Compose) -> None:
    for name, service in compose.services.items():
        assert set(service.secrets) <= set(compose.secrets)
        for variable, value in service.environment.items():
            if "PASSWORD" in variable or variable.endswith(("_USERS", "_SECRET")):
                assert str(value).startswith("/run/secrets/"), f"{name}: {variable}"
                assert str(value).removeprefix("/run/secrets/") in service.secrets
            assert not re.search(r"://[^/@]+:[^/@]*@", str(value)), f"{name}: {variable}"


def test_every_process_has_a_login_of_its_own(compose: Compose) -> None:
    """The owner's is for the schema and for people, the superuser's for nobody."""
    logins = {
        name: re.search(r"://(\w+)@db", str(service.environment.get("ELETROPOSTO_DATABASE_URL")))
        for name, service in compose.services.items()
    }
    used = {name: match[1] for name, match in logins.items() if match is not None}
    assert used == {
        **{name: name for name in ("ingest", "relay", "flows", "dashboard")},
        "ingest-replica": "ingest",
        "migrate": "eletroposto",
        "bench-register": "eletroposto",
    }
    script = (ROOT / "docker/logins.sql").read_text()
    for name, login in used.items():
        secret = f"db_{login.replace('eletroposto', 'owner')}"
        given = {it for it in compose.services[name].secrets if it.startswith("db_")}
        assert given == {secret}
        assert f"CREATE ROLE {login} LOGIN" in script
    assert set(re.findall(r"/run/secrets/(\w+)", script)) <= set(compose.services["db"].secrets)


def test_volumes_that_are_mounted_are_declared_or_committed(compose: Compose) -> None:
    used = set()
    for service in compose.services.values():
        for mount in service.volumes:
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_file(), source
                assert mount.endswith(":ro")
            else:
                used.add(source)
    assert used == set(compose.volumes)


def test_images_have_a_version_and_short_names(compose: Compose) -> None:
    images = {service.image for service in compose.services.values()}
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    images |= {line.split()[1] for line in lines if line.startswith("FROM ")}
    for image in images:
        name, _, tag = image.partition(":")
        assert tag not in ("", "latest"), image
        assert "." not in name.split("/")[0], f"{image} names a registry"


def test_variables_with_a_choice_are_in_the_example(compose: Compose) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / ".env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert {name for name in asked if not re.search(rf"^{name}=", example, re.M)} == set()


def test_every_setting_of_the_env_file_reaches_our_programs(compose: Compose) -> None:
    """And none of them what is another image's; without the file all has its default."""
    for name, service in compose.services.items():
        is_ours = service.image.startswith("eletroposto:")
        expected = [EnvFile(path=".env", required=False)] if is_ours else []
        assert service.env_file == expected, name


def test_what_the_env_file_cannot_change_is_said(compose: Compose) -> None:
    guide = (ROOT / "docs/containers.md").read_text()
    for name in DEFAULT:
        for variable, value in compose.services[name].environment.items():
            if variable.startswith("ELETROPOSTO_") and f"${{{variable}" not in str(value):
                told = variable.removeprefix("ELETROPOSTO").removesuffix("_FILE")
                assert told in guide, f"{name}: {variable}"


def test_prefect_is_the_locked_one(compose: Compose) -> None:
    lock = (ROOT / "requirements.runtime.lock").read_text()
    version = re.search(r"^prefect==(\S+)", lock, re.M)
    assert version is not None
    assert compose.services["prefect"].image.split(":")[1].startswith(f"{version[1]}-python")


def test_prefect_can_write_the_pages_it_serves(compose: Compose) -> None:
    """Its root is read-only, and without the copy it makes at its start it has no pages."""
    prefect = compose.services["prefect"]
    place = Path(str(prefect.environment["PREFECT_UI_STATIC_DIRECTORY"]))
    assert any(place.is_relative_to(folder.partition(":")[0]) for folder in prefect.tmpfs)


def test_the_image_is_of_this_version(compose: Compose) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', project, re.M)
    assert version is not None
    assert compose.services["ingest"].image == f"eletroposto:{version[1]}"


def test_the_runtime_lock_is_part_of_the_whole_lock() -> None:
    assert pins("requirements.runtime.lock") < pins("requirements.lock")


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.\[\]-]+==\S+)", (ROOT / name).read_text(), re.M))


# ------------------------------------------------------------------------------------ overrides


OVERRIDES = ["docker/tls.yml", "docker/client-certificates.yml"]


def merged(base: Any, over: Any) -> Any:
    """What Compose makes of two files: mappings key by key, lists one after the other."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base.get(key), value) for key, value in over.items()}
    return base + over if isinstance(base, list) and isinstance(over, list) else over


@pytest.fixture(scope="module")
def secured() -> Compose:
    """The compose file with all that may be put over it."""
    document: Any = {}
    for name in ["docker-compose.yml", *OVERRIDES]:
        document = merged(document, yaml.safe_load((ROOT / name).read_text()))
    return Compose.model_validate({k: v for k, v in document.items() if not k.startswith("x-")})


def test_what_is_put_over_it_changes_ingest_and_its_balancer_alone(
    compose: Compose, secured: Compose
) -> None:
    changed = {
        name for name in secured.services if secured.services[name] != compose.services[name]
    }
    assert secured.services.keys() == compose.services.keys()
    assert changed == {"ingest", "ingest-replica", "balancer"}


def test_every_replica_gets_the_same_certificate_and_can_read_it(secured: Compose) -> None:
    first, replica = secured.services["ingest"], secured.services["ingest-replica"]
    assert (first.environment, first.secrets) == (replica.environment, replica.secrets)
    asked = {name: value for name, value in first.environment.items() if "TLS_" in name}
    assert asked.pop("ELETROPOSTO_OCPP_TLS_PORT") == "9001"
    files = {*asked.values(), first.environment["ELETROPOSTO_PASSWORD_PEPPER_FILE"]}
    assert len(files) == 4
    assert {str(path).removeprefix("/run/secrets/") for path in files} < set(first.secrets)
    assert set(first.secrets) <= set(secured.secrets)
    guide = (ROOT / "docs/containers.md").read_text()
    for name in {*asked, "ELETROPOSTO_PASSWORD_PEPPER_FILE"}:
        assert f"`_{name.removeprefix('ELETROPOSTO_')}`" in guide, name


def test_what_is_published_over_tls_is_listened_on(secured: Compose) -> None:
    balanced = set(re.findall(r"^ *bind :(\d+)$", (ROOT / "docker/haproxy.cfg").read_text(), re.M))
    for name in ("ingest", "balancer"):
        published = {port.rpartition(":")[2] for port in secured.services[name].ports}
        assert published == {"9000", "9001"} == balanced, name


def test_variables_of_what_is_put_over_it_are_in_the_example() -> None:
    asked = {it for name in OVERRIDES for it in re.findall(r"\$\{(\w+)", (ROOT / name).read_text())}
    example = (ROOT / ".env.example").read_text()
    assert {name for name in asked if not re.search(rf"^{name}=", example, re.M)} == set()


def test_a_misspelt_key_would_be_found() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    document["services"]["ingest"]["depend_on"] = {}
    with pytest.raises(ValueError, match="depend_on"):
        Compose.model_validate({k: v for k, v in document.items() if not k.startswith("x-")})
