"""The shapes of the API's bodies, found in its modules."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, TypeAliasType, TypeGuard, get_args

from pydantic import BaseModel

import accounts.api.audit_schemas
import accounts.api.key_schemas
import accounts.api.limit_schemas
import accounts.api.member_schemas
import accounts.api.schemas
import accounts.api.webhook_schemas
import agents.api.agent_schemas
import agents.api.config_schemas
import agents.api.connection_views
import agents.api.schemas
import salient.api.schemas
import sessions_app.api.schemas
import sessions_app.api.session_schemas
import sessions_app.api.usage_schemas
import sessions_app.protocols.openai.responses.schemas
import sessions_app.protocols.openai.schemas
import sessions_app.protocols.ui.ag_ui.schemas
import sessions_app.protocols.ui.ai_sdk.schemas

SCHEMAS = (
    salient.api.schemas,
    accounts.api.schemas,
    accounts.api.audit_schemas,
    accounts.api.key_schemas,
    accounts.api.limit_schemas,
    accounts.api.member_schemas,
    accounts.api.webhook_schemas,
    agents.api.agent_schemas,
    agents.api.config_schemas,
    agents.api.schemas,
    agents.api.connection_views,
    sessions_app.api.schemas,
    sessions_app.api.session_schemas,
    sessions_app.api.usage_schemas,
    sessions_app.protocols.openai.schemas,
    sessions_app.protocols.openai.responses.schemas,
    sessions_app.protocols.ui.ag_ui.schemas,
    sessions_app.protocols.ui.ai_sdk.schemas,
)


def parts(annotation: Any) -> set[Any]:
    """Return a type and all its type arguments."""
    if isinstance(annotation, TypeAliasType):
        return parts(annotation.__value__)
    return {annotation}.union(*map(parts, get_args(annotation)))


def shapes(module: ModuleType) -> list[type[BaseModel]]:
    return [s for _, s in inspect.getmembers(module, inspect.isclass) if is_sent(s)]


def all_shapes(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [base, *(s for each in base.__subclasses__() for s in all_shapes(each))]


def is_sent(shape: type) -> TypeGuard[type[BaseModel]]:
    apps = ("accounts.", "agents.", "sessions_app.", "salient.")
    return (
        issubclass(shape, BaseModel)
        and shape.__name__.endswith("In")
        and (shape.__module__.startswith(apps))
    )
