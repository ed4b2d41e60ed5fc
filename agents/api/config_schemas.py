"""The API's shapes for an agent's configuration: values, drafts, versions, differences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from agents.api.agent_schemas import NO_NUL, ConfigText
from agents.config import ConfigProblem
from agents.config.effective_rows import InForce, Row
from agents.config.layers import PUBLISHED
from agents.config.versions.diff import Change
from agents.config.versions.managed import IN_FORCE, Compared, problem_fields
from agents.config.versions.publishing import LONGEST_NOTE, Validated, etag_of
from agents.instances.managed import AgentState
from agents.models import AgentInstance, ConfigDraft, ConfigPublication, InstanceStatus
from salient.api.schemas import In, ListOut, Out

LAST_NUMBER = 2**31 - 1

type Note = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, pattern=NO_NUL)]
type Reason = Annotated[str, Field(max_length=LONGEST_NOTE, pattern=NO_NUL)]
type Number = Annotated[int, Field(ge=0, le=LAST_NUMBER)]
# The draft, what is published, the files alone, or a version.
type ComparedSide = Annotated[str, Field(pattern=r"^(?:draft|published|files|[1-9][0-9]{0,8})$")]


class DraftIn(In):
    """The whole text of a draft, in YAML; it may be wrong.

    `base`: the version that it starts from, the newest unless given.
    """

    text: ConfigText
    base: Number | None = None


class ValidateIn(In):
    """A text to be checked; nothing is stored."""

    text: ConfigText


class PublishIn(In):
    """Why the draft is published; `gate_reason` goes past test chats that failed.

    `base`: the version that was seen in force, the draft's own unless given.
    """

    note: Note
    gate_reason: Reason = ""
    base: Number | None = None


class RollbackIn(In):
    """Which version to go back to, 0 for the files alone, and why."""

    version: Number
    note: Note
    base: Number | None = None


class DiffIn(In):
    """What to compare: draft, published, files, or a version's number."""

    old: ComparedSide = Field(default="published", alias="from")
    new: ComparedSide = Field(default="draft", alias="to")


class ProblemOut(Out):
    """What is wrong in a configuration, and where; `file` null: in the text itself."""

    file: str | None
    line: int | None
    key: str | None
    message: str
    suggestion: str | None


def problems_of(problems: Iterable[ConfigProblem]) -> list[ProblemOut]:
    return [ProblemOut(**problem_fields(each)) for each in problems]


def _origin(name: str) -> str:
    return IN_FORCE if name == PUBLISHED else name


class BelowOut(Out):
    """What would hold without what is published."""

    value: Any
    origin: str


class ValueOut(Out):
    """A value in force. `origin`: `default`, the name of a file, or `published`."""

    key: str
    value: Any
    origin: str
    below: BelowOut | None

    @classmethod
    def of(cls, row: Row) -> Self:
        below = None
        if row.without_origin:
            below = BelowOut(value=row.without_data, origin=row.without_origin)
        return cls(key=row.key, value=row.data, origin=_origin(row.origin), below=below)


class DraftOut(Out):
    """A draft; `etag` is the header's, without quotes."""

    id: UUID
    etag: str
    text: str
    base: int
    author: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, draft: ConfigDraft) -> Self:
        return cls(
            id=draft.pk,
            etag=etag_of(draft),
            text=draft.text,
            base=draft.base,
            author=draft.author_name,
            created_at=draft.created_at,
            updated_at=draft.updated_at,
        )


class ConfigOut(Out):
    """How an agent is configured now; without `values` `problems` say what is wrong.

    `serving_version` is the one that turns have used last; it follows `config_version` with the
    next turn.
    """

    instance_slug: str
    status: InstanceStatus
    can_answer: bool
    problems: list[ProblemOut]
    warnings: list[ProblemOut]
    config_version: str | None
    serving_version: str | None
    published_version: int | None
    draft_etag: str | None
    values: list[ValueOut]

    @classmethod
    def of(
        cls, instance: AgentInstance, state: AgentState, found: InForce, draft: ConfigDraft | None
    ) -> Self:
        return cls(
            instance_slug=instance.instance_slug,
            status=InstanceStatus(instance.status),
            can_answer=state.can_answer,
            problems=problems_of(state.problems),
            warnings=problems_of(state.warnings),
            config_version=found.digest[:12] or None,
            serving_version=found.serving.digest[:12] if found.serving else None,
            published_version=state.published_version,
            draft_etag=etag_of(draft) or None,
            values=[ValueOut.of(row) for row in found.rows],
        )


class ChangeOut(Out):
    """A value that differs, as a text ("" where it is not set), with its origins if known."""

    key: str
    before: str
    after: str
    before_origin: str | None
    after_origin: str | None

    @classmethod
    def of(cls, change: Change) -> Self:
        return cls(
            key=change.key,
            before=change.old,
            after=change.new,
            before_origin=_origin(change.old_origin) or None,
            after_origin=_origin(change.new_origin) or None,
        )


class ValidatedOut(Out):
    """Whether a text may be published, and which values it would change."""

    valid: bool
    problems: list[ProblemOut]
    warnings: list[ProblemOut]
    config_version: str | None
    changes: list[ChangeOut]

    @classmethod
    def of(cls, validated: Validated, changes: list[Change]) -> Self:
        effective = validated.effective
        return cls(
            valid=effective is not None and not validated.problems,
            problems=problems_of(validated.problems),
            warnings=problems_of(validated.warnings),
            config_version=effective.digest[:12] if effective else None,
            changes=[ChangeOut.of(change) for change in changes],
        )


class DiffOut(Out):
    """What differs: the values, and the texts as `diff -u` writes it."""

    old: str = Field(serialization_alias="from")
    new: str = Field(serialization_alias="to")
    changes: list[ChangeOut]
    text: str
    problems: list[ProblemOut]
    warnings: list[ProblemOut]

    @classmethod
    def of(cls, sides: DiffIn, found: Compared) -> Self:
        return cls(
            old=sides.old,
            new=sides.new,
            changes=[ChangeOut.of(change) for change in found.changes],
            text=found.text,
            problems=problems_of(found.problems),
            warnings=problems_of(found.warnings),
        )


class VersionOut(Out):
    """Something that was published. `restores`: the version that a roll-back went back to."""

    id: UUID
    number: int
    is_newest: bool
    note: str
    author: str
    created_at: datetime
    restores: int | None
    gate_reason: str | None
    config_version: str

    @classmethod
    def facts(cls, made: ConfigPublication, newest: int | None) -> dict[str, Any]:
        return {
            "id": made.pk,
            "number": made.number,
            "is_newest": made.number == newest,
            "note": made.note,
            "author": made.author_name,
            "created_at": made.created_at,
            "restores": made.restores,
            "gate_reason": made.gate_reason or None,
            "config_version": made.config_version.digest[:12],
        }

    @classmethod
    def of(cls, made: ConfigPublication, newest: int | None) -> Self:
        return cls(**cls.facts(made, newest))


class VersionDetailOut(VersionOut):
    """A version with its text, in YAML."""

    text: str

    @classmethod
    def with_text(cls, made: ConfigPublication, newest: int | None, text: str) -> Self:
        return cls(**cls.facts(made, newest), text=text)


class VersionsOut(ListOut[VersionOut]):
    """Versions, the newest first."""
