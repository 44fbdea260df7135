"""Encryption at rest with rotating keys; a ciphertext is good for one row only.

The keys (`ASSENT_ENCRYPTION_KEYS`, newest first) are apart from SECRET_KEY and from the
database. What is sealed carries the name of its place, so that a ciphertext copied into another
row does not open there.
"""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(ValueError):
    """The ciphertext was altered, belongs to another row, or its key is gone."""


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _current() -> MultiFernet:
    return _fernet(tuple(settings.ASSENT_ENCRYPTION_KEYS))


def seal(plain: bytes, *, place: str) -> bytes:
    """Encrypt with the newest key.

    Args:
        plain: what must not be readable at rest.
        place: table, column and row id, for instance `tool_call.request:0190…`.
    """
    return _current().encrypt(place.encode() + b"\0" + plain)


def unseal(token: bytes | memoryview, *, place: str) -> bytes:
    """Decrypt with whichever key it was made.

    Raises:
        Unreadable: altered, of another place, or made with a key that is not configured.
    """
    try:
        content = _current().decrypt(bytes(token))
    except InvalidToken as error:
        raise Unreadable(f"What is stored for {place} cannot be decrypted.") from error
    found, _, plain = content.partition(b"\0")
    if found != place.encode():
        raise Unreadable(f"What is stored for {place} belongs to another row.")
    return plain


def rotate(token: bytes) -> bytes:
    """Encrypt anew with the newest key, keeping place and content."""
    return _current().rotate(bytes(token))
