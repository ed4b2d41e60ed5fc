CREATE POLICY tenant ON usage_totals TO salient_tenant USING (account_id = (SELECT app_current_account())) WITH CHECK (account_id = (SELECT app_current_account()));
CREATE POLICY platform ON usage_totals TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE usage_totals ENABLE ROW LEVEL SECURITY;
