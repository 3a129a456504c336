"""The console: a page and its hashed files, built from frontend/, served by the control plane."""

from __future__ import annotations

import re
import secrets
from functools import cache
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

NONCE = "NONCE-OF-THIS-ANSWER"
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "png": "image/png"}
NOT_BUILT = "The console is not built here: run `make console`. The API stands: /api/v1/docs\n"


@csrf_exempt
def page(request: HttpRequest) -> HttpResponse:
    """The one page of the console; which view it shows is decided by its own router."""
    if "authorization" in request.headers:
        # A browser sends none here: it is a program whose address lacks its last part.
        door = f"{settings.PUBLIC_URL}/v1"
        says = f"There is nothing at {request.path}. A client's base URL ends in /v1: {door}."
        error = {"message": says, "type": "invalid_request_error", "param": None,
                 "code": "unknown_url"}  # fmt: skip
        return JsonResponse({"error": error}, status=404)
    file = settings.CONSOLE_DIR / "index.html"
    if request.method not in {"GET", "HEAD"}:
        return HttpResponse(status=405, headers={"allow": "GET, HEAD"})
    if not file.exists():
        return HttpResponse(NOT_BUILT, status=404, content_type="text/plain; charset=utf-8")
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(file.read_text().replace(NONCE, nonce))
    response["cache-control"] = "no-store"
    response["content-security-policy"] = _policy(nonce)
    return response


@cache
def _object_store() -> str:
    """Where signed addresses lead, if not to this very origin."""
    url = urlsplit(settings.OBJECTS_URL)
    if url.scheme != "s3":
        return ""
    insecure = "secure=0" in url.query
    return f" {'http' if insecure else 'https'}://{url.netloc.rpartition('@')[2]}"


def _policy(nonce: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            f"connect-src 'self'{_object_store()}",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


def asset(request: HttpRequest, name: str) -> HttpResponse:
    """One built file; its name holds a hash of what it is, so it may be kept for ever."""
    file = settings.CONSOLE_DIR / "assets" / name
    kind = TYPES.get(name.rpartition(".")[2])
    if kind is None or not file.is_file():
        raise Http404
    hashed = re.search(r"-[\w-]{8}\.\w+$", name)
    headers = {
        "cache-control": f"public, max-age={'31536000, immutable' if hashed else '3600'}",
        "vary": "accept-encoding",
    }
    zipped = file.with_name(f"{name}.gz")
    if "gzip" in request.headers.get("accept-encoding", "") and zipped.exists():
        headers["content-encoding"] = "gzip"
        file = zipped
    return HttpResponse(file.read_bytes(), content_type=kind, headers=headers)


#: Last in the list of routes: every path that is not an API's shows the console.
urlpatterns = [
    re_path(r"^assets/(?P<name>[\w.-]+)$", asset),
    path("", page),
    re_path(r"^(?!api/|storage/|static/|assets/|v\d+/).+$", page),
]
