"""Sessions, messages, model requests, their figures and feedback, and test chats."""

from sessions_app.models.conversation import (
    SEARCHED,
    SEARCHED_CHARACTERS,
    SEARCHED_TEXT,
    CompletionStatus,
    LLMRequest,
    Message,
    MessageQuerySet,
    Profile,
    Role,
    Session,
    SessionQuerySet,
)
from sessions_app.models.erasure import Erasure, IdentifierKind
from sessions_app.models.insights import (
    OPEN_FEEDBACK,
    FeedbackStatus,
    MessageFeedback,
    PromptSection,
    SavedChat,
    SavedChatRun,
    UsageDay,
    UsageSums,
    UsageTotal,
)
from sessions_app.models.lifecycle import AccountErasure, LegalHold, Retention
from sessions_app.models.server_process import ServerProcess
from sessions_app.models.turn_events import TurnCancellation, TurnEventBatch

__all__ = [
    "OPEN_FEEDBACK",
    "SEARCHED",
    "SEARCHED_CHARACTERS",
    "SEARCHED_TEXT",
    "AccountErasure",
    "CompletionStatus",
    "Erasure",
    "FeedbackStatus",
    "IdentifierKind",
    "LLMRequest",
    "LegalHold",
    "Message",
    "MessageFeedback",
    "MessageQuerySet",
    "Profile",
    "PromptSection",
    "Retention",
    "Role",
    "SavedChat",
    "SavedChatRun",
    "ServerProcess",
    "Session",
    "SessionQuerySet",
    "TurnCancellation",
    "TurnEventBatch",
    "UsageDay",
    "UsageSums",
    "UsageTotal",
]
