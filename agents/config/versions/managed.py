"""Drafts and publications as an account's own people and keys manage them.

The rules are those of publishing.py, which the admin's pages call too; here its refusals become
problems of the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.auth.caller import Caller
from accounts.models import User
from accounts.tenancy.context import tenant_context
from agents.config import ConfigError, ConfigProblem, config_dir
from agents.config.layers import PUBLISHED
from agents.config.versions import publishing
from agents.config.versions.diff import Change, changes, content_changes, unified
from agents.config.versions.history import publication
from agents.config.versions.publishing import (
    Author,
    NothingToPublish,
    PublishChecksFailed,
    Stale,
    Validated,
)
from agents.models import AgentInstance, ConfigDraft, ConfigPublication
from salient.api.problems import Invalid, NotFound, Problem
from salient.cursor import Cursor, older, page_of

# What a comparison may name besides the numbers of publications.
DRAFT, IN_FORCE, FILES = "draft", "published", "files"


class ConfigurationFault(TypedDict):
    """What is wrong in a configuration, and where; `file` null: in the text itself."""

    file: str | None
    line: int | None
    key: str | None
    message: str
    suggestion: str | None


class FailedCheck(TypedDict):
    """A test chat that did not pass with the draft."""

    name: str
    why: str


class InvalidConfiguration(Problem):
    """The text cannot be put in force; `problems` name file, line and key."""

    status = HTTPStatus.UNPROCESSABLE_CONTENT
    code = "invalid_configuration"
    extensions = {"problems": list[ConfigurationFault]}

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        found = [problem_fields(problem) for problem in problems]
        super().__init__("; ".join(map(_sentence, found)), problems=found)


class DraftChanged(Problem):
    """The draft is not the one that was read; nothing was overwritten."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "draft_changed"


class PublicationChanged(Problem):
    """Somebody else published meanwhile; `base` says what the caller has seen."""

    status = HTTPStatus.CONFLICT
    code = "publication_changed"


class AlreadyInForce(Problem):
    """The draft is in force already, or the text to roll back to."""

    status = HTTPStatus.CONFLICT
    code = "nothing_to_publish"

    def __init__(self) -> None:
        super().__init__("This is in force already.")


class ChecksFailed(Problem):
    """Required test chats have not passed; a `gate_reason` overrides them."""

    status = HTTPStatus.CONFLICT
    code = "publish_checks_failed"
    extensions = {"failures": list[FailedCheck]}

    def __init__(self, error: PublishChecksFailed) -> None:
        found = [{"name": each.name, "why": each.reason} for each in error.failures]
        super().__init__(f"{error}. Send a gate_reason to publish it anyway.", failures=found)


def problem_fields(problem: ConfigProblem) -> dict[str, Any]:
    """Return a problem for JSON; `file` null is the text itself.

    Where this server keeps its files is nobody's business.
    """
    base, public = str(config_dir()), "the configuration directory"
    fields: dict[str, Any] = {
        name: value.replace(base, public) if isinstance(value, str) else value
        for name, value in problem.as_dict().items()
    }
    fields["file"] = None if problem.file in {PUBLISHED, ""} else fields["file"]
    return fields | {"key": fields["key"] or None}


def _sentence(fields: Mapping[str, Any]) -> str:
    place = fields["file"] or ("line" if fields["line"] else "")
    place = f"{place} {fields['line']}".strip() if fields["line"] else place
    return ": ".join(filter(None, [place, fields["key"], fields["message"]]))


def author_of(caller: Caller) -> Author:
    """Return the caller as publications and drafts name them."""
    if caller.user_id is not None:
        return User(pk=caller.user_id, email=caller.name)
    return f"API key {caller.name}"


@contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise InvalidConfiguration(error.problems) from error
    except PublishChecksFailed as error:
        raise ChecksFailed(error) from error
    except NothingToPublish as error:
        raise AlreadyInForce from error
    except ValidationError as error:
        raise Invalid.field("note", " ".join(error.messages)) from error


def draft(instance: AgentInstance) -> ConfigDraft:
    """Return the agent's draft; raises NotFound."""
    with tenant_context(instance.account_id):
        return _draft(instance)


def _draft(instance: AgentInstance) -> ConfigDraft:
    found = publishing.draft_of(instance)
    if found is None:
        raise NotFound("draft")
    return found


def replace_draft(
    caller: Caller, instance: AgentInstance, text: str, *, seen: str, base: int | None
) -> ConfigDraft:
    """Store the draft in place of the one with the ETag `seen`; raises DraftChanged.

    It may be wrong. `base` is the publication that it starts from, the newest unless given.
    """
    with tenant_context(instance.account_id):
        try:
            return publishing.save_draft(instance, text, author_of(caller), seen=seen, base=base)
        except Stale as error:
            raise _changed(instance, str(error)) from error


