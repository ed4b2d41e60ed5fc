"""What is said in the full demo: dialogues from talk.yaml, filled in differently each time."""

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
class Said:
    """One turn's words; `asks_time` where the agent looks at the clock first."""

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


def conversation(plan: AccountPlan, kind: str, turns: int, dice: Random) -> list[Said]:
    """Return so many turns: whole dialogues, one after the other, the last one perhaps cut."""
    dialogs = talk()[kind]["dialogs"]
    said: list[Said] = []
    for dialog in dice.sample(dialogs, len(dialogs)):
        filling = _filling(plan, dice)
        for question, answer, *more in dialog:
            said.append(
                Said(question.format(**filling), answer.format(**filling).strip(), bool(more))
            )
        if len(said) >= turns:
            break
    return said[:turns]


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
