ALTER POLICY tenant ON agent_instances USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
ALTER POLICY tenant ON config_versions USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
ALTER POLICY tenant ON provider_connections USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
ALTER POLICY tenant ON config_drafts USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
ALTER POLICY tenant ON config_publications USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
