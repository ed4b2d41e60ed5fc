"""The tables of agents, their configuration versions and publications."""

from agents.models.agent import (
    AgentInstance,
    ConfigVersion,
    FormerAgentSlug,
    InstanceStatus,
    ProviderConnection,
)
from agents.models.publication import (
    ConfigDraft,
    ConfigPublication,
)

__all__ = [
    "AgentInstance",
    "ConfigDraft",
    "ConfigPublication",
    "ConfigVersion",
    "FormerAgentSlug",
    "InstanceStatus",
    "ProviderConnection",
]
