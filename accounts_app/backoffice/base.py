"""Model pages for finding and reading: nothing is added, changed or deleted through them.

Django's own model pages show and change more than a tenant may see: a drop-down, a filter, a
look-up in the address or a custom action each went past `get_queryset`. Here they are closed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from accounts_app.backoffice.requests import actor_of
from accounts_app.errors import Forbidden
from accounts_app.states import Permission

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin as _ModelAdmin

MAX_SEARCH_WORDS = 10


class SafeModelAdmin(_ModelAdmin):
    """A read-only model page over the rows that its reader may see.

    Attributes:
        view_permissions: any one of them is needed.
        shown: the fields of the detail page; nothing else is read.
    """

    view_permissions: ClassVar[tuple[Permission, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50
    show_full_result_count = False
    actions = None
    list_filter_submit = False
    compressed_fields = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Only visible rows; this stands between every list, search and page and the table."""
        manager: Any = self.model._default_manager
        rows: QuerySet[Any] = manager.get_queryset().visible_to(actor_of(request))
        return rows.order_by(*self.get_ordering(request)) if self.get_ordering(request) else rows

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.shown

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only the page's own filters: any other look-up can ask for a secret, letter by letter."""
        return any(lookup == name for name in self.filter_lookups())

    def filter_lookups(self) -> set[str]:
        """The look-ups that the filters of this page use."""
        names: set[str] = set()
        for item in self.list_filter:
            if isinstance(item, str):
                names |= {item, f"{item}__exact", f"{item}__isnull"}
        return names

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        words = search_term.replace("\0", "").split()[:MAX_SEARCH_WORDS]
        return super().get_search_results(request, queryset, " ".join(words))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        try:
            actor = actor_of(request)
        except Forbidden:
            return False
        return any(actor.can(permission) for permission in self.view_permissions)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest | None, **kwargs: Any
    ) -> Any:
        return None

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        raise PermissionDenied("Rows are not changed through model pages.")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        raise PermissionDenied("Rows are not deleted through model pages.")

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        raise PermissionDenied("The audit log is the history.")
