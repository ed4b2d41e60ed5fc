"""Drafts and publications: how staff change a configuration, see what that does, and take it back.

Call every function inside a tenant or platform context. The published text is the topmost layer
over the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from agents.api import decorators
from agents.config import (
    ConfigError,
    ConfigProblem,
    EffectiveConfig,
    parse_layer,
    read,
    read_if_valid,
)
from agents.config.layers import PUBLISHED
from agents.config.schema import AgentConfig
from agents.config.versions.current import ensure_version
from agents.config.versions.diff import Change, Line, changes, side_by_side, unified
from agents.config.yaml.text import dump, without
from agents.connections.connections import connections_for
from agents.models import AgentInstance, ConfigDraft, ConfigPublication
from agents.runtime.providers import model_problem

LONGEST_NOTE = 2_000


@dataclass(frozen=True, slots=True)
class PublishCheckFailure:
    """A publish check that failed: the name of its test, and the reason."""

    name: str
    reason: str


class PublishChecksFailed(Exception):
    """Publish checks failed; with a reason it is published all the same."""

    def __init__(self, failures: list[PublishCheckFailure]) -> None:
        self.failures = failures
        super().__init__("; ".join(f"{failure.name}: {failure.reason}" for failure in failures))


class Stale(Exception):
    """Somebody else was faster; nothing of theirs was overwritten."""


class NothingToPublish(Exception):
    """What is to be published is in force already."""


# Whom the log names: a person, or in words what else it was.
type Author = User | str | None
type PublishCheck = Callable[[AgentInstance, Mapping[str, Any]], list[PublishCheckFailure]]
_publish_checks: list[PublishCheck] = []


def register_publish_check(check: PublishCheck) -> None:
    """Call this function before each publication, with the instance and the override."""
    if check not in _publish_checks:
        _publish_checks.append(check)


def publish_check_failures(
    instance: AgentInstance, override: Mapping[str, Any]
) -> list[PublishCheckFailure]:
    return [failure for check in _publish_checks for failure in check(instance, override)]


@dataclass(frozen=True, slots=True)
class Validated:
    """What a text would mean: an override and what is in force with it, or what is wrong."""

    override: dict[str, Any] = field(default_factory=dict)
    effective: EffectiveConfig | None = None
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


def override_of(text: str) -> dict[str, Any]:
    """Read a draft; raises ConfigError. An empty text is an override of nothing."""
    return dict(parse_layer(text, PUBLISHED).content)


def validate(instance: AgentInstance, text: str) -> Validated:
    """Say what is wrong with a text and, when nothing is, what would be in force with it."""
    try:
        layer = parse_layer(text, PUBLISHED)
    except ConfigError as error:
        return Validated(problems=list(error.problems))
    override = dict(layer.content)
    try:
        effective = read(*instance.folder, override=override)
    except ConfigError as error:
        return Validated(override, problems=list(error.problems))
    if "model" in override:
        line = partial(layer.problem, path=("model",))
    else:
        line = partial(ConfigProblem, "the files", key="model")
    config = effective.config
    working = connections_for(instance.account_id, [config.model])
    missing, reason = missing_connection(config, working), model_problem(config.model)
    return Validated(
        override,
        effective,
        [line(missing)] if missing else [],
        [line(f"cannot be called here: {reason}")] if reason and not missing else [],
    )


def missing_connection(config: AgentConfig, working: Container[str]) -> str:
    """Name the account's model server that the configuration needs, if it is none of these."""
    needed = config.needed_connection
    if needed is None or needed in working:
        return ""
    return f"the account has no working connection “{needed}”: make it first"


def _publishable(instance: AgentInstance, text: str) -> tuple[dict[str, Any], EffectiveConfig]:
    validated = validate(instance, text)
    if validated.effective is None or validated.problems:
        raise ConfigError(validated.problems)
    if text == published_text(instance):
        raise NothingToPublish("This is in force already.")
    return validated.override, validated.effective


