"""Makes the plainest value that fits a JSON schema, for answers without a model."""

from collections.abc import Mapping
from typing import Any

DEEPEST = 16
_PLAIN: Mapping[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Any, text: str, root: Any = None, depth: int = 0) -> Any:
    """Return a value with every property that the schema names; its texts are `text`."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return text
    if "const" in schema:
        return schema["const"]
    if enum := schema.get("enum"):
        return enum[0]
    if isinstance(found := _at(root, schema.get("$ref")), Mapping):
        return sample(found, text, root, depth + 1)
    for several in ("anyOf", "oneOf", "allOf"):
        if choices := schema.get(several):
            return sample(choices[0], text, root, depth + 1)
    return _of_kind(schema, text, root, depth + 1)


def _of_kind(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: sample(part, text, root, depth) for name, part in properties.items()}
    if kind == "array":
        number = max(1, schema.get("minItems", 1))
        return [sample(schema.get("items", {}), text, root, depth)] * min(number, DEEPEST)
    if kind == "string":
        string = str(_FORMATS.get(str(schema.get("format")), text))
        return string[: schema.get("maxLength", len(string))].ljust(schema.get("minLength", 0), ".")
    value = _PLAIN.get(str(kind))
    return schema.get("minimum", value) if kind in {"integer", "number"} else value


def _at(root: Any, reference: Any) -> Any:
    """Return what a reference within the schema points to; None for any other."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for name in reference.removeprefix("#").split("/")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name.replace("~1", "/").replace("~0", "~"))
    return found
