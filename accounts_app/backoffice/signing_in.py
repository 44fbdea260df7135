"""The one sign-in page, throttled by account and address together; and the forgotten password."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import method_decorator

if TYPE_CHECKING:
    from django.views import View

    class _LoginView(View):
        def get_form_kwargs(self) -> dict[str, Any]: ...
        def get_context_data(self, **more: Any) -> dict[str, Any]: ...

    axes_dispatch: Callable[..., Any]
    password_reset: Callable[..., HttpResponseBase]
else:
    from allauth.account.views import LoginView as _LoginView
    from allauth.account.views import password_reset
    from axes.decorators import axes_dispatch


@method_decorator(axes_dispatch, name="dispatch")
class SignInView(_LoginView):
    """User name and password, a second factor where one is set up, OpenID Connect beside it."""

    def get_form_kwargs(self) -> dict[str, Any]:
        """The field that people and scripts know as `username` is `login` to the library."""
        kwargs = super().get_form_kwargs()
        data = kwargs.get("data")
        if data is not None and "login" not in data:
            kwargs["data"] = data = data.copy()
            data["login"] = data.get("username", "")
        return kwargs

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return {**super().get_context_data(**more), "sends_mail": settings.ASSENT_MAIL}


def forgotten(request: HttpRequest) -> HttpResponseBase:
    """A link by mail, or who else can help where no mail is sent."""
    if not settings.ASSENT_MAIL:
        return render(request, "account/no_mail.html")
    return password_reset(request)


def attempted_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Whose account an attempt was for, whatever its case: what is counted."""
    given = credentials or {}
    name = given.get("username") or request.POST.get("username") or request.POST.get("login")
    return str(name or "").casefold()[:150]


sign_in: Callable[..., HttpResponseBase] = SignInView.as_view()
