"""A small client for tests: a key, JSON in and out."""

import json
from typing import Any

from django.test import Client

from tests import contract_check
from tests.answers import Answer


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

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
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

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("PATCH", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("PUT", path, body, **headers)