def check(instance: AgentInstance, text: str) -> list[ConfigProblem]:
    """List what is wrong with a text; what may not be published has problems."""
    return validate(instance, text).problems


@dataclass(frozen=True, slots=True)
class Difference:
    """What a text would change: in the values that are in force, and in the text itself."""

    values: list[Change]
    lines: list[Line]
    text: str
    problems: list[ConfigProblem]
    warnings: list[ConfigProblem]


def difference(instance: AgentInstance, text: str) -> Difference:
    """Compare what a text would put in force with what is in force."""
    validated, before = validate(instance, text), published_text(instance)
    values = changes(in_force(instance), validated.effective) if validated.effective else []
    return Difference(
        values,
        side_by_side(before, text),
        unified(before, text, names=("published", "new")),
        validated.problems,
        validated.warnings,
    )


def in_force(instance: AgentInstance) -> EffectiveConfig | None:
    """Return what the files and what is published say now; None when that is broken."""
    return read_if_valid(*instance.folder, override=instance.override)


def newest(instance: AgentInstance) -> ConfigPublication | None:
    return (
        ConfigPublication.objects.filter(agent_instance_id=instance.pk).order_by("-number").first()
    )


def published_text(instance: AgentInstance) -> str:
    """Return what is published now, as it was typed."""
    publication = newest(instance)
    if publication is not None and publication.override == instance.override:
        return text_of(publication)
    return dump(instance.override or {})


def text_of(publication: ConfigPublication) -> str:
    return publication.text or dump(publication.override or {})


def draft_of(instance: AgentInstance) -> ConfigDraft | None:
    return ConfigDraft.objects.filter(agent_instance_id=instance.pk).first()


def etag_of(draft: ConfigDraft | None) -> str:
    """Name the draft that a form shows, so that another's newer one is not overwritten."""
    return hashlib.sha256(draft.text.encode()).hexdigest()[:16] if draft else ""


def save_draft(
    instance: AgentInstance,
    text: str,
    author: Author,
    *,
    seen: str | None = None,
    base: int | None = None,
) -> ConfigDraft:
    """Keep a text to be published later; it may be wrong.

    `seen` is the ETag of the draft that the author had before them, `base` the publication that
    it started from. Raises Stale when somebody else saved meanwhile.
    """
    with transaction.atomic():
        locked = _locked(instance)
        draft = draft_of(locked)
        is_seen = seen is None or seen == etag_of(draft)
        # The same text again overwrites nothing: the answer to the first time may have been lost.
        if not is_seen and (draft is None or draft.text != text):
            raise Stale(_who_saved(draft))
        if draft is None:
            draft = ConfigDraft(account_id=locked.account_id, agent_instance_id=locked.pk)
            draft.base = _number(newest(locked)) if base is None else base
        elif base is not None:
            draft.base = base
        draft.text = text
        for field_name, value in _by(author).items():
            setattr(draft, field_name, value)
        draft.save()
    return draft


def discard_draft(instance: AgentInstance, *, seen: str) -> None:
    """Discard the draft with the ETag that was seen; raises Stale when the draft has changed."""
    with transaction.atomic():
        draft = draft_of(_locked(instance))
        if draft is None:
            return
        if seen != etag_of(draft):
            raise Stale(_who_saved(draft))
        ConfigDraft.objects.filter(pk=draft.pk).delete()


def reset(instance: AgentInstance, key: str, author: Author) -> ConfigDraft:
    """Take one published key out, in the draft: the files decide it again once that is published.

    Raises KeyError when the text does not set the key, ConfigError when the draft is no YAML.
    """
    draft = draft_of(instance)
    text = draft.text if draft else published_text(instance)
    override_of(text)
    return save_draft(instance, without(text, key), author, seen=etag_of(draft))


