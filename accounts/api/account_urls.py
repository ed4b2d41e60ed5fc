"""The API's address of an account itself."""

from django.urls import path

from accounts.api import account_views

app_name = "account"

urlpatterns = [path("", account_views.account_change, name="account")]
