"""Checks values against JSON schemas of callers in a process of its own, within bounds.

No schema can be trusted to be cheap: references double the work at each step, and patterns take
memory. Nothing stops a check that has begun but the end of its process. The process runs this file
as a script, so it imports little.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

import jsonschema_rs

# Of one check: seconds of CPU, seconds altogether, and bytes of memory.
CPU_SECONDS, WALL_SECONDS, MEMORY = 2, 10.0, 512 * 1024 * 1024
PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=10_000, size_limit=256 * 1024, dfa_size_limit=256 * 1024
)
# What is plainly cheap is checked without a process: so many parts, every reference followed, and
# so many of them times the characters of the value.
MOST_PARTS, MOST_STEPS = 5_000, 2_000_000
# Work that the size of the schema says nothing about, and names that references may go by.
_COSTLY = {
    *("pattern", "patternProperties", "uniqueItems", "unevaluatedItems", "unevaluatedProperties"),
    *("$id", "id", "$dynamicRef", "$recursiveRef"),
}


class InvalidSchema(ValueError):
    """A schema that cannot be used; the message says why and is for the caller."""


class TooMuchWork(Exception):
    """The check was ended before it was done."""


def fault(schema: Mapping[str, Any], value: Any = None, *, has_value: bool = True) -> str | None:
    """Return what is wrong with the value, None where nothing is; raises InvalidSchema."""
    try:
        validator = jsonschema_rs.validator_for(
            dict(schema), retriever=_nothing, pattern_options=PATTERNS
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(getattr(error, "message", error)).splitlines()[0]
        raise InvalidSchema(f"this is no usable JSON schema: {reason[:200]}") from None
    found = next(iter(validator.iter_errors(value)), None) if has_value else None
    if found is None:
        return None
    place = ".".join(str(part) for part in found.instance_path) or "the whole"
    return f"At {place}: {found.message}."


def _nothing(uri: str) -> Any:
    raise ValueError("the schema refers to something outside of itself")


def fault_apart(
    schema: Mapping[str, Any], value: Any = None, *, has_value: bool = True
) -> str | None:
    """Do as `fault` in a process of its own; raises TooMuchWork too. It blocks its thread."""
    places = Path(jsonschema_rs.__file__).parent.parent
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(places)]
    task = json.dumps([schema, value, has_value]).encode()
    try:
        done = subprocess.run(  # noqa: S603 - our own file
            command, input=task, capture_output=True, timeout=WALL_SECONDS, check=True
        )
        answer = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise TooMuchWork from error
    if answer["invalid"] is not None:
        raise InvalidSchema(answer["invalid"])
    found: str | None = answer["fault"]
    return found


def is_cheap(schema: Mapping[str, Any], size: int) -> bool:
    """Whether the check of a value with so many characters is plainly cheap."""
    try:
        weight = _weight(schema, schema, {})
    except (TooMuchWork, RecursionError):
        return False
    return weight * max(size, 1) <= MOST_STEPS


def _weight(part: Any, whole: Mapping[str, Any], known: dict[str, int | None]) -> int:
    """Count what a schema holds, each part as often as it is applied; raises TooMuchWork."""
    if isinstance(part, list):
        weight = sum(_weight(each, whole, known) for each in part)
    elif isinstance(part, Mapping):
        if not _COSTLY.isdisjoint(part):
            raise TooMuchWork
        weight = 1 + sum(_weight(each, whole, known) for each in part.values())
        if "$ref" in part:
            weight += _weight_of(part["$ref"], whole, known)
    else:
        return 1
    if weight > MOST_PARTS:
        raise TooMuchWork
    return weight


def _weight_of(ref: Any, whole: Mapping[str, Any], known: dict[str, int | None]) -> int:
    if ref not in known:
        # None marks what is being counted: a reference to it goes round in a circle.
        known[ref] = None
        known[ref] = _weight(_target(ref, whole), whole, known)
    weight = known[ref]
    if weight is None:
        raise TooMuchWork
    return weight


def _target(ref: Any, whole: Any) -> Any:
    if not isinstance(ref, str) or not ref.startswith("#/") or "%" in ref or "~" in ref:
        raise TooMuchWork
    for name in ref[2:].split("/"):
        if not isinstance(whole, Mapping) or name not in whole:
            raise TooMuchWork
        whole = whole[name]
    return whole


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    schema, value, has_value = json.load(sys.stdin)
    invalid = found = None
    try:
        found = fault(schema, value, has_value=has_value)
    except InvalidSchema as error:
        invalid = str(error)
    # A message quotes the value, which may be long.
    json.dump({"invalid": invalid, "fault": found and found[:4_000]}, sys.stdout)


if __name__ == "__main__":
    _main()
