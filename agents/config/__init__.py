"""How each agent instance behaves: files and what was published over them, checked and merged."""

from agents.config.effective import EffectiveConfig, digest_of
from agents.config.errors import ConfigError, ConfigProblem
from agents.config.layers import Layer, mapping_layer, parse_layer
from agents.config.loader import config_dir, forget, load, read, read_if_valid
from agents.config.schema import AGENT_TYPES, AgentConfig, Timeouts

__all__ = [
    "AGENT_TYPES",
    "AgentConfig",
    "ConfigError",
    "ConfigProblem",
    "EffectiveConfig",
    "Layer",
    "Timeouts",
    "config_dir",
    "digest_of",
    "forget",
    "load",
    "mapping_layer",
    "parse_layer",
    "read",
    "read_if_valid",
]
