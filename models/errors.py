"""The errors of records, files and plans. HTTP statuses are decided in `api/errors.py` alone."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from matching.errors import ReconError

__all__ = [
    "AssistantUnavailable",
    "Conflict",
    "DependencyDown",
    "FileUnreadable",
    "FileVanished",
    "NotFound",
    "NotRenderable",
    "PayloadTooLarge",
    "PlanInvalid",
    "ReconError",
    "StorageRefused",
    "StorageUnavailable",
    "ValidationFailed",
    "described",
]


class NotFound(ReconError):
    """`<Entity> not found with id: <n>`; the code is `<ENTITY>_NOT_FOUND`."""

    code = "NOT_FOUND"

    def __init__(self, entity: str, entity_id: int) -> None:
        super().__init__(f"{entity} not found with id: {entity_id}", entity=entity, id=entity_id)
        self.code = NOT_FOUND_CODES.get(entity, "NOT_FOUND")


NOT_FOUND_CODES = {
    "UploadedFile": "FILE_NOT_FOUND",
    "RuleSet": "RULE_SET_NOT_FOUND",
    "Reconciliation": "RECONCILIATION_NOT_FOUND",
    "Stream": "STREAM_NOT_FOUND",
    "StreamRun": "RUN_NOT_FOUND",
    "StepRun": "STEP_RUN_NOT_FOUND",
    "DataSource": "DATA_SOURCE_NOT_FOUND",
    "ReconciliationException": "EXCEPTION_NOT_FOUND",
    "FieldMapping": "FIELD_MAPPING_NOT_FOUND",
    "MatchingRule": "MATCHING_RULE_NOT_FOUND",
    "Record": "RECORD_NOT_FOUND",
    "ChatSession": "CHAT_SESSION_NOT_FOUND",
    "KnowledgeDocument": "KNOWLEDGE_DOCUMENT_NOT_FOUND",
    "User": "USER_NOT_FOUND",
    "ApiKey": "API_KEY_NOT_FOUND",
}
"""Entity words of the legacy texts, and the codes they go by."""


class ValidationFailed(ReconError):
    """A request whose shape is wrong; `fields` says where."""

    code = "VALIDATION_FAILED"


class PlanInvalid(ReconError):
    """A definition that can't run as it stands; `code` is that of the problem found."""

    code = "PLAN_INVALID"

    def __init__(self, message: str, *, code: str = "PLAN_INVALID", **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.code = code


class Conflict(ReconError):
    """The state of a record forbids what was asked; `code` may be narrowed by the caller."""

    code = "CONFLICT"

    def __init__(self, message: str, *, code: str = "CONFLICT", **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.code = code


class FileUnreadable(ReconError):
    """Bytes that are not the table they claim to be; names the line where there is one."""

    code = "FILE_UNREADABLE"


class FileVanished(ReconError):
    """A file's record is there and its bytes are not."""

    code = "FILE_MISSING_IN_STORAGE"


class NotRenderable(ReconError):
    """A table that the format asked for can't hold."""

    code = "NOT_RENDERABLE"


class PayloadTooLarge(ReconError):
    code = "PAYLOAD_TOO_LARGE"


class StorageUnavailable(ReconError):
    """The object store does not answer; worth another attempt."""

    code = "STORAGE_UNAVAILABLE"
    retryable = True


class StorageRefused(ReconError):
    """The object store answers and refuses: wrong credentials, no such bucket, no right to write."""

    code = "STORAGE_REFUSED"


class DependencyDown(ReconError):
    """A server this product leans on (workflow engine, database) does not answer."""

    code = "DEPENDENCY_UNAVAILABLE"
    retryable = True


class AssistantUnavailable(ReconError):
    """What only a language model can answer, and none is configured."""

    code = "AI_UNAVAILABLE"


def described(error: Exception) -> tuple[str, str]:
    """The code and the sentence that a step run which failed with `error` keeps."""
    if isinstance(error, ReconError):
        return error.code, error.message
    if isinstance(error, ValidationError):
        return "RULE_INVALID", "; ".join(str(one["msg"]) for one in error.errors())
    if isinstance(error, MemoryError):
        return "OUT_OF_MEMORY", "The step needs more memory than there is"
    return "STEP_ERROR", f"{type(error).__name__}: {error}"
