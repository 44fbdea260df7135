from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in; what they may do is said by their memberships."""

    time_zone = models.CharField(max_length=60, default="UTC", help_text="Of times on pages.")

    @property
    def identities(self) -> frozenset[str]:
        """The names by which a participant can mean this person, case-folded."""
        return frozenset(text.casefold() for text in (self.username, self.email) if text)
