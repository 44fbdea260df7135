"""The credential of an integration, opened only in the executor, and masked in what comes back."""

import base64
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from accounts_app import crypto
from integrations_app.models import Integration
from integrations_app.states import AuthType


@dataclass(frozen=True, slots=True)
class Credential:
    """A scheme with its secrets; its representation shows none of them."""

    type: str
    values: Mapping[str, str] = field(repr=False)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is added to the request when it is sent."""
        if self.type == AuthType.BEARER:
            return (("Authorization", f"Bearer {self.values['token']}"),)
        if self.type == AuthType.BASIC:
            return (("Authorization", f"Basic {self._basic()}"),)
        if self.type == AuthType.HEADER:
            return ((self.values["name"], self.values["value"]),)
        return ()

    def secrets(self) -> tuple[str, ...]:
        """Every spelling of the secret that an answer could echo, longest first."""
        plain = [
            self.values[name] for name in ("token", "password", "value") if name in self.values
        ]
        found: set[str] = set()
        for secret in plain:
            found |= {
                secret,
                base64.b64encode(secret.encode()).decode(),
                base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
                urllib.parse.quote(secret, safe=""),
                urllib.parse.quote_plus(secret),
                json.dumps(secret)[1:-1],
            }
        if self.type == AuthType.BASIC:
            found.add(self._basic())
        return tuple(sorted(found, key=len, reverse=True))

    def _basic(self) -> str:
        pair = f"{self.values['username']}:{self.values['password']}"
        return base64.b64encode(pair.encode()).decode()


def open_credential(integration: Integration) -> Credential:
    """Decrypt the integration's credential.

    Raises:
        Unreadable: its key is gone, or it was altered.
    """
    if integration.auth_sealed is None:
        return Credential(AuthType.NONE, {})
    plain = crypto.unseal(integration.auth_sealed, place=f"integration.auth:{integration.pk}")
    values = json.loads(plain)
    return Credential(values.pop("type"), values)
