"""What is handed out for deployments fits the product, and what upgrades promise is kept."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import crossplane
import pytest
import yaml
from compose_spec import PyCompose
from django.conf import settings
from django.core.management import call_command

from config.celery import CALLS, SWEEPS, WEBHOOKS
from config.supervisor import commands
from tests.api_client import Api
from tests.conftest import World
from tests.harness.server import PROJECT

DEPLOY = PROJECT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RUN = (DEPLOY / "systemd" / "run").read_text()


def queues(text: str) -> set[str]:
    found = re.search(r'-Q[", ]+([a-z,]+)', text)
    return set(found.group(1).split(",")) if found else set()


@pytest.mark.parametrize("name", ["worker", "sweeper"])
def test_every_queue_is_served(name: str) -> None:
    (ours,) = [child for child in commands("h", 1, demo=False) if child.name == name]
    wanted = queues(" ".join(ours.command))
    assert queues(" ".join(COMPOSE["services"][name]["command"])) == wanted
    (line,) = [line for line in RUN.splitlines() if line.strip().startswith(f"{name})")]
    assert queues(line) == wanted
    assert wanted <= {CALLS, SWEEPS, WEBHOOKS}


def test_all_processes_of_the_supervisor_are_there() -> None:
    names = {child.name for child in commands("h", 1, demo=False)}
    assert names <= set(COMPOSE["services"])
    assert names == set(re.findall(r"^    (\w+)\) exec", RUN, re.MULTILINE))


def test_the_example_environment_names_what_exists_and_holds_no_secret() -> None:
    lines = (DEPLOY / "assent.env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    code = (PROJECT / "config" / "settings.py").read_text()
    code += (PROJECT / "config" / "celery.py").read_text()
    code += (PROJECT / "config" / "supervisor.py").read_text()
    for name in given:
        assert name in code or name.startswith(("POSTGRES_", "RABBITMQ_")), name
    assert not given["SECRET_KEY"]
    assert not given["ASSENT_ENCRYPTION_KEYS"]


def test_the_scripts_and_units_are_well_formed() -> None:
    subprocess.run(["sh", "-n", DEPLOY / "systemd" / "run"], check=True)
    unit = DEPLOY / "systemd" / "assent@.service"
    assert "NoNewPrivileges=yes" in unit.read_text()
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
        )
        complaints = [
            line
            for line in done.stderr.splitlines()
            if "assent@.service:" in line and "not executable" not in line
        ]
        assert complaints == []


def compose_is_valid(found: object) -> bool:
    try:
        PyCompose.from_json(json.dumps(found)).validate()
    except ValueError:
        return False
    return True


def test_the_compose_file_is_one() -> None:
    """By the Compose specification; the last ones show that the check can fail."""
    assert compose_is_valid(COMPOSE)
    services = COMPOSE["services"]
    for wrong in ({"stop_grace_perioud": "60s"}, {"restart": "perhaps"}, {"ports": [["443"]]}):
        web = {**services["web"], **wrong}
        assert not compose_is_valid({**COMPOSE, "services": {**services, "web": web}})
    for service in services.values():
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        named = {volume for volume in volumes if not volume.startswith(".")}
        assert named <= set(COMPOSE["volumes"])
        mounted = {volume for volume in volumes if volume.startswith("./")} - {"./certificates"}
        assert all((DEPLOY / volume).exists() for volume in mounted)
        assert set(service.get("depends_on", [])) <= set(services)
    dockerfile = services["web"]["build"]["dockerfile"]
    assert (PROJECT / dockerfile).exists()


def nginx_complaints(text: str, folder: Path) -> list[str]:
    """What is no directive, stands in the wrong place, or has the wrong number of arguments."""
    whole = folder / "nginx.conf"
    whole.write_text(f"events {{}}\nhttp {{\n{text}\n}}\n")
    return [error["error"] for error in crossplane.parse(str(whole), strict=True)["errors"]]


def test_the_nginx_example_is_one(tmp_path: Path) -> None:
    nginx = (DEPLOY / "nginx.conf").read_text()
    assert nginx_complaints(nginx, tmp_path) == []
    for right, wrong in (
        ("proxy_buffering", "proxy_bufering"),
        ("proxy_read_timeout 75s", "proxy_read_timeout 75s 3"),
        ("location / {", "upstream x {"),
    ):
        assert nginx_complaints(nginx.replace(right, wrong), tmp_path), wrong
    assert int(re.search(r"proxy_read_timeout (\d+)s", nginx).group(1)) > 60  # type: ignore[union-attr]
    assert "server web:8000;" in nginx
    assert "web" in COMPOSE["services"]


def test_dashboard_and_alerts_ask_for_figures_that_exist(world: World) -> None:
    world.refund(900).ok(201)
    given = set(re.findall(r"^(assent_\w+)", Api().get("/metrics").text, re.MULTILINE))
    dashboard = json.loads((DEPLOY / "grafana" / "assent.json").read_text())
    asked = {t["expr"] for panel in dashboard["panels"] for t in panel["targets"]}
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    asked |= {rule["expr"] for rule in rules}
    named = set(re.findall(r"assent_\w+", " ".join(asked)))
    assert named <= given, named - given


def test_what_the_pages_name_is_there() -> None:
    for page in ("operations.md", "threat-model.md"):
        text = (PROJECT / "docs" / page).read_text()
        for path in re.findall(r"`((?:deploy|tests)/[\w./@-]+)`", text):
            assert (PROJECT / path).exists(), path
        for command in re.findall(r"`manage\.py (\w+)", text):
            assert any(PROJECT.glob(f"*/management/commands/{command}.py")) or command == "migrate"


def test_check_deploy_is_clean(settings: object, capsys: pytest.CaptureFixture[str]) -> None:
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["assent.example.com"]
    settings.SECRET_KEY = "r7Yq" * 12 + "0pWz9kLm-5tGh3sXc"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    call_command("check", "--deploy", "--fail-level", "WARNING", "--tag", "security")


def test_cookies_and_headers(world: World, client: object) -> None:
    answer = client.get("/accounts/login/")
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    cookie = answer.cookies["csrftoken"]
    assert cookie["samesite"] == "Lax"
    assert settings.SESSION_COOKIE_HTTPONLY
