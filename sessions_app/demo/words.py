"""The texts of the full demo: dialogues from talk.yaml, with different names and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from sessions_app.demo.plan import AccountPlan

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True, slots=True)
class Exchange:
    """The texts of one turn; with `asks_time` the agent calls the tool current_time first."""

    question: str
    answer: str
    asks_time: bool


@cache
def talk() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("talk.yaml").read_text())
    return found


def system_prompt(plan: AccountPlan, kind: str) -> str:
    filled: str = talk()[kind]["prompt"].format(company=plan.name, city=plan.city, price="$160")
    return filled.strip()


def conversation(plan: AccountPlan, kind: str, turns: int, dice: Random) -> list[Exchange]:
    """Return this many turns: whole dialogues one after another, the last one cut to fit."""
    dialogs = talk()[kind]["dialogs"]
    exchanges: list[Exchange] = []
    for dialog in dice.sample(dialogs, len(dialogs)):
        filling = _filling(plan, dice)
        for question, answer, *more in dialog:
            exchanges.append(
                Exchange(question.format(**filling), answer.format(**filling).strip(), bool(more))
            )
        if len(exchanges) >= turns:
            break
    return exchanges[:turns]


def _filling(plan: AccountPlan, dice: Random) -> dict[str, str]:
    words = talk()["filling"]
    name = dice.choice(words["names"])
    return {
        "company": plan.name,
        "city": plan.city,
        "name": name,
        "email": email_of(name),
        "order": str(dice.randrange(100_000, 999_999)),
        "product": dice.choice(words["products"]),
        "price": dice.choice(words["prices"]),
        "day": dice.choice(DAYS),
    }


def email_of(name: str, domain: str = "mail.example") -> str:
    plain = name.lower().translate(str.maketrans("éíóú", "eiou"))
    return f"{plain.replace(' ', '.')}@{domain}"
