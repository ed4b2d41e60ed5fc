CREATE POLICY tenant ON webhook_endpoints TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON webhook_endpoints TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_deliveries TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON webhook_deliveries TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
