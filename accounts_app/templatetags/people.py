"""How pages say roles, verbs and facts."""

import json
from typing import Any

from django import template

from accounts_app.backoffice import pages
from accounts_app.scoping import Actor
from accounts_app.services.audit import VERBS
from accounts_app.states import Channel, Role

register = template.Library()


@register.filter
def role_label(name: str) -> str:
    """The role as people read it."""
    return Role(name).label if name in Role.values else name


@register.filter
def channel_label(name: str) -> str:
    """The way in as people read it."""
    return Channel(name).label if name in Channel.values else name


@register.filter
def said(verb: str) -> str:
    """What a verb of the audit trail means."""
    return VERBS.get(verb, verb)


@register.filter
def pretty(facts: Any) -> str:
    """JSON for people; the template escapes it."""
    return json.dumps(facts, ensure_ascii=False, indent=1) if facts else "none"


@register.filter
def may_open(actor: Actor, page: str) -> bool:
    """Whether this person's roles lead to a page, so that a link to it is of use."""
    return pages.leads_to(actor, page)
