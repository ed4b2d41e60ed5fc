"""The API's addresses of agents and model connections."""

from django.urls import path

from agents.api import connection_views, views

app_name = "agents"

urlpatterns = [
    path("connections", connection_views.all_connections, name="connections"),
    path("connections/<str:name>", connection_views.one_connection, name="connection"),
    path("agents", views.agent_list, name="list"),
    path("agents/<str:instance>", views.agent_detail, name="detail"),
    path("agents/<str:instance>/metadata", views.agent_detail, name="metadata"),
    path("agents/<str:instance>/visitors", views.visitor_start, name="visitors"),
]
