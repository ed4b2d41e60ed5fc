DROP TRIGGER recorded ON webhook_endpoints;
