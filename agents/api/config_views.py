"""The API for how an agent is configured: values, draft, check, difference, versions."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.http import HttpResponse

from accounts.auth.decorators import ApiRequest, by_method
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
    VersionsIn,
    VersionsOut,
)
from agents.api.managed import etag_header, managed_view, wanted_etag
from agents.config.effective_rows import in_force
from agents.config.versions import managed, publishing
from agents.instances.managed import state_of
from agents.models import AgentInstance, ConfigDraft
from salient.api.problems import NotFound
from salient.database import in_database

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


# openapi: answer=ConfigOut
@managed_view("GET", scope=Scope.CONFIG_READ)
async def config(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Show the configuration in force, each value with its origin, and if the agent answers."""
    found = await in_database(_config, instance)
    return found.as_response()


def _config(instance: AgentInstance) -> ConfigOut:
    with tenant_context(instance.account_id):
        draft = publishing.draft_of(instance)
        return ConfigOut.of(instance, state_of(instance), in_force(instance), draft)


# openapi: answer=DraftOut
@managed_view("GET", scope=Scope.CONFIG_READ)
async def draft(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Show the draft; its ETag is needed to replace, publish or discard it."""
    return _draft(await in_database(managed.draft, instance))


# openapi: body=DraftIn, answer=DraftOut, problems=(PreconditionRequired, DraftChanged)
@managed_view("PUT", scope=Scope.AGENTS_WRITE)
async def draft_replace(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Store the draft in place of the one that If-Match names; nobody is served by it."""
    wanted, seen = DraftIn.of_body(request), wanted_etag(request, may_be_new=True)
    stored = await in_database(
        managed.replace_draft,
        request.caller,
        instance,
        wanted.text,
        seen=seen,
        base=wanted.base,
    )
    response = _draft(stored)
    response.status_code = HTTPStatus.OK if seen else HTTPStatus.CREATED
    return response


def _draft(found: ConfigDraft) -> HttpResponse:
    shown = DraftOut.of(found)
    response = shown.as_response()
    response.headers["ETag"] = etag_header(shown.etag)
    return response


# openapi: status=204, problems=(PreconditionRequired, DraftChanged)
@managed_view("DELETE", scope=Scope.AGENTS_WRITE)
async def draft_discard(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Throw away the draft that If-Match names."""
    await in_database(managed.discard_draft, instance, seen=wanted_etag(request))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


# openapi: body=ValidateIn, answer=ValidatedOut
@managed_view("POST", scope=Scope.CONFIG_READ)
async def validate(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Say what is wrong with a text, or what it would change; nothing is stored."""
    wanted = ValidateIn.of_body(request)
    validated, changes = await in_database(managed.validate, instance, wanted.text)
    return ValidatedOut.of(validated, changes).as_response()


# openapi: answer=DiffOut
@managed_view("GET", scope=Scope.CONFIG_READ, query=DiffIn)
async def diff(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Compare the draft with what is published, or any two versions."""
    wanted = DiffIn.of_query(request)
    found = await in_database(managed.compare, instance, wanted.old, wanted.new)
    return HttpResponse(
        DiffOut.of(wanted, found).model_dump_json(by_alias=True), content_type="application/json"
    )


# openapi: body=PublishIn, answer=VersionOut, status=201, problems=(PreconditionRequired,
# DraftChanged, PublicationChanged, InvalidConfiguration, AlreadyInForce, ChecksFailed)
@managed_view("POST", scope=Scope.AGENTS_WRITE)
async def publish(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Put the draft that If-Match names in force; the note says what changes and why."""
    wanted = PublishIn.of_body(request)
    made = await in_database(
        managed.publish_draft,
        request.caller,
        instance,
        seen=wanted_etag(request),
        note=wanted.note,
        gate_reason=wanted.gate_reason,
        base=wanted.base,
    )
    return _made(VersionOut.of(made, made.number))


# openapi: body=RollbackIn, answer=VersionOut, status=201,
# problems=(PublicationChanged, InvalidConfiguration)
@managed_view("POST", scope=Scope.AGENTS_WRITE)
async def rollback(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Publish an earlier version again; 0 goes back to the files alone."""
    wanted = RollbackIn.of_body(request)
    made = await in_database(managed.roll_back, request.caller, instance, **wanted.model_dump())
    return _made(VersionOut.of(made, made.number))


def _made(version: VersionOut) -> HttpResponse:
    response = version.as_response()
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: answer=VersionsOut
@managed_view("GET", scope=Scope.CONFIG_READ, query=VersionsIn)
async def versions(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """List what was published, the newest first."""
    page = VersionsIn.of_query(request)
    found, following, newest = await in_database(
        managed.publications, instance, page.cursor, page.limit
    )
    return VersionsOut(
        data=[VersionOut.of(made, newest) for made in found],
        has_more=following is not None,
        next_cursor=following,
    ).as_response()


# openapi: answer=VersionDetailOut
@managed_view("GET", scope=Scope.CONFIG_READ)
async def version(request: ApiRequest, instance: AgentInstance, number: str) -> HttpResponse:
    """Show one version with its text."""
    if not _NUMBER.fullmatch(number):
        raise NotFound
    made, newest = await in_database(managed.one_publication, instance, int(number))
    return VersionDetailOut.with_text(made, newest, publishing.text_of(made)).as_response()


one_draft = by_method(draft, draft_replace, draft_discard)
