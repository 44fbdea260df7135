"""Where in the back office an object is shown; the member `url` of the contract."""

PATHS = {
    "task": "/admin/review/tasks/{}/",
    "tool_call": "/admin/review/calls/{}/",
    "run": "/admin/review/runs/{}/",
    "session": "/admin/review/sessions/{}/",
}


def page_path(kind: str, identity: object) -> str:
    """The path of the page that shows this object."""
    return PATHS[kind].format(identity)
