"""The table of the route matrix: what every route answers to every kind of caller.

A row is a route's method with one status for each column; one status alone is everyone's. The
method `*` stands for all methods that the route has no row for. Without a row of its own HEAD is as
GET, and each route of an account tells its methods to whoever asks with OPTIONS. `own`, `others`
and so on in IDS say whose id is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

CALLERS = (
    # a secret key of acme, one of beta; one lacking the scope, one for another instance
    *("nobody", "key", "foreign", "lacking", "elsewhere"),
    *("publishable", "test", "cookie", "token", "end_user"),
    *("owner", "admin", "member", "viewer"),
    # people of the platform who are no members of acme
    *("staff", "root", "auditor"),
    # keys that were good; a good key of a suspended account
    *("revoked", "expired", "suspended"),
)

API = """
healthz
    *       200
readyz
    *       200
metrics
    *       404
openapi.json
    GET     200
    OPTIONS 204
    *       405
accounts/<str:account>
    PATCH   401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/openapi.json
    GET     401 200 404 200 200   403 200 401 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/me
    GET     401 200 404 200 200   403 200 401 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/keys/rotate
    POST    401 201 404 201 201   403 201 401 403 403   403 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/keys
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/keys/<str:key_id>
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/keys/<str:key_id>/rotate
    POST    401 201 404 403 403   403 403 401 403 403   201 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/keys/<str:key_id>/revoke
    POST    401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/limits
    GET     401 200 404 403 200   403 200 401 403 403   200 200 200 200   401 401 401   401 401 403
    PATCH   401 200 404 403 403   403 403 401 403 403   200 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/budgets
    GET     401 200 404 403 200   403 200 401 403 403   200 200 200 200   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/budgets/<str:budget_id>
    PATCH   401 200 404 403 403   403 403 401 403 403   200 403 403 403   401 401 401   401 401 403
    DELETE  401 204 404 403 403   403 403 401 403 403   204 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/audit
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/members
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/members/<str:member_id>
    PATCH   401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    DELETE  401 204 404 403 403   403 403 401 403 403   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/invitations
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/invitations/<str:invitation_id>
    DELETE  401 204 404 403 403   403 403 401 403 403   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/connections
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/connections/<str:name>
    PATCH   401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    DELETE  401 204 404 403 403   403 403 401 403 403   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    PATCH   401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    DELETE  401 204 404 403 403   403 403 401 403 403   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>/rotate
    POST    401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>/test
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>/deliveries
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>/deliveries/<str:delivery_id>
    GET     401 200 404 403 200   403 200 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/resend
    POST    401 200 404 403 403   403 403 401 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/usage
    GET     401 200 404 403 200   403 200 401 403 403   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents
    GET     401 200 404 403 200   403 200 401 403 403   200 200 200 200   401 401 401   401 401 403
    POST    401 201 404 403 403   403 403 401 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>
    GET     401 200 404 403 404   403 200 403 403 403   200 200 200 200   401 401 401   401 401 403
    PATCH   401 200 404 403 404   403 403 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/metadata
    GET     401 200 404 403 404   403 200 403 403 403   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config
    GET     401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/draft
    GET     401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    PUT     401 200 404 403 404   403 403 403 403 403   200 200 403 403   401 401 401   401 401 403
    DELETE  401 204 404 403 404   403 403 403 403 403   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/validate
    POST    401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/diff
    GET     401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/publish
    POST    401 201 404 403 404   403 403 403 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/rollback
    POST    401 201 404 403 404   403 403 403 403 403   201 201 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/versions
    GET     401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/config/versions/<str:number>
    GET     401 200 404 403 404   403 200 403 403 403   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/visitors
    POST    401 201 404 403 404   201 201 403 403 403   403 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/chat
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/stream
    HEAD    405
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/history
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/messages/<str:message_id>/feedback
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/sessions
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    POST    401 201 404 403 404   403 201 403 403 201   201 201 201 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/sessions/<str:session_id>
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    PATCH   401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    DELETE  401 204 404 403 404   403 204 204 204 204   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/sessions/<str:session_id>/messages
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/sessions/<str:session_id>/export
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/turns/<str:turn_id>
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    DELETE  401 204 404 403 404   403 204 204 204 204   204 204 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/turns/<str:turn_id>/events
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/turns/<str:turn_id>/cancel
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/test-chats/<str:chat_id>/run
    POST    401 403 404 403 404   403 403 403 403 403   403 403 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/chat/completions
    POST    401 200 404 403 404   403 200 401 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/models
    GET     401 200 404 403 200   403 200 401 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/models/<str:model>
    GET     401 200 404 403 404   403 200 401 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/chat/completions
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/models
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/models/<str:model>
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/ag-ui
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/ui-messages
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/ui-messages/<str:thread_id>/stream
    GET     401 204 404 403 404   403 204 204 204 204   204 204 204 403   401 401 401   401 401 403
    DELETE  401 204 404 403 404   403 204 204 204 204   204 204 204 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/responses
    POST    401 200 404 403 404   403 200 401 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/responses/<str:response_id>
    GET     401 200 404 403 404   403 200 401 200 200   200 200 200 200   401 401 401   401 401 403
    DELETE  401 200 404 403 404   403 200 401 200 200   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/responses/<str:response_id>/input_items
    GET     401 200 404 403 404   403 200 401 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/v1/responses/<str:response_id>/cancel
    POST    401 200 404 403 404   403 200 401 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/responses
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/responses/<str:response_id>
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    DELETE  401 200 404 403 404   403 200 200 200 200   200 200 403 403   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/responses/<str:response_id>/input_items
    GET     401 200 404 403 404   403 200 200 200 200   200 200 200 200   401 401 401   401 401 403
    *       405
