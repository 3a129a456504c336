"""What one answered request used: a line the gateway spools and the ledger takes in."""

from __future__ import annotations

from dataclasses import dataclass


# Not frozen, and made by position: either would make it several times dearer.
@dataclass(slots=True)
class UsageLine:
    """One request that was let in, however it ended. Ids are UUIDs as text."""

    #: `req_…`, the same as the `x-request-id` of the answer; unique for ever.
    request_id: str
    #: Unix seconds at which the request came in.
    at: float
    project_id: str
    key_id: str
    deployment_id: str
    version_id: str
    #: The name it was asked by.
    model: str
    #: `/v1/chat/completions`, `/v1/completions`.
    endpoint: str
    #: HTTP status; 499 where the client went away before the end.
    status: int
    stream: bool
    prompt_tokens: int
    completion_tokens: int
    #: True where the engine never said what it used, so that the tokens are our count.
    estimated: bool
    #: Milliseconds from the request's arrival to its last and its first byte.
    latency_ms: float
    first_byte_ms: float | None
