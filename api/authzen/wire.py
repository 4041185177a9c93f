"""The bodies of AuthZEN's calls, for the OpenAPI document. Other members are ignored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_SUBJECT = {"type": "user", "id": "ann"}
_ACTION = {"name": "view"}
_RESOURCE = {"type": "document", "id": "readme"}
_QUESTION = {"subject": _SUBJECT, "action": _ACTION, "resource": _RESOURCE}


def _example(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(values)})


class AuthzenEntity(BaseModel):
    """A subject or a resource."""

    model_config = _example(_SUBJECT)
    type: str = Field(min_length=1)
    id: str = Field(min_length=1)
    properties: dict[str, Any] = {}


class AuthzenSearched(BaseModel):
    """What is searched: an id is ignored."""

    model_config = _example({"type": "user"})
    type: str = Field(min_length=1)
    properties: dict[str, Any] = {}


class AuthzenAction(BaseModel):
    """What is to be done."""

    model_config = _example(_ACTION)
    name: str = Field(min_length=1)
    properties: dict[str, Any] = {}


class AuthzenOptions(BaseModel):
    """How the answer is made. `explain` needs the right `read`."""

    model_config = _example({"consistency": "fully_consistent"})
    explain: bool = False
    consistency: str | dict[str, str] | None = None


class AuthzenManyOptions(AuthzenOptions):
    """The same, and when many evaluations end."""

    model_config = _example({"evaluations_semantic": "deny_on_first_deny"})
    evaluations_semantic: (
        Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] | None
    ) = None


class AuthzenEvaluation(BaseModel):
    """May the subject do this to the resource?"""

    model_config = _example(_QUESTION)
    subject: AuthzenEntity
    action: AuthzenAction
    resource: AuthzenEntity
    context: dict[str, Any] = {}
    options: AuthzenOptions | None = None


class AuthzenEvaluations(BaseModel):
    """Many evaluations: each has what it needs of its own, and the rest from here."""

    model_config = _example(
        {
            "subject": _SUBJECT,
            "action": _ACTION,
            "evaluations": [
                {"resource": _RESOURCE},
                {"resource": {"type": "document", "id": "plan"}},
            ],
        }
    )
    subject: AuthzenEntity | None = None
    action: AuthzenAction | None = None
    resource: AuthzenEntity | None = None
    context: dict[str, Any] = {}
    options: AuthzenManyOptions | None = None
    evaluations: list[dict[str, Any]] = []


class AuthzenPageAsked(BaseModel):
    """Which page, and how large."""

    model_config = _example({"limit": 10})
    token: str | None = None
    limit: int | None = Field(None, ge=1)


class AuthzenSearch(BaseModel):
    """What all searches may have."""

    model_config = _example({})
    context: dict[str, Any] = {}
    options: AuthzenOptions | None = None
    page: AuthzenPageAsked | None = None


class AuthzenSubjectSearch(AuthzenSearch):
    """Who may do this to the resource?"""

    model_config = _example({**_QUESTION, "subject": {"type": "user"}, "page": {"limit": 10}})
    subject: AuthzenSearched
    action: AuthzenAction
    resource: AuthzenEntity


class AuthzenResourceSearch(AuthzenSearch):
    """To which resources may the subject do this?"""

    model_config = _example({**_QUESTION, "resource": {"type": "document"}})
    subject: AuthzenEntity
    action: AuthzenAction
    resource: AuthzenSearched


class AuthzenActionSearch(AuthzenSearch):
    """What may the subject do to the resource?"""

    model_config = _example({"subject": _SUBJECT, "resource": _RESOURCE})
    subject: AuthzenEntity
    resource: AuthzenEntity


class AuthzenDecision(BaseModel):
    """`context` says why a denial may be none with more context, or explains."""

    model_config = _example(
        {"decision": True}, {"decision": False, "context": {"missing_context": ["day"]}}
    )
    decision: bool
    context: dict[str, Any] | None = None


class AuthzenDecisions(BaseModel):
    """One decision for each evaluation, up to the one that ended them."""

    model_config = _example({"evaluations": [{"decision": True}, {"decision": False}]})
    evaluations: list[AuthzenDecision]


class AuthzenPage(BaseModel):
    """`next_token` is "" at the end."""

    model_config = _example({"next_token": "", "count": 1})
    next_token: str
    count: int


class AuthzenFound(BaseModel):
    """A page of results; `context` says what they do not."""

    model_config = _example({"results": [_SUBJECT]})
    page: AuthzenPage | None = None
    context: dict[str, Any] | None = None
    results: list[dict[str, str]]


class AuthzenMetadata(BaseModel):
    """Where the decision point is, and what it can do."""

    model_config = _example(
        {
            "policy_decision_point": "https://authz.example.com/v1/stores/acme",
            "access_evaluation_endpoint": "https://authz.example.com/v1/stores/acme"
            "/access/v1/evaluation",
            "capabilities": ["urn:ietf:params:authzen:capability:search-pagination"],
        }
    )
    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str | None = None
    search_subject_endpoint: str | None = None
    search_resource_endpoint: str | None = None
    search_action_endpoint: str | None = None
    capabilities: list[str]


class AuthzenError(BaseModel):
    """What was wrong, and where."""

    model_config = _example(
        {
            "status": 400,
            "code": "missing_field",
            "message": "it is missing; expected an object",
            "field": "subject",
            "request_id": "5c1f0d2e-1a",
        }
    )
    status: int
    code: str
    message: str
    field: str | None = None
    errors: list[dict[str, Any]] | None = None
    request_id: str
