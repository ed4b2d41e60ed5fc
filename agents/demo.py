"""The demo's agent, and which model it has: one that can answer on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from accounts.keys.services import create_account
from accounts.models import Account
from accounts.tenancy import renames
from accounts.tenancy.accounts import read_account
from accounts.tenancy.context import platform_context, tenant_context
from agents.config import config_dir
from agents.config.files import ACCOUNT_FILE, DEFAULTS_FILE, InstanceFiles
from agents.config.starter_files import effective_with, replace_file, starter_files, written
from agents.instances.renames import led_to
from agents.instances.services import create_instance
from agents.models import AgentInstance
from agents.runtime.providers import model_problem

ACCOUNT, INSTANCE = "default", "simple-chat"
SCRIPTED = "scripted:echo?delay_ms=40"
_MODEL_LINE = re.compile(r"^model: (.+)$", re.MULTILINE)


@dataclass(slots=True)
class ModelChoice:
    """The model that answers, and what there is to say about why it is this one."""

    model: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """The demo's account and agent, as far as they are there; either may have been renamed."""

    account: Account | None
    instance: AgentInstance | None

    @property
    def slugs(self) -> tuple[str, str]:
        return (
            self.account.slug if self.account else ACCOUNT,
            self.instance.instance_slug if self.instance else INSTANCE,
        )

    @property
    def files(self) -> InstanceFiles:
        account, instance = self.slugs
        if self.instance is not None:
            account, instance = self.instance.folder_in(account)
        elif self.account is not None:
            account = self.account.folder
        return InstanceFiles(config_dir(), account, instance)


def find() -> Place:
    """Find what there is of the demo, by today's slugs, former ones and the files' folder."""
    account = read_account(renames.led_to(ACCOUNT) or ACCOUNT)
    if account is None:
        with platform_context():
            account = Account.objects.filter(config_folder=ACCOUNT).first()
    if account is None:
        return Place(None, None)
    with tenant_context(account.pk):
        agents = AgentInstance.objects.filter(account_id=account.pk)
        instance = agents.filter(instance_slug=INSTANCE).first() or (
            agents.filter(config_folder=f"{account.folder}/{INSTANCE}").first()
        )
    return Place(account, instance or led_to(account.pk, INSTANCE))


def ensure_instance() -> Place:
    """Return the demo's account and agent; make what is missing, change nothing else."""
    found = find()
    account, instance = found.account or create_account(ACCOUNT), found.instance
    with written(found.files, starter_files(found.files)):
        instance = instance or create_instance(account, INSTANCE)
    return Place(account, instance)


def settle_model(place: Place, *, write: bool = True) -> ModelChoice:
    """Choose the model and write it into the account's file, unless somebody chose one there.

    Raises ConfigError when the files are broken, OSError when the file cannot be written.
    """
    files = place.files
    ours = files.base / files.account / ACCOUNT_FILE
    chosen_by_demo = is_ours(ours)
    without = f"{files.account}/{ACCOUNT_FILE}" if chosen_by_demo else ""
    effective = effective_with(files, starter_files(files), without=without)
    named = effective.config.model
    if effective.origins["model"] != DEFAULTS_FILE:
        return ModelChoice(named, list(_about_edited(named, effective.origins["model"])))
    choice = choose(named)
    if ours.exists() and not chosen_by_demo and choice.model != named:
        hint = f"{ours} is somebody's own: write “model: {choice.model}” there."
        return ModelChoice(named, [*choice.notes, hint])
    if write:
        _write_choice(ours, choice.model, named)
    return choice


def choose(default: str) -> ModelChoice:
    """Return the first model that can answer here: the wanted one, the default, the script."""
    notes: list[str] = []
    candidates = dict.fromkeys(filter(None, [wanted_model(), default]))
    for model in candidates:
        problem = model_problem(model)
        if problem is None:
            return ModelChoice(model, notes)
        notes.append(problem)
        if not model.startswith("local:"):
            # Somebody named this model in the files: what is missing is for them to see.
            return ModelChoice(model, notes)
    notes.append("So no model answers here: the answers are scripted.")
    return ModelChoice(SCRIPTED, notes)


def wanted_model() -> str | None:
    """Return what `make run LOCAL_MODEL=…` (or LOCAL_MODEL_PATH=…) asks for."""
    if name := os.environ.get("LOCAL_MODEL", "").removeprefix("local:"):
        return f"local:{name}"
    return "local:custom" if os.environ.get("LOCAL_MODEL_PATH") else None


def _about_edited(model: str, origin: str) -> Iterator[str]:
    wanted = wanted_model()
    if wanted not in {None, model}:
        yield f"{wanted} is not used: {origin} of the demo names {model}."
    if problem := model_problem(model):
        yield problem


def file_text(model: str) -> str:
    return (
        "# Written by `manage.py demo`: the model of the demo on this machine. Git ignores it.\n"
        "# Once you edit this file it stays as it is; delete it and it is made anew when needed.\n"
        f"model: {model}\n"
    )


def is_ours(path: Path) -> bool:
    """Whether the demo wrote the file and it was not edited since."""
    if not path.is_file():
        return False
    text = path.read_text(errors="replace")
    model = _MODEL_LINE.search(text)
    return model is not None and text == file_text(model[1])


def _write_choice(path: Path, model: str, named: str) -> None:
    if model == named:
        if is_ours(path):
            path.unlink()
    elif not path.exists() or path.read_text() != file_text(model):
        replace_file(path, file_text(model).encode())
