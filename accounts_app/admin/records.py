"""The way to the model pages: every kind of row that this person may look up."""

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts_app.backoffice.pages import Page, register
from accounts_app.states import Permission


@register("records/", "records")
class RecordsPage(Page):
    """What is stored, kind by kind, to find and to read."""

    title = "Records"
    template_name = "accounts_app/records.html"
    permissions = (Permission.READ_AUDIT,)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.render(parts=admin.site.get_app_list(request))
