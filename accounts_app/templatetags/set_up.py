"""Where the set-up of a second factor leads on to."""

from typing import Any

from django import template

from accounts_app.backoffice.middleware import WANTED
from accounts_app.models import User
from accounts_app.services.profile import has_second_factor

register = template.Library()


@register.simple_tag(takes_context=True)
def wanted_page(context: template.Context) -> str:
    """The page of the back office that the set-up stood before; empty until it is done."""
    request: Any = context["request"]
    wanted = str(request.session.get(WANTED, ""))
    if wanted and isinstance(request.user, User) and has_second_factor(request.user):
        return wanted
    return ""
