"""The worker's tasks in the admin: what ran, what failed, and what comes next."""

from __future__ import annotations

import django_tasks_db.admin  # noqa: F401 - it registers its own page, which ours replaces
from django.contrib import admin
from django_tasks_db.models import DBTaskResult

from accounts.admin.base import RecordAdmin

admin.site.unregister(DBTaskResult)


@admin.register(DBTaskResult)
class TaskAdmin(RecordAdmin["DBTaskResult[..., Any]"]):
    list_display = ["task_path", "status", "run_after", "started_at", "finished_at"]
    list_filter = ["status"]
    search_fields = ["task_path"]
    ordering = ["-run_after"]
    fields = [
        "task_path",
        "status",
        "args_kwargs",
        "run_after",
        "enqueued_at",
        "started_at",
        "finished_at",
        "return_value",
        "exception_class_path",
        "traceback",
    ]
