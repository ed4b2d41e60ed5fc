from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("me", views.who_am_i, name="me"),
    path("keys/rotate", views.rotate_key, name="rotate-key"),
]
