"""How people sign in here: nobody signs up, and nobody is let in who is no member."""

from collections.abc import Callable
from smtplib import SMTPException
from typing import TYPE_CHECKING, Any

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib import messages
from django.dispatch import Signal, receiver
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from accounts_app import crypto
from accounts_app.models import User
from accounts_app.services.sign_ins import (
    FIRST_REFUSED,
    SECOND_REFUSED,
    record_refusal,
    record_sign_in,
)

if TYPE_CHECKING:

    class _AccountAdapter:
        def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None: ...

        def login(self, request: HttpRequest, user: User) -> None: ...

        def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None: ...

    class _SocialAdapter: ...

    class _SecondFactorAdapter: ...

    get_authentication_records: Callable[[HttpRequest, User], list[dict[str, Any]]]
    second_factor_failed: Signal

else:
    from allauth.account.adapter import DefaultAccountAdapter as _AccountAdapter
    from allauth.account.authentication import get_authentication_records
    from allauth.mfa.adapter import DefaultMFAAdapter as _SecondFactorAdapter
    from allauth.mfa.signals import authentication_failed as second_factor_failed
    from allauth.socialaccount.adapter import DefaultSocialAccountAdapter as _SocialAdapter

_log = structlog.get_logger()


class AccountAdapter(_AccountAdapter):
    """Accounts are made by workspace admins; wrong passwords are counted by axes, in the rows."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        # Axes counts by account and address together; a count by account alone would let
        # anybody lock anybody out.
        return None

    def login(self, request: HttpRequest, user: User) -> None:
        """Called once everything that is asked for was given, the second factor included."""
        super().login(request, user)
        methods = [record.get("method", "") for record in get_authentication_records(request, user)]
        facts = {"address": _address(request), "by": methods}
        record_sign_in(user, facts=facts, request_id=getattr(request, "request_id", ""))

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        super().authentication_failed(request, **credentials)
        name = str(credentials.get("username") or "")
        user = User.objects.filter(username__iexact=name).first() if name else None
        if user is not None:
            _refused(request, user, FIRST_REFUSED)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that does not answer is written to the log, and shown to nobody."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as failure:
            _log.warning("mail_not_sent", what=template_prefix, error=repr(failure))


def _refused(request: HttpRequest, user: User, verb: str) -> None:
    request_id = getattr(request, "request_id", "")
    record_refusal(user, verb, facts={"address": _address(request)}, request_id=request_id)


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


@receiver(second_factor_failed)
def on_wrong_second_factor(request: HttpRequest, user: User, **_: Any) -> None:
    """The library's one place that says so, whichever form it was typed into."""
    _refused(request, user, SECOND_REFUSED)


class SocialAdapter(_SocialAdapter):
    """Through OpenID Connect come members alone, known by an e-mail that the provider verified."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Connect a first sign-in to the one member who has this e-mail.

        Raises:
            ImmediateHttpResponse: back to the sign-in page, where there is no such member.
        """
        if sociallogin.is_existing:
            return
        user = _member_of(sociallogin)
        if user is None:
            _log.warning("oidc_refused", provider=sociallogin.account.provider)
            text = "No member here has the verified e-mail of that account. Ask a workspace admin."
            messages.error(request, text)
            raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
        sociallogin.connect(request, user)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Back to the sign-in page with a plain sentence; the log has the reason."""
        _log.warning("oidc_failed", error=str(error), exception=repr(exception))
        messages.error(request, "The sign-in there did not work. Try again, or use your password.")
        raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))


def _member_of(sociallogin: Any) -> User | None:
    """The one active member of any workspace with a verified e-mail of the foreign account."""
    emails = [address.email for address in sociallogin.email_addresses if address.verified]
    found = [
        user
        for email in emails
        for user in User.objects.filter(
            email__iexact=email, is_active=True, memberships__is_active=True
        ).distinct()[:2]
    ]
    return found[0] if len({user.pk for user in found}) == 1 else None


class SecondFactorAdapter(_SecondFactorAdapter):
    """Secrets of second factors are encrypted at rest, like every other."""

    def encrypt(self, text: str) -> str:
        return crypto.seal(text.encode(), place="second_factor").decode()

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.unseal(encrypted_text.encode(), place="second_factor").decode()

    def get_totp_issuer(self) -> str:
        return "Assent"
