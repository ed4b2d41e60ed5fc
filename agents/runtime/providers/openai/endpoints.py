"""The servers with OpenAI's chat API: their addresses and how they differ."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

YES = frozenset({"", "true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})
NO_KEY = (
    "holds a character that no key has, such as a line end or a control character in its middle, "
    "an invisible one or one that is not ASCII."
)
PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}")


class EndpointSettings(NamedTuple):
    """What the environment says of a server: its address, its key, and whether it streams."""

    url: str
    key: str
    stream: str

    @property
    def streams(self) -> bool:
        """Whether the server can stream its answers; it is asked to stream unless this is false."""
        return self.stream not in NO


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server. `max_tokens_field`: OpenAI's newer models refuse the name that others know."""

    name: str
    base_url: str
    needs_key: bool = True
    max_tokens_field: str = "max_tokens"
    # Asks OpenRouter to report the cost of the call in its usage.
    ask_for_cost: bool = False
    keep_alive: bool = True
    # How the names of its models begin.
    model_prefixes: tuple[str, ...] = ()

    @property
    def key_variable(self) -> str:
        return _variables(self.name).key

    @property
    def url_variable(self) -> str:
        return _variables(self.name).url

    @property
    def stream_variable(self) -> str:
        return _variables(self.name).stream

    @property
    def settings(self) -> EndpointSettings:
        """What the environment says at this moment."""
        read, names = os.environ.get, _variables(self.name)
        url = read(names.url, "").strip() or self.base_url
        stream = read(names.stream, "").strip().lower()
        return EndpointSettings(url.rstrip("/"), read(names.key, "").strip(), stream)


KNOWN = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            "openai",
            "https://api.openai.com/v1",
            max_tokens_field="max_completion_tokens",
            model_prefixes=("gpt", "o1", "o3", "o4"),
        ),
        Endpoint("openrouter", "https://openrouter.ai/api/v1", ask_for_cost=True),
        Endpoint("groq", "https://api.groq.com/openai/v1"),
        Endpoint("together", "https://api.together.xyz/v1"),
        Endpoint("mistral", "https://api.mistral.ai/v1", model_prefixes=("mistral",)),
        Endpoint("deepseek", "https://api.deepseek.com/v1", model_prefixes=("deepseek",)),
        Endpoint("xai", "https://api.x.ai/v1", model_prefixes=("grok",)),
        Endpoint("fireworks", "https://api.fireworks.ai/inference/v1"),
        Endpoint("cerebras", "https://api.cerebras.ai/v1"),
        Endpoint("perplexity", "https://api.perplexity.ai"),
        Endpoint("deepinfra", "https://api.deepinfra.com/v1/openai"),
        Endpoint("moonshot", "https://api.moonshot.ai/v1"),
        Endpoint("ollama", "http://127.0.0.1:11434/v1", needs_key=False),
        Endpoint("lmstudio", "http://127.0.0.1:1234/v1", needs_key=False),
        Endpoint("vllm", "http://127.0.0.1:8000/v1", needs_key=False),
        Endpoint("llamacpp", "http://127.0.0.1:8080/v1", needs_key=False),
    )
}


def find_endpoint(name: str) -> Endpoint | None:
    """A known server, or any other whose `<NAME>_BASE_URL` is set; its key is optional."""
    if name in KNOWN:
        return KNOWN[name]
    if not PROVIDER_NAME.fullmatch(name):
        return None
    other = Endpoint(name, "", needs_key=False)
    return other if other.settings.url else None


def is_header_value(text: str) -> bool:
    """Whether a key can be sent: a line end within it would begin a header of its own."""
    return text.isascii() and text.isprintable()


def endpoint_problem(endpoint: Endpoint, found: EndpointSettings) -> str | None:
    """Why no call can be made, in a sentence for whoever runs the service."""
    if not _is_http(found.url):
        return f"{endpoint.url_variable} is not an http(s) URL."
    if found.stream not in YES | NO:
        return f"{endpoint.stream_variable} must be true or false."
    if not is_header_value(found.key):
        return f"{endpoint.key_variable} {NO_KEY}"
    # A server of one's own, at another address, may need no key.
    if endpoint.needs_key and found.url == endpoint.base_url and not found.key:
        return f"{endpoint.key_variable} is not set, which the provider {endpoint.name} needs."
    return None


def _is_http(url: str) -> bool:
    # urlsplit drops line ends and tabs, wherever they are.
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


@lru_cache(maxsize=256)
def _variables(name: str) -> EndpointSettings:
    """Return the names of the variables that hold the settings."""
    prefix = name.upper().replace("-", "_")
    return EndpointSettings(f"{prefix}_BASE_URL", f"{prefix}_API_KEY", f"{prefix}_STREAM")
