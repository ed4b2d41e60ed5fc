from django.urls import path

from sessions_app import views

app_name = "sessions"

urlpatterns = [
    path("agents/<str:instance>/chat", views.chat, name="chat"),
    path("agents/<str:instance>/stream", views.stream, name="stream"),
    path("agents/<str:instance>/history", views.messages, name="history"),
]
