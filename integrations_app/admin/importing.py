"""Operations from an OpenAPI document: paste or upload it, choose, import."""

import json
from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts_app import strict_json
from accounts_app.backoffice.forms import BackOfficeForm, FormPage, code_area
from accounts_app.backoffice.pages import register
from accounts_app.backoffice.refusals import place_in, steps_of
from accounts_app.errors import DomainError, FieldError, Invalid
from accounts_app.states import Permission
from integrations_app import openapi, yaml_documents
from integrations_app.models import Integration
from integrations_app.openapi_schemas import NotExpressible
from integrations_app.services.catalogue import get_integration
from integrations_app.services.importing import import_openapi

WRITE = (Permission.WRITE_CATALOGUE,)
MAX_BYTES = 1 << 20


class ImportForm(BackOfficeForm):
    document = forms.CharField(
        label="OpenAPI 3 document (JSON or YAML)", strip=False, required=False, widget=code_area(12)
    )
    file = forms.FileField(label="or a file", required=False)

    def place_in(self, field: str, member: str) -> str:
        """An operation is called as the document's readers call it: GET /charges/{id}."""
        steps = steps_of(member)
        methods = (*openapi.METHODS, *openapi.OTHER_METHODS)
        if steps[:2] != ["document", "paths"] or len(steps) < 4 or steps[3] not in methods:
            return super().place_in(field, member)
        operation = f"{steps[3].upper()} {steps[2]}"
        return " › ".join([operation, *place_in(steps[4:])])


@register("integrations/<slug:slug>/import/", "integration_import")
class ImportPage(FormPage):
    """First the document, then a choice of its operations, then what became of each."""

    title = "Import operations"
    template_name = "integrations_app/import.html"
    permissions = write_permissions = WRITE
    parents = (("Integrations", "admin:integrations"),)
    form_class = ImportForm
    row: Integration

    def prepare(self, **names: Any) -> None:
        self.row = get_integration(self.actor, names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        return ImportForm(data, self.request.FILES if data is not None else None)

    def more(self) -> dict[str, Any]:
        return {"integration": self.row}

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        form = self.make_form(request.POST)
        if not form.is_valid():
            return self.show(form, status=422)
        try:
            document = _document(_text_of(form))
            selected = request.POST.getlist("select")
            if not selected:
                return self._choose(document, again="chosen" in request.POST)
            done = import_openapi(self.actor, self.row, document=document, select=selected)
        except DomainError as refusal:
            form.refuse(refusal)
            return self.show(form, status=422)
        taken = {*done.created, *done.updated}
        rows = self.row.operations.select_related("integration")
        operations = [row for row in rows if row.reference in taken]
        return self.render(
            template="integrations_app/imported.html",
            integration=self.row,
            imported=done,
            operations=operations,
            unasked=sum(not row.asks_first for row in operations),
        )

    def _choose(self, document: Any, *, again: bool) -> HttpResponseBase:
        """Ask which operations; once more, and saying so, where nobody chose any."""
        openapi.check_document(document)
        present = set(self.row.operations.values_list("slug", flat=True))
        places = [(place, _is_there(place, present)) for place in openapi.places(document)]
        return self.render(
            status=422 if again else 200,
            template="integrations_app/import_choice.html",
            again=again,
            integration=self.row,
            # As JSON and without spaces: YAML of a mebibyte would grow beyond it in a form.
            document=json.dumps(document, ensure_ascii=False, separators=(",", ":")),
            places=places,
        )


def _is_there(place: openapi.Place, present: set[str]) -> bool:
    try:
        return openapi.slug_of(place) in present
    except NotExpressible:
        return False


def _text_of(form: BackOfficeForm) -> str:
    file = form.cleaned_data["file"]
    if file is None:
        text: str = form.cleaned_data["document"]
    elif file.size > MAX_BYTES:
        raise Invalid([FieldError("file", "too_long", "A document has at most 1 MiB.")])
    else:
        try:
            text = file.read().decode()
        except UnicodeDecodeError as error:
            raise Invalid([FieldError("file", "invalid_value", "It is not UTF-8.")]) from error
    if not text.strip():
        raise Invalid([FieldError("document", "required", "Paste a document, or choose a file.")])
    return text


def _document(text: str) -> Any:
    """The document, by the one strict parser: YAML becomes JSON first."""
    try:
        if not yaml_documents.is_json(text):
            text = yaml_documents.as_json(text)
        return strict_json.loads(text.encode())
    except DomainError as refusal:
        raise Invalid([FieldError("document", "invalid_value", refusal.detail)]) from refusal
