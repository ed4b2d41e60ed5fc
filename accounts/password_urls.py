from django.urls import path

from accounts.passwords import SetPasswordView

urlpatterns = [
    path("<str:uidb64>/<str:token>/", SetPasswordView.as_view(), name="set-password"),
]