def publish(
    instance: AgentInstance,
    text: str,
    note: str,
    author: Author,
    *,
    gate_reason: str = "",
    base: int | None = None,
) -> ConfigPublication:
    """Put a text in force, over the files; the draft with the same text is done with.

    `base` is the number of the publication that the author saw in force. Raises ConfigError,
    ValidationError (no note), Stale, NothingToPublish and, without a reason, PublishChecksFailed.
    """
    _check_note(note)
    with transaction.atomic():
        locked, last = _locked_at(instance, base)
        override, effective = _publishable(locked, text)
        failures = publish_check_failures(locked, override)
        if failures and not gate_reason.strip():
            raise PublishChecksFailed(failures)
        made = _put(
            instance,
            effective,
            last,
            author,
            override=override or None,
            text=text,
            note=note,
            gate_reason=gate_reason.strip() if failures else "",
        )
        ConfigDraft.objects.filter(agent_instance_id=instance.pk, text=text).delete()
    return made


def roll_back(
    instance: AgentInstance, number: int, note: str, author: Author, *, base: int | None = None
) -> ConfigPublication:
    """Publish the text of an earlier publication again; 0 means the files alone.

    It passed the publish checks once and a rollback is urgent: they do not run. Raises ConfigError
    when it no longer fits, ValidationError, Stale, NothingToPublish, ConfigPublication.DoesNotExist
    """
    _check_note(note)
    with transaction.atomic():
        locked, last = _locked_at(instance, base)
        text = restored_text(locked, number)
        override, effective = _publishable(locked, text)
        return _put(
            instance,
            effective,
            last,
            author,
            override=override or None,
            text=text,
            note=note,
            restores=number,
        )


def restored_text(instance: AgentInstance, number: int) -> str:
    """Return the text of publication N; nothing for 0."""
    if number == 0:
        return ""
    return text_of(ConfigPublication.objects.get(agent_instance_id=instance.pk, number=number))


def _put(
    instance: AgentInstance,
    effective: EffectiveConfig,
    last: ConfigPublication | None,
    author: Author,
    *,
    override: dict[str, Any] | None,
    note: str,
    **fields: Any,
) -> ConfigPublication:
    """Store a publication after the last one, in force; the caller holds the instance's lock."""
    made: ConfigPublication = ConfigPublication.objects.create(
        account_id=instance.account_id,
        agent_instance_id=instance.pk,
        number=_number(last) + 1,
        override=override,
        note=note.strip(),
        config_version_id=ensure_version(instance, effective, serves=False),
        **_by(author),
        **fields,
    )
    AgentInstance.objects.filter(pk=instance.pk).update(override=override, updated_at=Now())
    instance.override = override
    decorators.forget_after_commit(instance)
    return made


def _locked(instance: AgentInstance) -> AgentInstance:
    # Not the key: turns that refer to the instance go on meanwhile.
    rows = AgentInstance.objects.select_for_update(no_key=True)
    locked: AgentInstance = rows.get(account_id=instance.account_id, pk=instance.pk)
    locked.account = instance.account
    return locked


def _locked_at(
    instance: AgentInstance, base: int | None
) -> tuple[AgentInstance, ConfigPublication | None]:
    """Lock the instance, and see that it is where the author thinks it is."""
    locked = _locked(instance)
    last = newest(locked)
    if base is not None and base != _number(last):
        raise Stale(_who_published(last))
    return locked, last


def _number(publication: ConfigPublication | None) -> int:
    return publication.number if publication else 0


def _by(author: Author) -> dict[str, Any]:
    if isinstance(author, User):
        return {"author": author, "author_name": author.email}
    return {"author": None, "author_name": author or ""}


def _who_saved(draft: ConfigDraft | None) -> str:
    if draft is None:
        return "The draft was published or discarded meanwhile."
    return f"{draft.author_name or 'Somebody'} saved another draft meanwhile."


def _who_published(last: ConfigPublication | None) -> str:
    if last is None:
        return "What was published is gone."
    who = last.author_name or "Somebody"
    return f"{who} published number {last.number} meanwhile: “{last.note}”"


def _check_note(note: str) -> None:
    if not note.strip():
        raise ValidationError("Say in a note what changes and why.")
    if len(note) > LONGEST_NOTE:
        raise ValidationError(f"A note has at most {LONGEST_NOTE:,} characters.")
