"""A small client for tests: a key, JSON in and out."""

import json
from typing import Any

from django.test import Client

from tests import contract_check


class Api:
    """Speaks to the API with one key, and checks every answer against the OpenAPI document.

    Args:
        token: the key; empty sends none.
        checked: whether answers are checked; requests that no client would make need not be.
    """

    def __init__(self, token: str = "", *, checked: bool = True) -> None:
        self.checked = checked
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> "Answer":
        data = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        path = path.removeprefix("http://testserver")
        url = path if path.startswith("/") else f"/api/v1/{path}"
        sent = {**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}}
        response = self.client.generic(
            method,
            url,
            data,
            content_type=sent.pop("Content-Type", "application/json"),
            headers=sent,
        )
        answer = Answer(response)
        if self.checked:
            contract_check.check(method, url, data, answer)
        return answer

    def get(self, path: str, **headers: str) -> "Answer":
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> "Answer":
        return self.ask("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> "Answer":
        return self.ask("PATCH", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> "Answer":
        return self.ask("PUT", path, body, **headers)


class Answer:
    """A response, read."""

    def __init__(self, response: Any) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.text = response.content.decode()
        is_json = "json" in response.headers.get("Content-Type", "")
        self.json = json.loads(self.text) if is_json and self.text else None

    def __getitem__(self, name: str) -> Any:
        return self.json[name]

    def __repr__(self) -> str:
        return f"{self.status} {self.text[:600]}"

    @property
    def code(self) -> str:
        return str(self.json.get("code", ""))

    def refused(self, status: int, code: str, field: str | None = None) -> "Answer":
        """Assert that this is the refusal meant."""
        assert (self.status, self.code) == (status, code), self
        assert self.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "code"} <= self.json.keys()
        if field is not None:
            assert field in [error["field"] for error in self["errors"]], self
        return self

    def ok(self, status: int = 200) -> "Answer":
        assert self.status == status, self
        return self
