"""The addresses that clients of OpenAI's API add to a base URL that ends with `v1`."""

from django.urls import path

from sessions_app.protocols.openai import views
from sessions_app.protocols.openai.responses import views as responses

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
    path("agents/<str:instance>/v1/models/<str:model>", views.agent_model, name="agent-model"),
    path("v1/responses", responses.account_create, name="responses"),
    path("v1/responses/<str:response_id>", responses.account_response, name="response"),
    path(
        "v1/responses/<str:response_id>/input_items",
        responses.account_items,
        name="response-items",
    ),
    path("v1/responses/<str:response_id>/cancel", responses.account_cancel, name="response-cancel"),
    path("agents/<str:instance>/v1/responses", responses.agent_create, name="agent-responses"),
    path(
        "agents/<str:instance>/v1/responses/<str:response_id>",
        responses.agent_response,
        name="agent-response",
    ),
    path(
        "agents/<str:instance>/v1/responses/<str:response_id>/input_items",
        responses.agent_items,
        name="agent-response-items",
    ),
    path(
        "agents/<str:instance>/v1/responses/<str:response_id>/cancel",
        responses.agent_cancel,
        name="agent-response-cancel",
    ),
]