accounts/<str:account>/agents/<str:instance>/v1/responses/<str:response_id>/cancel
    POST    401 200 404 403 404   403 200 200 200 200   200 200 200 403   401 401 401   401 401 403
    *       405
"""

# Pages are for browsers: whoever sends a key instead is nobody to them. Every form is empty and
# comes with its CSRF token. 302 leads to a login. HEAD is as GET where it has no row.
BROWSERS = ("nobody", "key", "cookie", "owner", "viewer", "staff", "root", "auditor")

# Every model, with what may be done to its rows in the admin, which decides what its pages answer:
# [free] is made, changed and deleted, [kept] is not deleted, nor is what is [bounded], for which an
# empty form is a good one; [corrected] is not made and read only with a reason; a [person] who is a
# member is not deleted; a [record] is only read, and what was [said] only with a reason.
ADMIN_KINDS = {
    "auth/group": "free",
    "accounts/user": "person",
    "accounts/account": "kept",
    "accounts/accountlimits": "bounded",
    "accounts/apikey": "kept",
    "accounts/budget": "free",
    "accounts/membership": "place",
    "accounts/invitation": "offer",
    "accounts/supportaccess": "record",
    "accounts/auditentry": "record",
    "accounts/webhookendpoint": "record",
    "accounts/webhookdelivery": "record",
    "django_tasks_database/dbtaskresult": "record",
    "agents/agentinstance": "kept",
    "agents/providerconnection": "free",
    "agents/configversion": "record",
    "sessions_app/session": "record",
    "sessions_app/message": "said",
    "sessions_app/llmrequest": "record",
    "sessions_app/messagefeedback": "record",
    "sessions_app/savedchat": "free",
    "sessions_app/profile": "corrected",
    "sessions_app/erasure": "record",
    "sessions_app/accounterasure": "record",
    # No page of their own: an account's, an agent's, a request's, a test chat's or the overview
    # shows them.
    "accounts/formerslug": "",
    "accounts/refusalday": "",
    "agents/configdraft": "",
    "agents/configpublication": "",
    "agents/formeragentslug": "",
    "sessions_app/legalhold": "",
    "sessions_app/promptsection": "",
    "sessions_app/retention": "",
    "sessions_app/savedchatrun": "",
    "sessions_app/usageday": "",
    "sessions_app/usagetotal": "",
    # No page at all, because they are of a moment: how far a rate is used up, which server
    # processes live, what these tell each other about running turns, and which forms were sent.
    "accounts/attemptrate": "",
    "accounts/ratestate": "",
    "accounts/sentform": "",
    "sessions_app/serverprocess": "",
    "sessions_app/turncancellation": "",
    "sessions_app/turneventbatch": "",
}

PAGES = """
<home>
    *       302
