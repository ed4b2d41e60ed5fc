import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Call an agent instance “agent” on every page; the database has no such words."""

    dependencies = [
        ("agents", "0004_agents_by_one_name"),
        ("sessions_app", "0014_lifecycle"),
    ]

    operations = [
        migrations.AlterField(
            model_name="legalhold",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="messagefeedback",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="savedchat",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="saved_chats",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="savedchatrun",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
        migrations.AlterField(
            model_name="usageday",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
                verbose_name="agent",
            ),
        ),
    ]
