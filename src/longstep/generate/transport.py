"""One HTTP request to one endpoint, bounded in bytes and seconds, its key kept to itself. Only here is httpx used."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from longstep.config import Strict, UserError, field_validator
from longstep.generate.answer import Barred, Refused, quoted

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 15.0
LONG_KEY = 16  # a shorter one ("EMPTY") may be a word of an answer
LONG_NAME = 30  # a longer one with small letters is a key, and no name of a variable


class Address(Strict):
    """One OpenAI-compatible server.

    Attributes:
        url: base of the API, such as ``http://host:8000/v1``.
        model: the name this server knows the model by, when it is another.
        api_key_env: environment variable holding the key; the key itself is never written anywhere.
    """

    url: str
    model: str | None = None
    api_key_env: str | None = None

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        readable = url.isprintable() and " " not in url
        if not (plain and readable) or parts.query or parts.fragment or parts.port == 0:
            raise ValueError("expected http(s)://host/v1 without a name or key in it")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        return variable_name(name)


def variable_name(name: str | None) -> str | None:
    """Pass what can be a variable's name: a key in its place would stand in ``config.json`` and in messages.

    Raises:
        ValueError: it cannot.
    """
    if name is None:
        return None
    usual = name.isupper() or len(name) < LONG_NAME
    if not (usual and name.isidentifier() and name.isascii()):
        raise ValueError("expected the name of an environment variable, not the key itself")
    return name


class Unreachable(Exception):
    """No connection: nothing is known about the request itself."""


class Broken(Exception):
    """The answer broke off, or is not one that can be read."""


class Overdue(Exception):
    """The answer did not come in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        content: the body, within the limit; only here may our key still be.
        said: the beginning of the body of a failure, for a message.
        retry_after: seconds the server asks us to wait, or ``None``.
        location: where a redirect points; it is not followed.
    """

    status: int
    content: bytes
    said: str = ""
    retry_after: float | None = None
    location: str = ""


class Transport:
    """A client of one address. It follows no redirect: key and prompts go to the configured host only."""

    def __init__(self, address: Address, timeout: float, max_bytes: int) -> None:
        """Open the client; a request may take ``timeout`` seconds from the first byte sent to the last one read.

        Raises:
            UserError: the variable of the key is not set, or holds no key; or the proxy named in the environment
                cannot be used.
        """
        import httpx

        self.url, self.timeout, self.max_bytes = address.url, timeout, max_bytes
        self._key = _key(address)
        self._forms = _forms(self._key)
        headers = {
            "Accept-Encoding": "identity",  # a compressed body could hold any number of bytes
            # What a server says too much would be read as the answer to the next request on the connection.
            "Connection": "close",
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx.Limits(max_connections=None)
        try:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=None),
                limits=limits,
                headers=headers,
                follow_redirects=False,
                # With a transport of its own no proxy stands between us and this machine.
                transport=httpx.AsyncHTTPTransport(limits=limits)
                if _is_local(address.url)
                else None,
            )
        except (ImportError, ValueError, httpx.InvalidURL):  # whose words may quote a password
            raise UserError(
                f"{address.url}: the proxy named in the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be"
                " used: give one that begins with http://, or list the host in NO_PROXY"
            ) from None

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send one request.

        Raises:
            Unreachable: no connection.
            Overdue: no whole answer in time.
            Broken: the answer broke off, or is compressed.
            Refused: it exceeds the limit.
            Barred: the server's certificate is not trusted, or its address is none.
        """
        import httpx

        try:
            async with (
                asyncio.timeout(self.timeout),
                self._client.stream("POST", self.url + path, json=body) as response,
            ):
                return self._reply(response, await self._read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            _refuse_certificate(self.url, error)
            raise Unreachable(self._words(error)) from None
        except (TimeoutError, httpx.TimeoutException):
            raise Overdue(f"no whole answer within {self.timeout:g} s") from None
        except httpx.InvalidURL as error:
            raise Barred(f"{self.url}: is no address: {error}") from None
        except httpx.TransportError as error:
            raise Broken(self._words(error)) from None

    def scrub(self, text: str) -> str:
        """Take the key, as it is or escaped, out of a text that a server or a library wrote."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def scrub_answer(self, text: str) -> str:
        """Take the key out of an answer, unless it is so short that it may be a word."""
        return self.scrub(text) if len(self._key) >= LONG_KEY else text

    async def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Broken("the response is compressed, which was not asked for")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self.max_bytes:
                raise Refused(
                    f"the response exceeds max_response_bytes {self.max_bytes};"
                    " lower max_tokens or raise the limit"
                )
        return bytes(content)

    def _reply(self, response: httpx.Response, content: bytes) -> Reply:
        if response.status_code == 200:
            return Reply(200, content)
        headers = response.headers
        return Reply(
            response.status_code,
            content,
            quoted(content.decode("utf-8", "replace"), self.scrub),
            retry_after(headers.get("retry-after", ""), _told(headers.get("date", ""))),
            quoted(headers.get("location", ""), self.scrub),
        )

    def _words(self, error: Exception) -> str:
        return quoted(f"{type(error).__name__} {error}".rstrip(), self.scrub)


def retry_after(value: str, now: float | None) -> float | None:
    """Seconds to wait by a Retry-After header, in either form (RFC 9110, section 10.2.3).

    Args:
        value: the header; empty or senseless gives ``None``.
        now: seconds since the epoch by the server's own clock, against which a date is read; ``None`` for ours.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    end = _told(value)
    return None if end is None else max(0.0, end - (time.time() if now is None else now))


def _told(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date; ``None`` when it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def key_fault(address: Address) -> str:
    """Why the environment does not give the key that a server needs; empty when it does, or when none is needed."""
    if address.api_key_env is None:
        return ""
    key = os.environ.get(address.api_key_env, "").strip()
    if not key:
        return (
            f"environment variable {address.api_key_env} is not set;"
            f" {address.url} needs the key it should hold"
        )
    if not (key.isascii() and key.isprintable()):  # a library would quote it in its complaint
        return (
            f"environment variable {address.api_key_env} holds no key:"
            " expected one line of plain ASCII characters"
        )
    return ""


def _key(address: Address) -> str:
    if fault := key_fault(address):
        raise UserError(fault)
    return os.environ.get(address.api_key_env or "", "").strip()


def _forms(key: str) -> list[str]:
    """The key as a server may write it: plain, in a JSON string, in an address; the longest first."""
    inside = json.dumps(key)[1:-1]
    forms = {key, inside, inside.replace("/", "\\/"), quote(key), quote(key, safe="")}
    return sorted(forms - {""}, key=len, reverse=True)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified  # servers say 0.0.0.0 when they start


def _refuse_certificate(url: str, error: BaseException) -> None:
    """A certificate does not become trusted by asking again."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Barred(
                f"{url}: its certificate is not trusted ({cause.verify_message});"
                " use the right host name, or name your authority's file in SSL_CERT_FILE"
            ) from None
        cause = cause.__cause__ or cause.__context__
