from importlib import import_module

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

BEFORE = import_module("sessions_app.migrations.0021_turns_in_sets")
OPEN = import_module("sessions_app.migrations.0022_server_processes").OPEN

SOURCES = ["reported", "genai-prices", "free", "configured", "mixed", "unknown"]
AMOUNT = {"decimal_places": 8, "max_digits": 20}
KNOWN_OR_NOT = AMOUNT | {"blank": True, "null": True}
AMOUNTS = [
    ("llmrequest", "prompt_cost", KNOWN_OR_NOT),
    ("llmrequest", "completion_cost", KNOWN_OR_NOT),
    ("llmrequest", "total_cost", KNOWN_OR_NOT),
    ("llmrequest", "reserved_cost", KNOWN_OR_NOT | {"editable": False}),
    ("llmrequest", "charged_cost", KNOWN_OR_NOT | {"editable": False}),
    (
        "session",
        "total_cost",
        AMOUNT | {"db_default": 0, "editable": False, "verbose_name": "cost (USD)"},
    ),
    ("usageday", "cost", AMOUNT | {"db_default": 0}),
    ("usagetotal", "cost", AMOUNT | {"db_default": 0}),
    ("savedchatrun", "cost", AMOUNT | {"null": True}),
]
# For the way back: a source that the database from before does not know.
NO_OWN_PRICES = "UPDATE llm_requests SET cost_source = 'mixed' WHERE cost_source = 'configured'"


def again(function: str) -> str:
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def wider(function: str) -> str:
    """Let a function take amounts as large as the columns are now."""
    found = function.replace("numeric(12, 8)", "numeric(20, 8)")
    found = found.replace("least(9999, ", "least(999999999, ")
    return again(found)


class Migration(migrations.Migration):
    """Store what a turn costs, however much that is, and that the price was the account's own.

    A wider numeric of the same scale rewrites no row. Servers that still run write what fits.
    """

    dependencies = [
        ("accounts", "0015_budget_amounts"),
        ("sessions_app", "0022_server_processes"),
    ]

    operations = [
        *(
            migrations.AlterField(model, name, models.DecimalField(**kind))
            for model, name, kind in AMOUNTS
        ),
        migrations.AlterField(
            "llmrequest",
            "cost_source",
            models.CharField(
                choices=[(source, source) for source in SOURCES],
                db_default="unknown",
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint("llmrequest", "ck_llm_requests_cost_source"),
        AddConstraintNotValid(
            "llmrequest",
            models.CheckConstraint(
                condition=Q(cost_source__in=SOURCES), name="ck_llm_requests_cost_source"
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, NO_OWN_PRICES),
        *(
            migrations.RunSQL(wider(function), again(function))
            for function in (BEFORE.COUNT_TURNS, OPEN, BEFORE.SETTLE)
        ),
    ]
