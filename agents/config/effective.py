"""What is in force for an instance: all layers together, each value with its origin."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from agents.config.errors import ConfigError, ConfigProblem
from agents.config.layers import Layer, leaves, mapping_layer, overlay
from agents.config.schema import AgentConfig, code_defaults

DEFAULT = "default"
SAVED = "saved version"


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """A whole configuration.

    `content` is plain JSON and `digest` names it: equal content, equal digest, whichever layer
    gave it. `origins` maps each leaf's dotted key to its layer. `error` says why this older version
    still serves; it is None when the files are good.
    """

    config: AgentConfig
    origins: Mapping[str, str]
    digest: str
    content: dict[str, Any]
    error: str | None = None

    @classmethod
    def from_layers(cls, layers: Sequence[Layer], *, folder: str) -> Self:
        """Merge the layers over the code's defaults; `folder` is where missing files belong.

        Raises ConfigError when no layer gives a key that has no default.
        """
        content, origins = overlay([Layer(DEFAULT, DEFAULT, code_defaults()), *layers])
        _refuse_gaps(content, folder)
        config = AgentConfig.model_validate(content)
        content = config.model_dump(mode="json")
        ordered = {key: origins[key] for key, _ in leaves(content)}
        return cls(config, ordered, digest_of(content), content)

    @classmethod
    def from_content(
        cls, content: Mapping[str, Any], *, digest: str, error: str | None = None
    ) -> Self:
        """Bring a saved version back; raise ConfigError when today's schema refuses it.

        A key that the schema no longer knows says nothing any more: it must not stop the agent.
        """
        content = {key: value for key, value in content.items() if key in AgentConfig.model_fields}
        mapping_layer(content, SAVED)
        _refuse_gaps(content, SAVED)
        config = AgentConfig.model_validate(content)
        whole = config.model_dump(mode="json")
        return cls(config, {key: SAVED for key, _ in leaves(whole)}, digest, whole, error)


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content's canonical JSON, as 64 hex digits."""
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_gaps(content: Mapping[str, Any], folder: str) -> None:
    gaps = {
        "model": ("config.yaml", "no layer names a model, such as local:smollm2-135m"),
        "system_prompt": (
            "system_prompt.md",
            "this file does not exist, and no other layer gives a system prompt",
        ),
    }
    problems = [
        ConfigProblem(f"{folder}/{file}", message, key=key)
        for key, (file, message) in gaps.items()
        if key not in content
    ]
    if problems:
        raise ConfigError(problems)
