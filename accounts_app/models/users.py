from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in; what they may do is said by their memberships."""

    @property
    def identities(self) -> frozenset[str]:
        """The names by which a participant can mean this person, case-folded."""
        return frozenset(text.casefold() for text in (self.username, self.email) if text)
