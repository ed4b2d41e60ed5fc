from django.urls import path

from accounts import audit_views, key_pages, member_views, pages, views

app_name = "accounts"

urlpatterns = [
    path("me", views.who_am_i, name="me"),
    path("keys/rotate", views.rotate_key, name="rotate-key"),
    path("audit", audit_views.audit, name="audit"),
    path("members", member_views.all_members, name="members"),
    path("members/<str:member_id>", member_views.one_member, name="member"),
    path("invitations/<str:invitation_id>", member_views.one_invitation, name="withdraw"),
    # With a slash at the end: salient/routing.py knows pages by it.
    path("invitations/<str:token>/", pages.invitation, name="invitation"),
    path("invitation/", pages.join, name="join"),
    path("keys/<str:token>/", key_pages.offer, name="key-offer"),
    path("key/", key_pages.take, name="take-key"),
]
