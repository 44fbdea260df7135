"""A real OpenID Connect provider in a process of its own: authorization code, PKCE, signed tokens.

It answers at `localhost` and the product at `127.0.0.1`, because cookies know no ports.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.harness.server import PROJECT, START_SECONDS, free_port

CLIENT, SECRET, PASSWORD = "assent", "a secret of two parties", "correct-horse-battery"


class IdentityProvider:
    """Knows people who may or may not be members.

    Args:
        folder: for its database.
        product: the address of the product, which it sends browsers back to.
        people: user names, each with their e-mail and whether that was verified.
    """

    def __init__(self, folder: Path, product: str, people: dict[str, tuple[str, bool]]) -> None:
        self.port = free_port()
        self.log = folder / "identity.log"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.harness.identity_settings",
            "IDENTITY_DATABASE": str(folder / "identity.sqlite3"),
            "IDENTITY": json.dumps({"port": self.port, "product": product, "people": people}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> "IdentityProvider":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.identity"],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                where = f"{self.url}/.well-known/openid-configuration"
                if httpx2.get(where, timeout=5, trust_env=False).is_success:
                    return self
            except httpx2.TransportError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"The provider did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def serve(port: int, product: str, people: dict[str, tuple[str, bool]]) -> None:
    """Write the people and the one client down, and answer for ever."""
    import django

    django.setup()
    from allauth.account.models import EmailAddress
    from allauth.idp.oidc.models import Client
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name, (email, is_verified) in people.items():
        user = User.objects.create_user(name, email, PASSWORD)
        EmailAddress.objects.create(user=user, email=email, verified=is_verified, primary=True)
    client = Client(id=CLIENT, name="Assent", skip_consent=True)
    client.set_secret(SECRET)
    client.set_scopes(["openid", "profile", "email"])
    client.set_redirect_uris([f"{product}/accounts/oidc/oidc/login/callback/"])
    client.save()
    call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, skip_checks=True)


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(os.environ["IDENTITY"])
    serve(given["port"], given["product"], given["people"])
