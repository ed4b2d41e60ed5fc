CREATE TRIGGER published AFTER INSERT OR UPDATE OF "rating" ON message_feedback FOR EACH ROW EXECUTE FUNCTION app_publish_feedback();
CREATE TRIGGER published AFTER UPDATE OF "deleted_at" ON sessions FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL AND NEW.copied_from IS NULL) EXECUTE FUNCTION app_publish_session();
