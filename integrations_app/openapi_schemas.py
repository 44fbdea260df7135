"""Schemas of an OpenAPI document as JSON Schema draft 2020-12 (pure).

References into `components/schemas` stay references, into `$defs` of the result, so that neither
a circle nor a document that grows when it is written out costs anything.
"""

from collections.abc import Mapping
from typing import Any, Final

from integrations_app import pointers

MAX_HOPS: Final = 32
COMPONENTS: Final = "#/components/schemas/"
_ONE: Final = (
    "additionalProperties",
    "items",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("patternProperties", "$defs", "dependentSchemas")
# Said for people or for other programs; an approver and a model need none of it.
_DROPPED: Final = ("xml", "discriminator", "externalDocs", "example", "nullable", "readOnly")


class NotExpressible(ValueError):
    """The operation asks for something that a call cannot carry; the text says what."""


def follow(document: Mapping[str, Any], node: Any) -> Any:
    """What a node refers to, through at most 32 references.

    Raises:
        NotExpressible: it refers to itself.
    """
    for _ in range(MAX_HOPS):
        if not isinstance(node, dict) or "$ref" not in node:
            return node
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise NotExpressible("A reference leads out of the document.")
        node = pointers.get(document, reference[1:])
    raise NotExpressible("A reference leads back to itself.")


class SchemaReader:
    """Reads the schemas of one operation, and collects what they refer to.

    Args:
        document: whose references were all checked.
        is_30: OpenAPI 3.0, whose dialect differs.
    """

    def __init__(self, document: Mapping[str, Any], *, is_30: bool) -> None:
        self.document = document
        self.is_30 = is_30
        self._used: list[str] = []

    def convert(self, node: Any, hops: int = 0) -> Any:
        """A schema as draft 2020-12."""
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._reference(node, hops)
        out = {
            name: value
            for name, value in node.items()
            if name not in _DROPPED and not name.startswith("x-")
        }
        for name in _ONE:
            if name in out:
                out[name] = self.convert(out[name], hops)
        for name in _MANY:
            if name in out:
                out[name] = [self.convert(item, hops) for item in out[name]]
        for name in _NAMED:
            if name in out:
                out[name] = {key: self.convert(item, hops) for key, item in out[name].items()}
        if "properties" in out:
            self._properties(out, hops)
        if self.is_30:
            _from_30(node, out)
        return out

    def definitions(self) -> dict[str, Any]:
        """Every schema that was referred to, directly or not."""
        found: dict[str, Any] = {}
        for name in self._used:  # grows while it is read
            if name not in found:
                found[name] = self.convert(self.document["components"]["schemas"][name])
        return found

    def object_of(self, node: Any) -> dict[str, Any]:
        """A body's schema with its members at the top, so that parameters can stand beside them.

        Raises:
            NotExpressible: the body is no JSON object.
        """
        schema = follow(self.document, node)
        if not isinstance(schema, dict):
            raise NotExpressible("Its body has no schema.")
        kind = schema.get("type", "object")
        if kind not in ("object", ["object"]):
            raise NotExpressible("Its body is no JSON object.")
        if "allOf" not in schema:
            return dict(self.convert(schema)) | {"type": "object"}
        rest = {name: value for name, value in schema.items() if name != "allOf"}
        merged: dict[str, Any] = {"type": "object"}
        for part in [*schema["allOf"], rest]:
            _merge(merged, self.object_of(part))
        return merged

    def _reference(self, node: dict[str, Any], hops: int) -> Any:
        reference: str = node["$ref"]
        name = reference.removeprefix(COMPONENTS)
        more = {} if self.is_30 else {k: v for k, v in node.items() if k != "$ref"}
        siblings = self.convert(more, hops) if more else {}
        if reference.startswith(COMPONENTS) and "/" not in name and "~" not in name:
            self._used.append(name)
            return {**siblings, "$ref": f"#/$defs/{name}"}
        if hops >= MAX_HOPS:
            raise NotExpressible("A reference leads back to itself.")
        inlined = self.convert(pointers.get(self.document, reference[1:]), hops + 1)
        return {**inlined, **siblings} if isinstance(inlined, dict) else inlined

    def _properties(self, out: dict[str, Any], hops: int) -> None:
        """Members that only answers have are left out."""
        kept = {
            name: item
            for name, item in out["properties"].items()
            if not (isinstance(item, dict) and item.get("readOnly") is True)
        }
        hidden = out["properties"].keys() - kept.keys()
        out["properties"] = {name: self.convert(item, hops) for name, item in kept.items()}
        if "required" in out:
            out["required"] = [name for name in out["required"] if name not in hidden]


def _merge(merged: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add one part of an `allOf` to the object that all parts describe."""
    properties = merged.setdefault("properties", {})
    for name, schema in part.get("properties", {}).items():
        both = name in properties and properties[name] != schema
        properties[name] = {"allOf": [properties[name], schema]} if both else schema
    required = [*merged.get("required", []), *part.get("required", [])]
    if required:
        merged["required"] = list(dict.fromkeys(required))
    for name, value in part.items():
        # A closed part of an open whole would let nothing through.
        if name in ("properties", "required", "type", "additionalProperties"):
            continue
        if name in ("anyOf", "oneOf", "not", "allOf", "if"):
            merged.setdefault("allOf", []).append({name: value})
        else:
            merged.setdefault(name, value)


def _from_30(node: Mapping[str, Any], out: dict[str, Any]) -> None:
    """What OpenAPI 3.0 says in its own way (the Schema Object of its specification)."""
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if out.get(exclusive) is True:
            out[exclusive] = out.pop(limit, 0)
        elif out.get(exclusive) is False:
            del out[exclusive]
    if node.get("nullable") is not True:
        return
    if "type" not in out:
        # Specified for schemas with a type alone; services say it beside alternatives, and mean it.
        alternatives = {name: out.pop(name) for name in ("oneOf", "anyOf", "allOf") if name in out}
        if alternatives:
            out["anyOf"] = [alternatives, {"type": "null"}]
    elif isinstance(out["type"], str):
        out["type"] = [out["type"], "null"]
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
