"""An answer of the API, read; the same for a test client and over the wire."""

import json
from typing import Any


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
