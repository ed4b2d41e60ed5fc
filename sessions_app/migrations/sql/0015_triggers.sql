CREATE TRIGGER forget_on_insert AFTER insert ON usage_days FOR EACH ROW WHEN (NEW.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals();
CREATE TRIGGER forget_on_update AFTER update ON usage_days FOR EACH ROW WHEN (NEW.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals();
CREATE TRIGGER forget_on_delete AFTER delete ON usage_days FOR EACH ROW WHEN (OLD.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals();
