"""A chat completion that was asked to be stored: a line the gateway spools, the door takes in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class CompletionLine:
    """What was asked and answered, as the bytes of the wire. Ids are UUIDs as text."""

    #: `req_…`; unique for ever.
    request_id: str
    #: Unix seconds at which the request came in.
    at: float
    project_id: str
    #: The JSON body as it was asked.
    request: str
    #: The JSON of the answer, or the events of its stream.
    answer: str
