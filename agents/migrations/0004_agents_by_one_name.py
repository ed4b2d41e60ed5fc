import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Call an agent instance “agent” on every page, and a connection what the documents call it.

    The database has no such words.
    """

    dependencies = [
        ("agents", "0003_renames"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="agentinstance",
            options={"ordering": ["account_id", "instance_slug"], "verbose_name": "agent"},
        ),
        migrations.AlterModelOptions(
            name="providerconnection",
            options={"ordering": ["name"], "verbose_name": "model connection"},
        ),
        migrations.AlterField(
            model_name="configdraft",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="config_drafts",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="configpublication",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="config_publications",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="configversion",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="config_versions",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="formeragentslug",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
    ]
