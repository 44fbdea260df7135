"""What an address that the contract does not have answers."""

import json

import pytest
from django.http import Http404
from django.test import Client, RequestFactory

from config.problems import page_not_found
from tests.conftest import Cast


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/runs/x/nothing", "/api/v1/tasks/"])
def test_it_is_not_found_whatever_the_method(method: str, path: str, cast: Cast) -> None:
    """Clients send no cookie and no CSRF token, so that must not be what they are told about."""
    client = Client(enforce_csrf_checks=True)
    with_a_key = {"Authorization": f"Bearer {cast.key()}"}
    for headers, status, code in (
        (with_a_key, 404, "not_found"),
        ({}, 401, "not_authenticated"),
    ):
        answer = getattr(client, method)(path, headers=headers)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["code"] == code


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v2/tasks", "/healthz/", "/readyz/"])
def test_beside_the_contract_callers_are_told_in_their_way(path: str, cast: Cast) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.content)["code"] == "not_found"
    page = Client().get("/nowhere")
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/healthz", "/readyz", "/metrics"])
def test_another_host_is_refused_as_everything_is(path: str, cast: Cast) -> None:
    headers = {"Authorization": f"Bearer {cast.key()}", "Host": "elsewhere.example"}
    answer = Client().get(path, headers={**headers, "X-Request-ID": "r1"})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == "r1"
    assert json.loads(answer.content)["code"] == "disallowed_host"
    page = Client().get("/", headers=headers)
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_what_nobody_foresaw_is_a_problem_document_for_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("accounts_app.api.authentication.authenticate", fail)
    client = Client(raise_request_exception=False)
    answer = client.get("/api/v1/tasks", headers={"Authorization": "Bearer assent_x_y"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.content)["code"] == "server_error"
    assert b"canary" not in answer.content
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_is_only_asked(method: str, path: str) -> None:
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.content)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["*", ""])
def test_a_target_that_is_no_path_is_not_found_either(path: str) -> None:
    request = RequestFactory().options("/")
    request.path = path
    assert page_not_found(request, Http404()).status_code == 404
