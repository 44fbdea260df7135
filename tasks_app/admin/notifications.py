"""What a person is told, how and when; and for admins, whom messages do not reach."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.pages import Page, register
from accounts_app.states import Permission
from tasks_app.notice_times import DIGEST_CHOICES
from tasks_app.selectors import notices_by_member, notices_of
from tasks_app.services.notification_settings import (
    Choices,
    add_address,
    choose,
    kinds_for,
    may_be_mailed,
    remove_address,
    send_test,
    services_allowed,
    settings_of,
    times_of,
)
from tasks_app.states import NoticeKind, NoticeTime

PAGE = "admin:notifications"
_PREFIX = "time_"


class NotificationsForm(BackOfficeForm):
    """A choice for each kind, the quiet hours and the digest."""

    members = {f"times.{kind}": f"{_PREFIX}{kind}" for kind in NoticeKind}

    email = forms.BooleanField(label="By e-mail", required=False)
    quiet_from = forms.TimeField(
        required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    quiet_to = forms.TimeField(
        label="Quiet until",
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="Between these two nothing is sent; what comes is kept for their end.",
    )
    digest_minutes = forms.TypedChoiceField(
        label="The digest comes", choices=DIGEST_CHOICES, coerce=int
    )
    digest_at = forms.TimeField(
        label="A daily digest comes at",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )

    def __init__(self, *args: Any, kinds: list[NoticeKind], mailed: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        for kind in kinds:
            name = f"{_PREFIX}{kind}"
            self.fields[name] = forms.ChoiceField(label=kind.label, choices=NoticeTime.choices)
        if not mailed:
            del self.fields["email"]

    @property
    def kinds(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(_PREFIX)]

    @property
    def choices(self) -> Choices:
        """What was chosen, of a form that is valid."""
        chosen = self.cleaned_data
        return Choices(
            email=chosen.get("email"),
            times={
                name.removeprefix(_PREFIX): value
                for name, value in chosen.items()
                if name.startswith(_PREFIX)
            },
            quiet_from=chosen["quiet_from"],
            quiet_to=chosen["quiet_to"],
            digest_minutes=chosen["digest_minutes"],
            digest_at=chosen["digest_at"],
        )


class AddressForm(BackOfficeForm):
    address = forms.CharField(
        max_length=500,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "slack://…"}
        ),
    )


@register("profile/notifications/", "notifications")
class NotificationsPage(FormPage):
    """Channels, how soon by kind, quiet hours, and what became of the last messages."""

    title = "Notifications"
    template_name = "tasks_app/notifications.html"
    form_class = NotificationsForm
    parents = (("Profile", "admin:profile"),)

    def build_form(self, data: Any) -> BackOfficeForm:
        row = settings_of(self.actor)
        kinds = kinds_for(self.actor)
        times = times_of(row)
        initial = {
            "email": row.email is not False,
            "quiet_from": row.quiet_from,
            "quiet_to": row.quiet_to,
            "digest_minutes": row.digest_minutes,
            "digest_at": row.digest_at,
            **{f"{_PREFIX}{kind}": times.time_of(kind) for kind in kinds},
        }
        mailed = may_be_mailed(row)
        return NotificationsForm(data, initial=initial, kinds=kinds, mailed=mailed)

    def more(self) -> dict[str, Any]:
        row = settings_of(self.actor)
        return {
            "chosen": row,
            "zone": row.member.user.time_zone.replace("_", " "),
            "address_form": AddressForm(auto_id="address_%s"),
            "services": services_allowed(),
            **_sent(self),
        }

    def save(self, form: BackOfficeForm) -> str:
        assert isinstance(form, NotificationsForm)  # as built
        choose(self.actor, form.choices)
        return "Your notifications are saved."


def _sent(page: Page) -> dict[str, Any]:
    sent = notices_of(page.actor)
    return {"sent": sent, "is_underway": any(row.is_underway for row in sent)}


@register("profile/notifications/sent/", "notifications_sent")
class SentPart(Page):
    """What became of the last messages, asked for while one is on its way."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.part("tasks_app/parts/notifications_sent.html", **_sent(self))


@register("profile/notifications/test/", "notifications_test")
class TestPage(Page):
    """Sends a test by every channel."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        def do() -> str:
            send_test(self.actor)
            return "A test is on its way; what becomes of it shows below."

        return self.act(do, then=reverse(PAGE))


@register("profile/notifications/addresses/add/", "notifications_address_add")
class AddressAddPage(FormPage):
    """Adds an address; what is typed is never shown again."""

    title = "Add an address"
    template_name = "accounts_app/form_page.html"
    form_class = AddressForm
    parents = (("Profile", "admin:profile"), ("Notifications", PAGE))

    def save(self, form: BackOfficeForm) -> str:
        shown = add_address(self.actor, form.cleaned_data["address"])
        return f"{shown} is added. Send a test to see that it arrives."

    def more(self) -> dict[str, Any]:
        return {"button": "Add the address"}

    def next_page(self) -> str:
        return reverse(PAGE)


@register("profile/notifications/addresses/remove/", "notifications_address_remove")
class AddressRemovePage(Page):
    """Removes one of one's own addresses."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        def do() -> str:
            return f"{remove_address(self.actor, request.POST.get('id', ''))} is removed."

        return self.act(do, then=reverse(PAGE))


@register("members/notifications/", "member_notifications")
class MemberNotificationsPage(Page):
    """Whom messages of the last 30 days did not reach, in numbers: for workspace admins."""

    title = "Notifications of members"
    template_name = "tasks_app/member_notifications.html"
    permissions = (Permission.MANAGE_WORKSPACE,)
    parents = (("Members", "admin:members"),)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.render(members=notices_by_member(self.actor))
