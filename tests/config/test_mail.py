"""The address of the mail server, read once and refused where it cannot be."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.checks import check_settings
from config.mail import DROPPED, mail_settings


def test_without_an_address_nothing_is_sent() -> None:
    assert mail_settings("") == {"EMAIL_BACKEND": DROPPED}


def test_user_password_and_port_are_read() -> None:
    read = mail_settings("smtp://me%40example.com:p%2Fw@mail.example.com:587?tls=1")
    assert (read["EMAIL_HOST"], read["EMAIL_PORT"]) == ("mail.example.com", 587)
    assert (read["EMAIL_HOST_USER"], read["EMAIL_HOST_PASSWORD"]) == ("me@example.com", "p/w")
    assert (read["EMAIL_USE_TLS"], read["EMAIL_USE_SSL"]) == (True, False)


def test_smtps_speaks_tls_from_the_start() -> None:
    read = mail_settings("smtps://mail.example.com")
    assert (read["EMAIL_PORT"], read["EMAIL_USE_SSL"], read["EMAIL_USE_TLS"]) == (465, True, False)


@pytest.mark.parametrize("address", ["http://x", "smtp://", "smtp://host:port", "mail"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        mail_settings(address)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ASSENT_NOTIFY_SCHEMES", ("slack", "carrier-pigeon"), "assent.E006"),
        ("ASSENT_NOTIFY_PRIVATE", ("chat.internal",), "assent.E007"),
    ],
)
def test_messengers_that_cannot_be_are_named(
    settings: object, name: str, value: tuple[str, ...], code: str
) -> None:
    assert check_settings(None) == []
    setattr(settings, name, value)
    assert [found.id for found in check_settings(None)] == [code]
