"""The audit log: filtered, paged by keyset, verified, exported."""

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts_app.backoffice.forms import BackOfficeForm
from accounts_app.backoffice.lists import say_unread
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import in_utc
from accounts_app.models import Workspace
from accounts_app.selectors import AuditFilter, audit_entries, page_of_audit
from accounts_app.services.audit import VERBS, verify_one
from accounts_app.services.audit_export import FORMATS, export_audit
from accounts_app.states import Channel, Permission

READ = (Permission.READ_AUDIT, Permission.READ_OWN_AUDIT)
SIZE = 50


def _date(label: str) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, widget=widget)


class AuditForm(BackOfficeForm):
    """The filters, all in the address."""

    text = forms.CharField(label="Search", required=False, max_length=200)
    verb = forms.ChoiceField(label="What", required=False)
    channel = forms.ChoiceField(
        label="By way of", required=False, choices=[("", "Any"), *Channel.choices]
    )
    since = _date("From")
    until = _date("To")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["verb"]
        field.choices = [("", "Anything"), *((verb, verb) for verb in sorted(VERBS))]


def read(form: AuditForm) -> AuditFilter:
    """What is looked for; a filter that is nonsense finds what the others find."""
    form.is_valid()
    typed = form.cleaned_data
    until = typed.get("until")
    return AuditFilter(
        text=typed.get("text", ""),
        verb=typed.get("verb", ""),
        channel=typed.get("channel", ""),
        since=_midnight(typed.get("since")),
        until=_midnight(until, days_later=1),
    )


def _midnight(day: dt.date | None, *, days_later: int = 0) -> dt.datetime | None:
    """The start of a day in the reader's zone; None also for one at the edge of all times."""
    if day is None:
        return None
    try:
        day += dt.timedelta(days=days_later)
        return in_utc(dt.datetime.combine(day, dt.time(), timezone.get_current_timezone()))
    except (OverflowError, ValueError):
        return None


@register("audit/", "audit")
class AuditPage(Page):
    """What happened here: everything for who may read it all, else one's own acts."""

    title = "Audit log"
    template_name = "accounts_app/audit.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = AuditForm(request.GET or None)
        rows = audit_entries(self.actor, read(AuditForm(request.GET)))
        numbers = dict.fromkeys(("before", "after"), ("the place in the list", str.isdigit))
        refused = {name: (f"“{form[name].label}”", lambda _: False) for name in form.errors}
        say_unread(request, {**numbers, **refused})
        before, after = _number(request, "before"), _number(request, "after")
        found = page_of_audit(rows, before=before, after=after, size=SIZE)
        more = len(found) > SIZE
        shown = found[1:] if after is not None and more else found[:SIZE]
        has_newer = more if after is not None else before is not None
        has_older = True if after is not None else more
        return self.render(
            form=form,
            rows=shown,
            verbs=VERBS,
            newer=_address(request, "after", shown[0].sequence) if has_newer and shown else "",
            older=_address(request, "before", shown[-1].sequence) if has_older and shown else "",
            filters=request.GET.urlencode(),
            reads_all=self.actor.can(Permission.READ_AUDIT),
            may_export=self.actor.can(Permission.EXPORT_AUDIT),
        )


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _address(request: HttpRequest, name: str, sequence: int) -> str:
    query = request.GET.copy()
    for other in ("before", "after"):
        query.pop(other, None)
    query[name] = str(sequence)
    return f"?{query.urlencode()}"


@register("audit/verify/", "audit_verify")
class AuditVerifyPage(Page):
    """Recomputes the workspace's chain and says whether it holds."""

    permissions = (Permission.READ_AUDIT,)
    parents = (("Audit log", "admin:audit"),)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        workspace = Workspace.objects.get(pk=self.actor.workspace_id)
        broken = verify_one(workspace)
        said = f"Entry {broken.sequence} {broken.reason}." if broken else ""
        return self.render(
            template="accounts_app/audit_verified.html", title="The chain verified", broken=said
        )


@register("audit/export/", "audit_export")
class AuditExportPage(Page):
    """The filtered log as a file; a POST, because the export itself is written down."""

    permissions = (Permission.EXPORT_AUDIT,)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        kind = request.POST.get("format", "")
        kind = kind if kind in FORMATS else "jsonl"
        parts = export_audit(self.actor, read(AuditForm(request.GET)), kind)
        answer = StreamingHttpResponse(parts, content_type=FORMATS[kind])
        day = timezone.now().strftime("%Y-%m-%d")
        answer["Content-Disposition"] = f'attachment; filename="audit-{day}.{kind}"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer
