"""Who may look, and what a browser may do with the page: checked before anything else is."""

from __future__ import annotations

import hmac
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # Scripts, styles, pictures and data come from here or not at all; nothing inline, no frames, no forms.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Lets requests through to ``app`` that may look, and puts the security headers on every answer.

    With a ``token``, a request must carry it: in the address, which puts it into a cookie and out of
    sight, or as ``Authorization: Bearer``. Without one, the name that the browser believes to talk to
    must be this machine's own: else a page from elsewhere could have its name lead here.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, token: str | None) -> None:
        self._app, self._token = app, token
        self._hosts = LOCAL_HOSTS | {host}
        self._cookie = f"p2pgan_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        """What to answer instead; None if the request may go on."""
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this page is for looking only", 405)
        if self._token is None:
            host = _host_name(request.headers)
            return (
                None if host in self._hosts else PlainTextResponse("this is not a name of this machine", 421)
            )
        said = request.query_params.get("token")
        if said is not None and _same(said, self._token):
            return self._remember(request) if request.url.path == "/" else None
        if any(_same(known, self._token) for known in self._carried(request.headers)):
            return None
        return PlainTextResponse("open the address as `p2pgan dashboard` printed it, with its token", 401)

    def _carried(self, headers: Headers) -> list[str]:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        return [bearer] * (kind.lower() == "bearer") + ([cookie.value] if cookie is not None else [])

    def _remember(self, request: Request) -> Response:
        rest = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        answer = RedirectResponse("/?" + urlencode(rest) if rest else "/", 303)
        assert self._token is not None
        answer.set_cookie(self._cookie, self._token, max_age=30 * 86_400, httponly=True, samesite="lax")
        return answer


def _host_name(headers: Headers) -> str:
    """The name in ``Host``, without port and brackets; empty if there is none."""
    host = headers.get("host", "")
    try:
        return (URL(f"http://{host}").hostname or "") if host else ""
    except ValueError:
        return ""


def _same(said: str, token: str) -> bool:
    return hmac.compare_digest(said.encode(), token.encode())
