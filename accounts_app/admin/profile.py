"""What people see and choose about themselves, and the workspace that they work in."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts_app.backoffice.forms import BackOfficeForm, FormPage, time_zones
from accounts_app.backoffice.pages import Page, register
from accounts_app.backoffice.requests import WORKSPACE
from accounts_app.errors import Forbidden, NotFound
from accounts_app.models import Membership, User
from accounts_app.services.profile import change_profile, has_second_factor
from accounts_app.services.switching import choose_workspace

FIELDS = ("first_name", "last_name", "time_zone")


def signed_in_user(request: HttpRequest) -> User:
    """The person of this request.

    Raises:
        Forbidden: nobody.
    """
    if not isinstance(request.user, User):
        raise Forbidden("Sign in first.")
    return request.user


class ProfileForm(BackOfficeForm):
    first_name = forms.CharField(required=False, max_length=150)
    last_name = forms.CharField(required=False, max_length=150)
    time_zone = forms.ChoiceField(
        choices=time_zones, help_text="Every time on these pages is shown in it."
    )


@register("profile/", "profile")
class ProfilePage(FormPage):
    """Name, time zone, and the ways to a second factor and another password."""

    title = "Profile"
    template_name = "accounts_app/profile.html"
    form_class = ProfileForm

    def initial(self) -> dict[str, Any]:
        user = signed_in_user(self.request)
        return {name: getattr(user, name) for name in FIELDS}

    def more(self) -> dict[str, Any]:
        user = signed_in_user(self.request)
        rows = Membership.objects.filter(user=user, is_active=True).select_related("workspace")
        return {"second_factor": has_second_factor(user), "memberships": rows}

    def save(self, form: BackOfficeForm) -> str:
        change_profile(self.actor, **form.cleaned_data)
        return "Your profile is saved."


@register("workspaces/switch/", "workspace_switch")
class WorkspaceSwitchPage(Page):
    """Goes to another workspace of this person; nothing of the one before is kept."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            wanted = UUID(request.POST.get("workspace", ""))
        except ValueError as error:
            raise NotFound("There is no such workspace.") from error
        workspace = choose_workspace(signed_in_user(request), wanted)
        list(messages.get_messages(request))  # those of the other workspace are not for here
        request.session[WORKSPACE] = str(workspace.pk)
        first, then = reverse("admin:index"), request.POST.get("next", "")
        ours = then.startswith(first) and url_has_allowed_host_and_scheme(then, allowed_hosts=None)
        return HttpResponseRedirect(then if ours else first)
