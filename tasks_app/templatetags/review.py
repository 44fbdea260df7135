"""How the pages of this part write times and what an agent wrote."""

import datetime as dt
import re

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts_app.clock import db_now
from accounts_app.models import AuditEntry
from accounts_app.services.audit import VERBS
from tasks_app.admin.text import one_line, visible

register = template.Library()
register.filter("visible", visible)
register.filter("one_line", one_line)
_CODE_POINT = re.compile(r"(⟦U\+[0-9A-F]{4,6}⟧)")
_STEPS = ((86_400 * 365, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"))


def relative(moment: dt.datetime, now: dt.datetime) -> str:
    """How long ago or from now, in its greatest unit; the script writes it the same way."""
    seconds = (moment - now).total_seconds()
    for size, name in _STEPS:
        count = int(abs(seconds) // size)
        if count:
            text = f"{count} {name}{'s' if count > 1 else ''}"
            return f"in {text}" if seconds > 0 else f"{text} ago"
    return "in less than a minute" if seconds > 0 else "just now"


@register.simple_tag(takes_context=True)
def when(context: template.Context, moment: dt.datetime | None) -> SafeString | str:
    """A time, relative; absolute on hover, in the zone of whoever reads."""
    if moment is None:
        return ""
    now = context.get("now")
    if not isinstance(now, dt.datetime):
        now = db_now()
        context["now"] = now
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{local:%a %d %b %Y, %H:%M:%S} {local.tzname()}",
        relative(moment, now),
    )


@register.simple_tag(takes_context=True)
def standing_on(context: template.Context) -> str:
    """The page on which a card stands: where its form leads back to, by whomever the card was made.

    A card that comes by itself, or in the answer to a form, has an address of its own, which is no
    page.
    """
    request = context["request"]
    page = str(request.headers.get("HX-Current-URL", ""))
    if page:
        return "/" + page.split("#")[0].partition("//")[2].partition("/")[2]
    if request.method == "POST":
        return str(request.POST.get("then", ""))
    return str(request.get_full_path())


@register.filter
def as_length(seconds: float) -> str:
    """A length of time in its two greatest units, down to seconds."""
    left, parts = int(seconds), []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


@register.filter
def marked(text: str) -> SafeString:
    """A visible text in which the written-out code points catch the eye; all of it escaped."""
    parts = enumerate(_CODE_POINT.split(text))
    marks = (("code-point" if index % 2 else "", part) for index, part in parts if part)
    return format_html_join("", '<span class="{}">{}</span>', marks)


@register.filter
def verb_text(entry: AuditEntry) -> str:
    """What was done, in words."""
    return VERBS.get(entry.verb, entry.verb)
