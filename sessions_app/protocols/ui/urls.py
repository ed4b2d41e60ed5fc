"""The addresses of an agent for clients of AG-UI and of Vercel's AI SDK."""

from django.urls import path

from sessions_app.protocols.ui.ag_ui import views as ag_ui
from sessions_app.protocols.ui.ai_sdk import views as ai_sdk

app_name = "ui-protocols"

urlpatterns = [
    path("agents/<str:instance>/ag-ui", ag_ui.run, name="ag-ui"),
    path("agents/<str:instance>/ui-messages", ai_sdk.answer, name="ui-messages"),
    path(
        "agents/<str:instance>/ui-messages/<str:thread_id>/stream",
        ai_sdk.running_stream,
        name="ui-messages-stream",
    ),
]
