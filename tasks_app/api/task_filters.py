"""By what tasks can be found."""

import django_filters
from django.db.models import Q, QuerySet
from django.http import QueryDict

from accounts_app.api.filters import IdFilter, Moment, OneOf
from accounts_app.api.paging import NEWEST_FIRST, Order
from accounts_app.errors import FieldError, Invalid
from tasks_app.models import UserTask
from tasks_app.states import GROUPS, Kind, TaskStatus

ORDERS = {
    "-created_at": NEWEST_FIRST,
    "created_at": Order("created_at", descending=False),
    "due_at": Order("due_or_never", descending=False),
}


class TaskFilter(django_filters.FilterSet):
    status = OneOf(choices=TaskStatus.choices)
    kind = django_filters.CharFilter(method="by_kind")
    group = OneOf(choices=[(name, name) for name in GROUPS], method="by_group")
    agent = django_filters.CharFilter(field_name="agent__slug")
    session = IdFilter(field_name="session")
    run = IdFilter(field_name="run")
    participant = django_filters.CharFilter(lookup_expr="iexact")
    outcome = django_filters.CharFilter(field_name="action")
    timed_out = OneOf(choices=[("true", "true"), ("false", "false")], method="by_timed_out")
    q = django_filters.CharFilter(method="by_text")
    due_before = Moment(field_name="due_at", lookup_expr="lt")
    created_after = Moment(field_name="created_at", lookup_expr="gte")
    created_before = Moment(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = UserTask
        fields: tuple[str, ...] = ()

    def by_kind(self, rows: QuerySet[UserTask], _: str, __: str) -> QuerySet[UserTask]:
        given = self.data.getlist("kind") if isinstance(self.data, QueryDict) else []
        names = [name for text in given for name in text.split(",")]
        unknown = [name for name in names if name not in Kind.values]
        if unknown:
            detail = f"Choose from {', '.join(Kind.values)}."
            raise Invalid([FieldError("kind", "invalid_value", detail)])
        return rows.filter(kind__in=names)

    def by_group(self, rows: QuerySet[UserTask], _: str, name: str) -> QuerySet[UserTask]:
        return rows.filter(kind__in=GROUPS[name])

    def by_timed_out(self, rows: QuerySet[UserTask], _: str, text: str) -> QuerySet[UserTask]:
        return rows.filter(timed_out=text == "true")

    def by_text(self, rows: QuerySet[UserTask], _: str, text: str) -> QuerySet[UserTask]:
        if "\0" in text:
            raise Invalid([FieldError("q", "invalid_value", "Must not contain NUL.")])
        # Each of these is served by the trigram index on PostgreSQL.
        return rows.filter(
            Q(title__icontains=text)
            | Q(description__icontains=text)
            | Q(key__icontains=text)
            | Q(participant__icontains=text)
        )
