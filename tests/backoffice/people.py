"""Who looks at a page in the back office's tests."""

from django.test import Client

from accounts_app.models import User


def signed_in(username: str, *, checks_csrf: bool = False) -> Client:
    """A browser in which this person has signed in."""
    client = Client(enforce_csrf_checks=checks_csrf)
    client.force_login(
        User.objects.get(username=username), "django.contrib.auth.backends.ModelBackend"
    )
    return client