docs/
    GET     200
    *       405
admin/
    GET     302 302 302 302 302 200 200 200
    *       302 302 302 302 302 200 200 403
admin/login/
    GET     200 200 200 200 200 302 302 302
    HEAD    200
    PATCH   405
    DELETE  405
    *       200
admin/logout/
    POST    302 302 302 302 302 200 200 200
    OPTIONS 302 302 302 302 302 200 200 200
    *       302 302 302 302 302 405 405 405
admin/password_change/
    PATCH   302 302 302 302 302 405 405 405
    DELETE  302 302 302 302 302 405 405 405
    *       302 302 302 302 302 200 200 200
admin/password_change/done/
    GET     302 302 302 302 302 200 200 200
    OPTIONS 302 302 302 302 302 200 200 403
    *       302 302 302 302 302 405 405 403
admin/autocomplete/
    GET     302 302 302 302 302 404 404 404
    *       302 302 302 302 302 404 404 403
admin/list-search/
    *       302
admin/why-refused/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 405 403
admin/erase-person/
    GET     302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 200 403
admin/lifecycle/<uuid:account_id>/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 302 403
admin/find/
    *       302 302 302 302 302 200 200 200
admin/onboarding/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 200 403
admin/onboarding/<uuid:account_id>/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 200 403
admin/usage/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 405 405 403
admin/jsi18n/
    GET     302 302 302 302 302 200 200 200
    OPTIONS 302 302 302 302 302 200 200 403
    *       302 302 302 302 302 405 405 403
admin/r/<path:content_type_id>/<path:object_id>/
    GET     302 302 302 302 302 404 404 404
    *       302 302 302 302 302 404 404 403
admin/[free]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[free]/add/
    *       302 302 302 302 302 403 200 403
admin/[free]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[free]/<path:object_id>/delete/
    *       302 302 302 302 302 403 200 403
admin/[free]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[free]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[free]/of/<uuid:object_id>/
    GET     302 302 302 302 302 403 404 404
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/playground/<uuid:object_id>/
    GET     302 302 302 302 302 403 404 404
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/playground/<uuid:object_id>/token/
    GET     302 302 302 302 302 405 405 405
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/sections/<uuid:object_id>/
    GET     302 302 302 302 302 403 404 404
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/from-session/<uuid:object_id>/
    GET     302 302 302 302 302 403 404 403
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/better-answer/<uuid:object_id>/
    GET     302 302 302 302 302 403 404 403
    POST    302 302 302 302 302 403 404 403
    *       302 302 302 302 302 405 405 403
admin/[free]/<uuid:object_id>/test/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[person]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[person]/add/
    *       302 302 302 302 302 403 200 403
admin/[person]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[person]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[person]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 200 403
admin/[person]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[person]/<id>/password/
    *       302 302 302 302 302 403 403 403
admin/[person]/<uuid:object_id>/password-link/
    GET     302 302 302 302 302 403 405 403
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[kept]/add/
    *       302 302 302 302 302 403 200 403
admin/[kept]/status/<str:change>/
    *       302 302 302 302 302 403 200 403
