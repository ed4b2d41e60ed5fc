from django.db import migrations

from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Roles, and row-level security on what belongs to accounts."""

    dependencies = [("accounts", "0003_tables")]

    operations = [
        rls.roles(),
        rls.current_account(),
        rls.isolated("accounts", column="id"),
        *map(
            rls.isolated,
            [
                "api_keys",
                "memberships",
                "invitations",
                "account_limits",
                "budgets",
                "rate_states",
            ],
        ),
        rls.isolated_people("users"),
        rls.look_up(
            "app_find_account",
            "wanted",
            {"id": "uuid", "slug": "text", "name": "text", "status": "text"},
            "SELECT id, slug, name, status FROM {schema}.accounts WHERE slug = $1",
        ),
        rls.look_up(
            "app_find_api_key",
            "wanted",
            {
                "id": "uuid",
                "account_id": "uuid",
                "account_slug": "text",
                "account_status": "text",
                "key_id": "text",
                "secret_hash": "text",
                "kind": "text",
                "mode": "text",
                "scopes": "text[]",
                "instance_ids": "uuid[]",
                "origins": "text[]",
                "networks": "text[]",
                "expires_at": "timestamptz",
                "revoked_at": "timestamptz",
                "rotated_at": "timestamptz",
                "last_used_at": "timestamptz",
            },
            "SELECT k.id, k.account_id, a.slug, a.status, k.key_id, k.secret_hash, k.kind, k.mode, "
            "k.scopes, k.instance_ids, k.origins, k.networks, k.expires_at, k.revoked_at, k.rotated_at, "
            "k.last_used_at FROM {schema}.api_keys k JOIN {schema}.accounts a "
            "ON a.id = k.account_id WHERE k.key_id = $1",
        ),
    ]
