DROP TRIGGER recorded ON saved_chats;
