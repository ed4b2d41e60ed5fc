from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

from salient.database.sql_files import SQLFile

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
# For the way back: what each column could hold at most.
NARROWER_BEFORE = [
    *(
        ("llm_requests", f"{name}_cost", "9999.99999999")
        for name in ("prompt", "completion", "total", "reserved", "charged")
    ),
    ("saved_chat_runs", "cost", "9999.99999999"),
    ("sessions", "total_cost", "99999999.99999999"),
    ("usage_days", "cost", "9999999999.99999999"),
    ("usage_totals", "cost", "9999999999.99999999"),
]
# Likewise: a source that the database from before does not know.
NO_OWN_PRICES = "UPDATE llm_requests SET cost_source = 'mixed' WHERE cost_source = 'configured'"


def cut(table: str, column: str, most: str) -> migrations.RunSQL:
    """On the way back, make an amount that the narrower column cannot hold the most that it can."""
    return migrations.RunSQL(
        migrations.RunSQL.noop,
        f"UPDATE {table} SET {column} = {most} WHERE {column} > {most}",  # noqa: S608 - all ours
    )


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
        SQLFile("sessions_app", "0023_app_count_turns", before="0021_app_count_turns"),
        SQLFile("sessions_app", "0023_app_open_turns", before="0022_app_open_turns"),
        SQLFile("sessions_app", "0023_app_settle_turns", before="0021_app_settle_turns"),
        *(cut(*column) for column in NARROWER_BEFORE),
    ]
