"""What the pages for chat, knowledge and AI settings call. No model is built in: what needs one answers 503."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.deps import Org, RecordId, Use
from api.envelope import Acknowledged, Envelope, Wire, ok
from api.wire import Given, Text
from models import conversations, reconciliations
from models.conversations import PROVIDERS, ChatSession
from models.errors import AssistantUnavailable, NotFound, ValidationFailed
from models.streams import Domain

routes = APIRouter(tags=["assistant"])

GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class ChatMessage(Wire):
    id: int
    role: Literal["user", "assistant"]
    content: str
    metadata: dict[str, Any] | None
    created_at: datetime
    session_id: int


class ChatSessionDetail(Wire):
    id: int
    title: str
    reconciliation_id: int | None
    messages: list[ChatMessage] = Field(default_factory=list[ChatMessage])
    active: bool
    created_at: datetime
    updated_at: datetime


class ChatAnswer(Wire):
    session_id: int
    message_id: int
    role: Literal["assistant"]
    response: str
    created_at: datetime


class KnowledgeDocument(Wire):
    id: int
    title: str
    domain: Domain
    file_type: str
    chunk_count: int
    created_by_email: str
    created_at: datetime


class ChatRequest(Given):
    message: Annotated[Text, Field(min_length=1)]
    session_id: GivenId | None = None
    reconciliation_id: GivenId | None = None


class ProviderRequest(Given):
    provider: Literal["anthropic", "openai", "deepseek"]


class AiConfig(Wire):
    current_provider: str
    available_providers: list[str]
    requires_restart: bool


def _unavailable() -> NoReturn:
    raise AssistantUnavailable("AI service temporarily unavailable: no AI provider is configured")


@routes.post("/chat/sessions", status_code=201, response_model=Envelope[ChatSessionDetail])
def open_session(
    use: Use,
    org: Org,
    reconciliation_id: Annotated[int | None, Query(alias="reconciliationId", ge=-(2**63), le=2**63 - 1)] = None,
) -> Response:
    """A session, about a reconciliation if one is named."""
    with use.database.write() as session:
        title = "New conversation"
        if reconciliation_id is not None:
            title = f"About {reconciliations.get(session, org, reconciliation_id).name}"
        made = ChatSession(organization_id=org, title=title, reconciliation_id=reconciliation_id)
        session.add(made)
        session.flush()
    return ok(ChatSessionDetail.model_validate(made), status=201)


@routes.get("/chat/sessions", response_model=Envelope[list[ChatSessionDetail]])
def sessions(use: Use, org: Org) -> Response:
    """The sessions, the latest first."""
    with use.database.read() as session:
        return ok([ChatSessionDetail.model_validate(one) for one in conversations.listed(session, org)])


@routes.get("/chat/sessions/{id}", response_model=Envelope[ChatSessionDetail])
def one_session(use: Use, org: Org, id: RecordId) -> Response:
    """One session."""
    with use.database.read() as session:
        return ok(ChatSessionDetail.model_validate(conversations.get(session, org, id)))


@routes.get("/chat/sessions/{id}/messages", response_model=Envelope[list[ChatMessage]])
def messages(use: Use, org: Org, id: RecordId) -> Response:
    """The messages of a session; without a model there are none."""
    with use.database.read() as session:
        conversations.get(session, org, id)
    return ok([])


@routes.delete("/chat/sessions/{id}", response_model=Acknowledged)
def end_session(use: Use, org: Org, id: RecordId) -> Response:
    """Takes a session out of the list."""
    with use.database.write() as session:
        conversations.end(session, org, id)
    return ok(message="Chat session deleted successfully")


@routes.post("/chat/message", response_model=Envelope[ChatAnswer])
def message(use: Use, org: Org, body: ChatRequest) -> Response:
    """Needs a model."""
    if body.session_id is not None:
        with use.database.read() as session:
            conversations.get(session, org, body.session_id)
    _unavailable()


@routes.post("/chat/stream", response_model=Envelope[ChatAnswer])
def stream(use: Use, org: Org, body: ChatRequest) -> Response:
    """Needs a model."""
    return message(use, org, body)


@routes.get("/knowledge", response_model=Envelope[list[KnowledgeDocument]])
def knowledge() -> Response:
    """The documents; without a model there are none."""
    return ok([])


@routes.post("/knowledge/upload", response_model=Envelope[KnowledgeDocument], openapi_extra={
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
        "type": "object", "required": ["file", "domain"],
        "properties": {"file": {"type": "string", "format": "binary"}, "domain": {"type": "string"}},
    }}}}
})  # fmt: skip
async def add_knowledge(request: Request) -> Response:
    """Needs a model; the form is looked at first."""
    form = await request.form(max_files=1, max_fields=10)
    domain = form.get("domain")
    if not isinstance(domain, str) or domain not in Domain.__members__:
        raise ValidationFailed(f"Invalid domain: {domain}", fields={"domain": f"one of {', '.join(Domain)}"})
    _unavailable()


@routes.delete("/knowledge/{id}", response_model=Acknowledged)
def remove_knowledge(id: RecordId) -> Response:
    """There is none to delete."""
    raise NotFound("KnowledgeDocument", id)


@routes.get("/ai/config", response_model=Envelope[AiConfig])
def ai_config(use: Use, org: Org) -> Response:
    """Which provider would be asked."""
    with use.database.read() as session:
        return ok(_config(conversations.provider(session, org)))


@routes.put("/ai/config", response_model=Envelope[AiConfig])
def choose(use: Use, org: Org, body: ProviderRequest) -> Response:
    """Chooses one."""
    with use.database.write() as session:
        conversations.choose_provider(session, org, body.provider)
    return ok(_config(body.provider))


def _config(current: str) -> AiConfig:
    return AiConfig(current_provider=current, available_providers=list(PROVIDERS), requires_restart=False)