admin/[kept]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[kept]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[kept]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[kept]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[kept]/<uuid:object_id>/configuration/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/review/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/reset/
    GET     302 302 302 302 302 403 302 302
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/discard/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/history/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/history/<int:number>/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/history/<int:number>/roll-back/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/configuration/compare/<uuid:old>/<uuid:new>/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/status/<slug:status>/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[bounded]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[bounded]/add/
    *       302 302 302 302 302 403 200 403
admin/[bounded]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[bounded]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[bounded]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 200 403
admin/[bounded]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[record]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[record]/add/
    *       302 302 302 302 302 403 403 403
admin/[record]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[record]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[record]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 403 403
    *       302 302 302 302 302 403 200 403
admin/[record]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[kept]/<uuid:object_id>/rename/
    *       302 302 302 302 302 403 200 403
admin/[kept]/<uuid:object_id>/suspend/
    GET     302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 200 403
admin/[kept]/<uuid:object_id>/resume/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[free]/<uuid:object_id>/suspend/
    GET     302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 200 403
admin/[free]/<uuid:object_id>/resume/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[kept]/<uuid:object_id>/rotate/
    *       302 302 302 302 302 403 200 403
    GET     302 302 302 302 302 403 200 403
admin/[kept]/<uuid:object_id>/replace/
    GET     302 302 302 302 302 403 200 403
    *       302 302 302 302 302 403 200 403
admin/[kept]/<uuid:object_id>/revoke/
    GET     302 302 302 302 302 403 200 403
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 200 403
admin/[record]/export/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 405 405 403
admin/[record]/usage/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 405 405 403
admin/[place]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[place]/add/
    *       302 302 302 302 302 403 403 403
admin/[place]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[place]/<path:object_id>/delete/
    *       302 302 302 302 302 403 200 403
admin/[place]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[place]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[offer]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[offer]/add/
    *       302 302 302 302 302 403 200 403
admin/[offer]/<uuid:object_id>/withdraw/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[offer]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[offer]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[offer]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 403 403
    *       302 302 302 302 302 403 200 403
admin/[offer]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[record]/open/
    POST    302 302 302 302 302 403 302 302
    *       302 302 302 302 302 403 405 405
admin/[record]/<uuid:object_id>/end/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[record]/<uuid:object_id>/status/
    POST    302 302 302 302 302 403 302 403
    *       302 302 302 302 302 403 405 403
admin/[said]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[said]/add/
    *       302 302 302 302 302 403 403 403
admin/[said]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[said]/<path:object_id>/delete/
    *       302 302 302 302 302 403 403 403
admin/[said]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    POST    302 302 302 302 302 403 403 403
    *       302 302 302 302 302 403 200 403
admin/[said]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/[said]/export/
    GET     302 302 302 302 302 403 302 302
    *       302 302 302 302 302 405 405 403
admin/[corrected]/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[corrected]/add/
    *       302 302 302 302 302 403 403 403
admin/[corrected]/<path:object_id>/history/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[corrected]/<path:object_id>/delete/
    *       302 302 302 302 302 403 200 403
admin/[corrected]/<path:object_id>/change/
    GET     302 302 302 302 302 403 200 200
    *       302 302 302 302 302 403 200 403
admin/[corrected]/<path:object_id>/
    GET     302
    *       302 302 302 302 302 302 302 403
admin/^(?P<app_label>accounts|auth|django_tasks_database|agents|sessions_app)/$
    GET     302 302 302 302 302 404 200 200
    *       302 302 302 302 302 404 200 403
admin/(?P<url>.*)$
    GET     302 302 302 302 302 404 404 404
    *       302 302 302 302 302 404 404 403
login/
    PATCH   405
    DELETE  405
    *       200
logout/
    POST    302
    OPTIONS 200
    *       405
accounts/<str:account>/invitations/<str:token>/
    GET     302
    *       405
accounts/<str:account>/invitation/
    GET     404
    POST    404
    *       405
accounts/<str:account>/keys/<str:token>/
    GET     404
    *       405
