"""Client of Mynah and other servers with LightTTS's interface: streaming text-to-speech."""

from ._async_bistream import AsyncBistream
from ._async_client import AsyncAudioStream, AsyncLightTTSClient
from ._audio import DEFAULT_SAMPLE_RATE, AudioSource, pcm_to_wav
from ._bistream import Bistream
from ._client import AudioStream, LightTTSClient
from ._errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    InvalidParameterError,
    LightTTSError,
    NotFoundError,
    PayloadTooLargeError,
    ProcessingError,
    RateLimitedError,
    RequestTimeoutError,
    ServiceUnavailableError,
    TaskTimeoutError,
    TextTooLongError,
    UnsupportedAudioError,
    UnsupportedByModelError,
    ValidationError,
)

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "AsyncAudioStream",
    "AsyncBistream",
    "AsyncLightTTSClient",
    "AudioSource",
    "AudioStream",
    "AuthenticationError",
    "Bistream",
    "ConnectionFailedError",
    "DEFAULT_SAMPLE_RATE",
    "InvalidParameterError",
    "LightTTSClient",
    "LightTTSError",
    "NotFoundError",
    "PayloadTooLargeError",
    "ProcessingError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "TaskTimeoutError",
    "TextTooLongError",
    "UnsupportedAudioError",
    "UnsupportedByModelError",
    "ValidationError",
    "pcm_to_wav",
]
