from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in; what they may do is said by their memberships."""