accounts/<str:account>/key/
    GET     404
    POST    404
    *       405
password/<str:uidb64>/<str:token>/
    *       200
accounts/<str:account>/agents/<str:instance>/
    GET     302 302 302 302 302 200 200 403
    POST    302 302 302 302 302 303 303 403
    *       405
"""

COMPLETION = {"model": "bot", "messages": [{"role": "user", "content": "hello"}]}
RESPONSE = {"model": "bot", "input": "hello"}
# What is sent so that the call would be a good one; {…} is filled in with the caller's own.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("accounts/<str:account>", "PATCH"): {"name": "Acme & Sons"},
    ("keys/rotate", "POST"): {},
    ("members", "POST"): {"email": "new@example.com", "role": "viewer"},
    ("members/<str:member_id>", "PATCH"): {"role": "viewer"},
    ("connections", "POST"): {"name": "more", "base_url": "https://more.example.com/v1"},
    ("connections/<str:name>", "PATCH"): {"key": "sk-another-0123456789"},
    ("keys", "POST"): {"name": "new", "scopes": ["chat"]},
    ("keys/<str:key_id>/rotate", "POST"): {},
    ("keys/<str:key_id>/revoke", "POST"): {},
    ("limits", "PATCH"): {"message_bytes": 1000},
    ("budgets", "POST"): {"period": "day", "limit": "5"},
    ("budgets/<str:budget_id>", "PATCH"): {"limit": "5"},
    ("agents", "POST"): {
        "instance_slug": "another",
        "config": "system_prompt: Be brief.\nmodel: scripted:echo\n",
    },
    ("agents/<str:instance>", "PATCH"): {"display_name": "Another name"},
    ("agents/<str:instance>/config/draft", "PUT"): {"text": "temperature: 1\n"},
    ("agents/<str:instance>/config/validate", "POST"): {"text": "temperature: 1\n"},
    ("agents/<str:instance>/config/publish", "POST"): {
        "note": "better",
        "gate_reason": "urgent",
        "base": 1,
    },
    ("agents/<str:instance>/config/rollback", "POST"): {"version": 1, "note": "worse"},
    ("webhooks", "POST"): {"url": "https://hooks.example.com/in", "events": ["turn.finished"]},
    ("webhooks/<str:webhook_id>", "PATCH"): {"description": "another"},
    ("webhooks/<str:webhook_id>/rotate", "POST"): {},
    ("agents/<str:instance>/visitors", "POST"): {},
    ("agents/<str:instance>/chat", "POST"): {"message": "hello"},
    ("agents/<str:instance>/stream", "POST"): {"message": "hello"},
    ("agents/<str:instance>/messages/<str:message_id>/feedback", "POST"): {"rating": "good"},
    ("v1/chat/completions", "POST"): COMPLETION,
    ("agents/<str:instance>/v1/chat/completions", "POST"): COMPLETION,
    ("agents/<str:instance>/sessions", "POST"): {"title": "Rabbits"},
    ("agents/<str:instance>/sessions/<str:session_id>", "PATCH"): {"title": "Rabbits"},
    ("v1/responses", "POST"): RESPONSE,
    ("agents/<str:instance>/v1/responses", "POST"): RESPONSE,
    ("agents/<str:instance>/ag-ui", "POST"): {
        "threadId": "t",
        "runId": "r",
        "messages": [{"id": "u", "role": "user", "content": "hello"}],
    },
    ("agents/<str:instance>/ui-messages", "POST"): {
        "id": "t",
        "messages": [
            {"id": "u", "role": "user", "parts": [{"type": "text", "text": "hello"}]},
        ],
    },
}
QUERIES: dict[tuple[str, str], dict[str, Any]] = {
    ("agents/<str:instance>/stream", "GET"): {"message": "hello"},
    ("agents/<str:instance>/history", "GET"): {"session_id": "{session_id}"},
}

# What was read before, for routes that write over it.
HEADERS: dict[tuple[str, str], dict[str, str]] = {
    ("agents/<str:instance>/config/draft", "PUT"): {"if-match": "{draft_etag}"},
    ("agents/<str:instance>/config/draft", "DELETE"): {"if-match": "{draft_etag}"},
    ("agents/<str:instance>/config/publish", "POST"): {"if-match": "{draft_etag}"},
}

# Whose id it is: the caller's, another's of the same account, beta's, nobody's; and what is none.
WHOSE = ("own", "others", "foreign", "random", "malformed")
# Ids whose answers differ from the rule in routes.py: an id in a path is the status of API for
# those who may see its row, else 404. First for those who see a whole account (a key, an owner),
# then for those who see what is theirs (an anonymous visitor, an end user). An id in a query or a
# body always has a row, except the cursor of a list.
IDS = """
usage
    GET    key           200 200 200 200 400   403 403 403 403 403
