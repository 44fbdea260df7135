"""What an address that the contract does not have answers."""

import json

import pytest
from django.test import Client

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
