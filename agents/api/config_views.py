"""The API for how an agent is configured: values, draft, check, difference, versions."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.http import HttpResponse

from accounts.auth.decorators import ApiRequest, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from agents.api.config_schemas import (
    ConfigOut,
    DiffIn,
    DiffOut,
    DraftIn,
    DraftOut,
    PublishIn,
    RollbackIn,
    ValidatedOut,
    ValidateIn,
    VersionDetailOut,
    VersionOut,
    VersionsOut,
)
from agents.api.managed import (
    PreconditionRequired,
    count_text,
    managed_view,
    wanted_etag,
)
from agents.config.effective_rows import in_force
from agents.config.versions import managed, publishing
from agents.config.versions.managed import (
    AlreadyInForce,
    ChecksFailed,
    DraftChanged,
    InvalidConfiguration,
    PublicationChanged,
)
from agents.instances.managed import state_of
from agents.models import AgentInstance, ConfigDraft
from salient.api.problems import NotFound
from salient.api.schemas import PageIn
from salient.database import in_database

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@managed_view("GET", scope=Scope.CONFIG_READ, answer=ConfigOut)
async def config(request: ApiRequest, instance: AgentInstance) -> ConfigOut:
    """Show the configuration in force, each value's origin, and whether the agent can answer."""
    return await in_database(_config, instance)


def _config(instance: AgentInstance) -> ConfigOut:
    with tenant_context(instance.account_id):
        draft = publishing.draft_of(instance)
        return ConfigOut.of(instance, state_of(instance), in_force(instance), draft)


@managed_view("GET", scope=Scope.CONFIG_READ, answer=DraftOut, answer_headers=("ETag",))
async def draft(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Show the draft; its ETag is needed to replace, publish or discard it."""
    return _draft(await in_database(managed.draft, instance))


@managed_view(
    "PUT",
    scope=Scope.AGENTS_WRITE,
    body=DraftIn,
    answer=DraftOut,
    also={HTTPStatus.CREATED: DraftOut},
    problems=(PreconditionRequired, DraftChanged),
    headers=("If-Match", "If-None-Match"),
    answer_headers=("ETag",),
)
async def draft_replace(
    request: ApiRequest, instance: AgentInstance, *, body: DraftIn
) -> HttpResponse:
    """Replace the draft that If-Match names; a draft is not used for any caller."""
    seen = wanted_etag(request, may_be_new=True)
    stored = await in_database(
        managed.replace_draft,
        request.caller,
        instance,
        body.text,
        seen=seen,
        base=body.base,
    )
    response = _draft(stored)
    response.status_code = HTTPStatus.OK if seen else HTTPStatus.CREATED
    return response


def _draft(found: ConfigDraft) -> HttpResponse:
    shown = DraftOut.of(found)
    response = shown.as_response()
    response.headers["ETag"] = f'"{shown.etag}"'
    return response


@managed_view(
    "DELETE",
    scope=Scope.AGENTS_WRITE,
    status=HTTPStatus.NO_CONTENT,
    problems=(PreconditionRequired, DraftChanged),
    headers=("If-Match",),
)
async def draft_discard(request: ApiRequest, instance: AgentInstance) -> None:
    """Discard the draft that If-Match names."""
    await in_database(managed.discard_draft, instance, seen=wanted_etag(request))


@managed_view(
    "POST", scope=Scope.CONFIG_READ, rate=Rates.HEAVY, body=ValidateIn, answer=ValidatedOut
)
async def validate(
    request: ApiRequest, instance: AgentInstance, *, body: ValidateIn
) -> ValidatedOut:
    """Say what is wrong with a text, or what it would change, without storing it."""
    await count_text(request.caller, body.text)
    validated, changes = await in_database(managed.validate, instance, body.text)
    return ValidatedOut.of(validated, changes)


@managed_view("GET", scope=Scope.CONFIG_READ, rate=Rates.HEAVY, query=DiffIn, answer=DiffOut)
async def diff(request: ApiRequest, instance: AgentInstance, *, query: DiffIn) -> DiffOut:
    """Compare the draft with what is published, or any two versions."""
    found = await in_database(managed.compare, instance, query.old, query.new)
    return DiffOut.of(query, found)


@managed_view(
    "POST",
    scope=Scope.AGENTS_WRITE,
    rate=Rates.HEAVY,
    body=PublishIn,
    answer=VersionOut,
    status=HTTPStatus.CREATED,
    problems=(
        PreconditionRequired,
        DraftChanged,
        PublicationChanged,
        InvalidConfiguration,
        AlreadyInForce,
        ChecksFailed,
    ),
    headers=("If-Match",),
)
async def publish(request: ApiRequest, instance: AgentInstance, *, body: PublishIn) -> VersionOut:
    """Publish the draft that If-Match names; the note says what changes and why."""
    made = await in_database(
        managed.publish_draft,
        request.caller,
        instance,
        seen=wanted_etag(request),
        note=body.note,
        gate_reason=body.gate_reason,
        base=body.base,
    )
    return VersionOut.of(made, made.number)


@managed_view(
    "POST",
    scope=Scope.AGENTS_WRITE,
    rate=Rates.HEAVY,
    body=RollbackIn,
    answer=VersionOut,
    status=HTTPStatus.CREATED,
    problems=(PublicationChanged, InvalidConfiguration, AlreadyInForce, ChecksFailed),
)
async def rollback(request: ApiRequest, instance: AgentInstance, *, body: RollbackIn) -> VersionOut:
    """Publish an earlier version again; 0 goes back to the files alone."""
    made = await in_database(managed.roll_back, request.caller, instance, **body.model_dump())
    return VersionOut.of(made, made.number)


@managed_view("GET", scope=Scope.CONFIG_READ, query=PageIn, answer=VersionsOut)
async def versions(request: ApiRequest, instance: AgentInstance, *, query: PageIn) -> VersionsOut:
    """List the published versions, newest first."""
    found, following, newest = await in_database(
        managed.publications, instance, query.cursor, query.limit
    )
    return VersionsOut.of_page([VersionOut.of(made, newest) for made in found], following)


@managed_view("GET", scope=Scope.CONFIG_READ, answer=VersionDetailOut)
async def version(request: ApiRequest, instance: AgentInstance, number: str) -> VersionDetailOut:
    """Show one version with its text."""
    if not _NUMBER.fullmatch(number):
        raise NotFound("version")
    made, newest = await in_database(managed.one_publication, instance, int(number))
    return VersionDetailOut.with_text(made, newest, publishing.text_of(made))


one_draft = by_method(draft, draft_replace, draft_discard)
