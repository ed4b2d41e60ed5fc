from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Feedback has a status, and test chats the answers that staff would have given.

    A rating leaves the audit trigger alone: it is for who changes the status.
    """

    dependencies = [("sessions_app", "0010_lean_turns")]

    operations = [
        migrations.AddField(
            model_name="messagefeedback",
            name="status",
            field=models.CharField(
                blank=True,
                choices=[("fixed", "fixed"), ("no_fault", "no fault")],
                db_default="",
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="messagefeedback",
            name="handled_by",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=255),
        ),
        migrations.AddField(
            model_name="messagefeedback",
            name="handled_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="messagefeedback",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["", "fixed", "no_fault"])),
                name="ck_message_feedback_status",
            ),
        ),
        migrations.AddField(
            model_name="savedchat",
            name="better_answers",
            field=models.JSONField(
                blank=True, db_default=models.Value([], models.JSONField()), default=list
            ),
        ),
        SQLFile("sessions_app", "0011_triggers", before="0011_triggers_back"),
    ]
