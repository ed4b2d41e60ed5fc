"""The API's addresses of agents and model connections."""

from django.urls import path

from agents.api import agent_views, config_views, connection_views, views

app_name = "agents"

urlpatterns = [
    path("connections", connection_views.all_connections, name="connections"),
    path("connections/<str:name>", connection_views.one_connection, name="connection"),
    path("agents", agent_views.all_agents, name="list"),
    path("agents/<str:instance>", agent_views.one_agent, name="detail"),
    path("agents/<str:instance>/metadata", agent_views.agent_detail, name="metadata"),
    path("agents/<str:instance>/visitors", views.visitor_start, name="visitors"),
    path("agents/<str:instance>/config", config_views.config, name="config"),
    path("agents/<str:instance>/config/draft", config_views.one_draft, name="draft"),
    path("agents/<str:instance>/config/validate", config_views.validate, name="validate"),
    path("agents/<str:instance>/config/diff", config_views.diff, name="diff"),
    path("agents/<str:instance>/config/publish", config_views.publish, name="publish"),
    path("agents/<str:instance>/config/rollback", config_views.rollback, name="rollback"),
    path("agents/<str:instance>/config/versions", config_views.versions, name="versions"),
    path(
        "agents/<str:instance>/config/versions/<str:number>", config_views.version, name="version"
    ),
]
