"""The project as a Django app: its start-up checks and its admin site."""

from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class SalientConfig(AppConfig):
    name = "salient"
    default = True


class SalientAdminConfig(django_admin.AdminConfig):
    default = False
    default_site = "accounts.site.SalientAdminSite"
