"""Two people who edit one thing are told of each other: ETag and If-Match."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import ChangedMeanwhile, Detail


class Guarded(GenericAPIView[Any]):
    """A view of one thing: its answers carry an ETag, and its changes heed If-Match.

    The tag is of the fields that people edit; what moves by itself does not count as edited.
    """

    #: Fields of the answer to GET that are edited here.
    guarded: ClassVar[tuple[str, ...]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        given = request.headers.get("if-match", "")
        wanted = {each.strip().removeprefix("W/") for each in given.split(",") if each.strip()}
        if request.method in SAFE_METHODS or not wanted or "*" in wanted:
            return
        now = self.tag_of(self.now(request, *args, **kwargs))
        if now not in wanted:
            raise ChangedMeanwhile(
                "Somebody changed this after you read it; nothing of yours was stored.",
                Detail(field="if-match", rule="the ETag of how it is now", value=given, fix=now),
            )

    def now(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """How the thing is at this moment: what GET answers, unless the view says otherwise."""
        answer: Response = self.get(request, *args, **kwargs)
        return answer.data

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        data = getattr(answer, "data", None)
        if answer.status_code == 200 and isinstance(data, dict):
            answer["etag"] = self.tag_of(data)
        return answer

    def tag_of(self, data: Any) -> str:
        edited = JSONRenderer().render({name: data[name] for name in self.guarded})
        return f'"{hashlib.sha256(edited).hexdigest()[:20]}"'
