"""What can go wrong, as exceptions that follow the server's `error_code`."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Type


class LightTTSError(Exception):
    """Everything that this package raises."""


class RequestTimeoutError(LightTTSError, TimeoutError):
    """The server did not answer in time."""


class ConnectionFailedError(LightTTSError, ConnectionError):
    """The server cannot be reached, or the connection broke off."""


class APIError(LightTTSError):
    """The server refused, in its own words.

    Attributes:
        status: the HTTP status; None on a WebSocket.
        close_code: the code that a WebSocket closed with; None over HTTP.
        error_code: such as ``TEXT_TOO_LONG``; empty where the server sent none.
        message, detail: the server's words.
        retry_after: seconds after which to try again, where the server named them.
        request_id: the name of the request in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        error_code: str = "",
        status: Optional[int] = None,
        close_code: Optional[int] = None,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.error_code = error_code
        self.status = status
        self.close_code = close_code
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return isinstance(self, (RateLimitedError, ServiceUnavailableError))

    def __str__(self) -> str:
        words = self.message if not self.detail else f"{self.message}: {self.detail}"
        return f"{words} [{self.error_code}]" if self.error_code else words


class InvalidParameterError(APIError):
    """A field is missing or malformed, or the model's name is unknown."""


class UnsupportedAudioError(APIError):
    """The reference audio cannot be decoded, is silent, or is too short."""


class AuthenticationError(APIError):
    """No API key, or a wrong one."""


class NotFoundError(APIError):
    """There is no such path or voice."""


class TaskTimeoutError(APIError):
    """The server waited too long, for this client or for its own work."""


class PayloadTooLargeError(APIError):
    """The reference audio has too many bytes."""


class ValidationError(APIError):
    """A value is out of its range."""


class TextTooLongError(ValidationError):
    """The text has too many characters."""


class RateLimitedError(APIError):
    """Too many requests; see `retry_after`."""


class ProcessingError(APIError):
    """The server failed; its log has the cause under `request_id`."""


class UnsupportedByModelError(APIError):
    """The loaded model cannot do that."""


class ServiceUnavailableError(APIError):
    """Still loading, overloaded, short of memory, or shutting down; see `retry_after`."""


_BY_CODE: Mapping[str, Type[APIError]] = {
    "INVALID_PARAMETER": InvalidParameterError,
    "METHOD_NOT_ALLOWED": InvalidParameterError,
    "UNSUPPORTED_AUDIO": UnsupportedAudioError,
    "UNAUTHORIZED": AuthenticationError,
    "NOT_FOUND": NotFoundError,
    "TASK_TIMEOUT": TaskTimeoutError,
    "PAYLOAD_TOO_LARGE": PayloadTooLargeError,
    "VALIDATION_FAILED": ValidationError,
    "TEXT_TOO_LONG": TextTooLongError,
    "RATE_LIMITED": RateLimitedError,
    "PROCESSING_ERROR": ProcessingError,
    "UNSUPPORTED_BY_MODEL": UnsupportedByModelError,
    "MODEL_NOT_READY": ServiceUnavailableError,
    "OVERLOADED": ServiceUnavailableError,
    "DRAINING": ServiceUnavailableError,
    "INSUFFICIENT_MEMORY": ServiceUnavailableError,
    "GPU_UNAVAILABLE": ServiceUnavailableError,
}

# For servers that send no `error_code`.
_BY_STATUS: Mapping[int, Type[APIError]] = {
    400: InvalidParameterError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    408: TaskTimeoutError,
    413: PayloadTooLargeError,
    422: ValidationError,
    429: RateLimitedError,
    501: UnsupportedByModelError,
    503: ServiceUnavailableError,
}


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """The seconds of `Retry-After`; its other form, a date, is not understood."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> APIError:
    """The exception for a response that is not 2xx. Takes any body."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    if isinstance(answer.get("error"), dict):
        answer = _of_openai(answer["error"])
    code = str(answer.get("error_code") or "")
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None:
        kind = ProcessingError if status >= 500 else InvalidParameterError
    return kind(
        str(answer.get("message") or f"the server answered {status}"),
        detail=str(answer.get("detail") or ""),
        error_code=code,
        status=status,
        retry_after=retry_after(headers),
        request_id=headers.get("x-request-id"),
    )


def _of_openai(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """An error of an endpoint that speaks as OpenAI's, such as `/v1/audio/voices`."""
    return {
        "message": error.get("message"),
        "error_code": str(error.get("code") or "").upper(),
    }


def from_frame(answer: Mapping[str, Any], close_code: Optional[int] = None) -> APIError:
    """The exception for an error frame of a WebSocket."""
    code = str(answer.get("error_code") or "")
    return _BY_CODE.get(code, APIError)(
        str(answer.get("message") or "the server refused"),
        detail=str(answer.get("detail") or ""),
        error_code=code,
        close_code=close_code,
    )
