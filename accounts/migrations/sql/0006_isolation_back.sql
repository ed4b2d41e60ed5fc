ALTER TABLE webhook_deliveries DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON webhook_deliveries;
DROP POLICY platform ON webhook_deliveries;
ALTER TABLE webhook_endpoints DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON webhook_endpoints;
DROP POLICY platform ON webhook_endpoints;
