"""How people sign in here: nobody signs up, and nobody is let in who is no member."""

from smtplib import SMTPException
from typing import TYPE_CHECKING, Any

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from accounts_app import crypto
from accounts_app.models import User

if TYPE_CHECKING:

    class _AccountAdapter:
        def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None: ...

    class _SocialAdapter: ...

    class _SecondFactorAdapter: ...

else:
    from allauth.account.adapter import DefaultAccountAdapter as _AccountAdapter
    from allauth.mfa.adapter import DefaultMFAAdapter as _SecondFactorAdapter
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

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that does not answer is written to the log, and shown to nobody."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as failure:
            _log.warning("mail_not_sent", what=template_prefix, error=repr(failure))


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
