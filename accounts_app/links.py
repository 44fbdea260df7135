"""Where in the back office an object is shown; the member `url` of the contract."""

from django.conf import settings

PATHS = {
    "task": "/admin/review/tasks/{}/",
    "tool_call": "/admin/review/calls/{}/",
    "run": "/admin/review/runs/{}/",
    "incident": "/admin/guard/incidents/{}/",
    "session": "/admin/review/sessions/{}/",
    "queue": "/admin/review/approvals/",
    "notifications": "/admin/profile/notifications/",
}


def page_path(kind: str, identity: object) -> str:
    """The path of the page that shows this object."""
    return PATHS[kind].format(identity)


def page_url(kind: str, identity: object, *, workspace: str = "") -> str:
    """The absolute address of that page, where no request says how we are reached.

    Args:
        kind: a name of `PATHS`.
        identity: the id of the object; empty where the page is of none.
        workspace: its slug, for a page that is of no object: whoever follows the link may be in
            another one.
    """
    base: str = settings.ASSENT_URL or settings.ASSENT_LOCAL_URL
    query = f"?workspace={workspace}" if workspace else ""
    return base + page_path(kind, identity) + query
