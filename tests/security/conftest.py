"""What the tests of attacks share."""

import httpcore2
import pytest


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that is connected to; nothing really is."""
    tried: list[str] = []

    def connect(self: object, host: str, port: int, *_: object, **__: object) -> None:
        tried.append(f"{host}:{port}")
        raise httpcore2.ConnectError("not in tests")

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect)
    return tried
