from django.urls import path

from agents import views

app_name = "agents"

urlpatterns = [
    path("agents", views.agent_list, name="list"),
    path("agents/<str:instance>", views.agent_detail, name="detail"),
    path("agents/<str:instance>/metadata", views.agent_detail, name="metadata"),
]
