DROP TRIGGER published ON sessions;
DROP TRIGGER published ON message_feedback;
