"""The addresses that clients of OpenAI's API add to a base URL that ends with `v1`."""

from django.urls import path

from sessions_app.openai import views

app_name = "openai"

urlpatterns = [
    path("v1/chat/completions", views.account_completions, name="completions"),
    path("v1/models", views.account_models, name="models"),
    path("v1/models/<str:model>", views.account_model, name="model"),
    path(
        "agents/<str:instance>/v1/chat/completions",
        views.agent_completions,
        name="agent-completions",
    ),
    path("agents/<str:instance>/v1/models", views.agent_models, name="agent-models"),
]