agents/<str:instance>/config/versions/<str:number>
    GET    number        200 404 404 404 404   403 403 403 403 403
webhooks/<str:webhook_id>/deliveries/<str:delivery_id>
    GET    webhook_id    200 404 404 404 404   403 403 403 403 403
    GET    delivery_id   200 404 404 404 404   403 403 403 403 403
webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/resend
    POST   webhook_id    200 404 404 404 404   403 403 403 403 403
    POST   delivery_id   200 404 404 404 404   403 403 403 403 403
agents/<str:instance>/ui-messages/<str:thread_id>/stream
    GET    thread_id     204 204 204 204 204   204 204 204 204 204
    DELETE thread_id     204 204 204 204 204   204 204 204 204 204
agents/<str:instance>/test-chats/<str:chat_id>/run
    POST   chat_id       403 403 403 403 403   403 403 403 403 403
agents/<str:instance>/v1/models/<str:model>
    GET    model         200 200 200 200 200   200 200 200 200 200
agents/<str:instance>/history
    GET    session_id    200 200 404 404 400   200 404 404 404 400
    GET    before        200 404 404 404 400   200 404 404 404 400
v1/responses
    POST   previous_response_id   200 200 400 400 400   200 400 400 400 400
agents/<str:instance>/v1/responses
    POST   previous_response_id   200 200 400 400 400   200 400 400 400 400
agents/<str:instance>/chat
    POST   session_id    200 200 404 404 400   200 404 404 404 400
agents/<str:instance>/stream
    GET    session_id    200 200 404 404 400   200 404 404 404 400
    POST   session_id    200 200 404 404 400   200 404 404 404 400
"""
WHOLE_ACCOUNT, THEIR_OWN = ("key", "owner"), ("token", "end_user")
# No body may have these: they come from the key, the path and the files.
NEVER_FROM_A_BODY = (
    *("id", "account", "account_id", "account_slug", "agent_instance_id", "user_id"),
    *("is_test", "cost", "total_cost", "model", "provider", "headers", "api_key", "system_prompt"),
)


def rows(table: str, columns: tuple[str, ...]) -> dict[tuple[str, str], dict[str, int]]:
    """Read a table: (route, method) to the status of each column."""
    found = {}
    for route, words in _lines(table):
        method, *statuses = words
        if len(statuses) == 1:
            statuses *= len(columns)
        found[route, method] = dict(zip(columns, map(int, statuses), strict=True))
    return found


def id_exceptions() -> dict[tuple[str, str, str], list[int]]:
    """Read IDS: (route, method, place) to the statuses in the order of the columns."""
    return {
        (route, method, place): [*map(int, statuses)]
        for route, (method, place, *statuses) in _lines(IDS)
    }


def _lines(table: str) -> Iterator[tuple[str, list[str]]]:
    route = ""
    for line in filter(None, table.splitlines()):
        if line.startswith(" "):
            yield route, line.split()
        else:
            route = line
