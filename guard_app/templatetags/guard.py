"""How the guard's pages lead from a number to what stands behind it."""

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from guard_app.models import Replay
from guard_app.states import ReplayStatus

register = template.Library()


@register.simple_tag
def behind(replay: Replay, which: str, number: int | None) -> str | SafeString:
    """A number of a replay, as a link to its calls once they are all found, while they are kept."""
    shown = intcomma(number or 0)
    if not number or replay.status != ReplayStatus.DONE or replay.hits_pruned_at:
        return shown
    address = reverse("admin:guard_replay_calls", args=[replay.pk, str(which)])
    return format_html('<a class="link" href="{}">{}</a>', address, shown)
