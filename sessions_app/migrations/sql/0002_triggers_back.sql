DROP TRIGGER forget_on_delete ON usage_days;
DROP TRIGGER forget_on_update ON usage_days;
DROP TRIGGER forget_on_insert ON usage_days;
DROP TRIGGER recorded ON profiles;
DROP TRIGGER recorded ON saved_chats;