def discard_draft(instance: AgentInstance, *, seen: str) -> None:
    """Throw the draft away; raises NotFound, DraftChanged."""
    with tenant_context(instance.account_id):
        _draft(instance)
        try:
            publishing.discard_draft(instance, seen=seen)
        except Stale as error:
            raise _changed(instance, str(error)) from error


def _changed(instance: AgentInstance, detail: str) -> DraftChanged:
    etag = publishing.etag_of(publishing.draft_of(instance))
    return DraftChanged(detail, headers={"ETag": f'"{etag}"'} if etag else {})


def validate(instance: AgentInstance, text: str) -> tuple[Validated, list[Change]]:
    """Say what is wrong with a text and, when nothing is, which values it would change."""
    with tenant_context(instance.account_id):
        validated = publishing.validate(instance, text)
        if validated.effective is None:
            return validated, []
        return validated, changes(publishing.in_force(instance), validated.effective)


def publish_draft(
    caller: Caller,
    instance: AgentInstance,
    *,
    seen: str,
    note: str,
    gate_reason: str,
    base: int | None,
) -> ConfigPublication:
    """Put the draft with the ETag `seen` in force.

    `base` is the number that the caller saw in force, the draft's own unless given. Raises
    DraftChanged, PublicationChanged, InvalidConfiguration, AlreadyInForce, ChecksFailed, Invalid.
    """
    with tenant_context(instance.account_id), refusals():
        found = publishing.draft_of(instance)
        if found is None or publishing.etag_of(found) != seen:
            raise _changed(instance, "The draft is another one now, or it is gone.")
        try:
            made = publishing.publish(
                instance,
                found.text,
                note,
                author_of(caller),
                gate_reason=gate_reason,
                base=found.base if base is None else base,
            )
            return _with_its_version(made)
        except Stale as error:
            raise PublicationChanged(str(error)) from error


def roll_back(
    caller: Caller, instance: AgentInstance, *, version: int, note: str, base: int | None
) -> ConfigPublication:
    """Publish an earlier text again; 0 is the files alone.

    Raises NotFound, PublicationChanged, AlreadyInForce, InvalidConfiguration, Invalid.
    """
    with tenant_context(instance.account_id), refusals():
        try:
            made = publishing.roll_back(instance, version, note, author_of(caller), base=base)
            return _with_its_version(made)
        except Stale as error:
            raise PublicationChanged(str(error)) from error
        except ConfigPublication.DoesNotExist as error:
            raise Invalid.field("version", f"there is no version {version}") from error


def _with_its_version(made: ConfigPublication) -> ConfigPublication:
    rows = ConfigPublication.objects.select_related("config_version")
    return rows.get(pk=made.pk)


def publications(
    instance: AgentInstance, cursor: Cursor | None, limit: int
) -> tuple[Sequence[ConfigPublication], str | None, int | None]:
    """Return a page of what was published, the newest first, its next cursor, the newest number."""
    with tenant_context(instance.account_id):
        rows = ConfigPublication.objects.select_related("config_version")
        mine: QuerySet[ConfigPublication] = rows.filter(agent_instance_id=instance.pk)
        mine = mine if cursor is None else older(mine, "created_at", cursor)
        rows_of_page = list(mine.order_by("-created_at", "-id")[: limit + 1])
        page, following = page_of(rows_of_page, limit, "created_at")
        last = publishing.newest(instance)
        return page, following, last.number if last else None


def one_publication(instance: AgentInstance, number: int) -> tuple[ConfigPublication, int]:
    """Return a publication and the newest number; raises NotFound."""
    with tenant_context(instance.account_id):
        found, last = publication(instance, number), publishing.newest(instance)
        if found is None or last is None:
            raise NotFound("version")
        return found, last.number


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs between two configurations: in their values, and in the published texts."""

    changes: list[Change]
    text: str
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two; `content` is None where it is wrong, `validated` None where it once held."""

    text: str
    content: Mapping[str, Any] | None
    validated: Validated | None = None


def compare(instance: AgentInstance, old: str, new: str) -> Compared:
    """Compare two of: the draft, what is published, the files alone, a publication by its number.

    Raises NotFound.
    """
    with tenant_context(instance.account_id):
        before, after = _side(instance, old), _side(instance, new)
    found: list[Change] = []
    if before.content is not None and after.content is not None:
        found = content_changes(before.content, after.content)
    checked = [side.validated for side in (before, after) if side.validated is not None]
    return Compared(
        found,
        unified(before.text, after.text, names=(old, new)),
        [problem for each in checked for problem in each.problems],
        [warning for each in checked for warning in each.warnings],
    )


def _side(instance: AgentInstance, name: str) -> _Side:
    if name not in {DRAFT, IN_FORCE, FILES}:
        found = publication(instance, int(name))
        if found is None:
            raise NotFound("version")
        return _Side(publishing.text_of(found), found.config_version.content)
    if name == DRAFT:
        text = _draft(instance).text
    else:
        text = publishing.published_text(instance) if name == IN_FORCE else ""
    validated = publishing.validate(instance, text)
    effective = validated.effective
    return _Side(text, effective.content if effective else None, validated)
