"""What an address that the contract does not have answers."""

import json

import pytest
from django.test import Client


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/runs/x/nothing", "/api/v1/tasks/"])
def test_it_is_not_found_whatever_the_method(method: str, path: str) -> None:
    """Clients send no cookie and no CSRF token, so that must not be what they are told about."""
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.content)["code"] == "not_found"
