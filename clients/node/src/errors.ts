// What can go wrong, as classes that follow the server's `error_code`.

/** Everything that this package throws. */
export class LightTTSError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The server did not answer in time. */
export class RequestTimeoutError extends LightTTSError {}

/** The server cannot be reached, or the connection broke off. */
export class ConnectionFailedError extends LightTTSError {}

export interface APIErrorFields {
  detail?: string;
  /** Such as `TEXT_TOO_LONG`; empty where the server sent none. */
  errorCode?: string;
  /** The HTTP status; undefined on a WebSocket. */
  status?: number;
  /** The code that a WebSocket closed with; undefined over HTTP. */
  closeCode?: number;
  /** Seconds after which to try again, where the server named them. */
  retryAfter?: number;
  /** The name of the request in the server's log. */
  requestId?: string;
}

/** The server refused, in its own words. */
export class APIError extends LightTTSError {
  readonly detail: string;
  readonly errorCode: string;
  readonly status?: number;
  readonly closeCode?: number;
  readonly retryAfter?: number;
  readonly requestId?: string;

  constructor(message: string, fields: APIErrorFields = {}) {
    const words = fields.detail ? `${message}: ${fields.detail}` : message;
    super(fields.errorCode ? `${words} [${fields.errorCode}]` : words);
    this.detail = fields.detail ?? "";
    this.errorCode = fields.errorCode ?? "";
    this.status = fields.status;
    this.closeCode = fields.closeCode;
    this.retryAfter = fields.retryAfter;
    this.requestId = fields.requestId;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this instanceof RateLimitedError || this instanceof ServiceUnavailableError;
  }
}

/** A field is missing or malformed, or the model's name is unknown. */
export class InvalidParameterError extends APIError {}
/** The reference audio cannot be decoded, is silent, or is too short. */
export class UnsupportedAudioError extends APIError {}
/** No API key, or a wrong one. */
export class AuthenticationError extends APIError {}
/** There is no such path or voice. */
export class NotFoundError extends APIError {}
/** The server waited too long, for this client or for its own work. */
export class TaskTimeoutError extends APIError {}
/** The reference audio has too many bytes. */
export class PayloadTooLargeError extends APIError {}
/** A value is out of its range. */
export class ValidationError extends APIError {}
/** The text has too many characters. */
export class TextTooLongError extends ValidationError {}
/** Too many requests; see `retryAfter`. */
export class RateLimitedError extends APIError {}
/** The server failed; its log has the cause under `requestId`. */
export class ProcessingError extends APIError {}
/** The loaded model cannot do that. */
export class UnsupportedByModelError extends APIError {}
/** Still loading, overloaded, short of memory, or shutting down; see `retryAfter`. */
export class ServiceUnavailableError extends APIError {}

type Kind = new (message: string, fields?: APIErrorFields) => APIError;

const BY_CODE: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["INVALID_PARAMETER", InvalidParameterError],
  ["METHOD_NOT_ALLOWED", InvalidParameterError],
  ["UNSUPPORTED_AUDIO", UnsupportedAudioError],
  ["UNAUTHORIZED", AuthenticationError],
  ["NOT_FOUND", NotFoundError],
  ["TASK_TIMEOUT", TaskTimeoutError],
  ["PAYLOAD_TOO_LARGE", PayloadTooLargeError],
  ["VALIDATION_FAILED", ValidationError],
  ["TEXT_TOO_LONG", TextTooLongError],
  ["RATE_LIMITED", RateLimitedError],
  ["PROCESSING_ERROR", ProcessingError],
  ["UNSUPPORTED_BY_MODEL", UnsupportedByModelError],
  ["MODEL_NOT_READY", ServiceUnavailableError],
  ["OVERLOADED", ServiceUnavailableError],
  ["DRAINING", ServiceUnavailableError],
  ["INSUFFICIENT_MEMORY", ServiceUnavailableError],
  ["GPU_UNAVAILABLE", ServiceUnavailableError],
]);

/** For servers that send no `error_code`. */
const BY_STATUS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [400, InvalidParameterError],
  [401, AuthenticationError],
  [403, AuthenticationError],
  [404, NotFoundError],
  [408, TaskTimeoutError],
  [413, PayloadTooLargeError],
  [422, ValidationError],
  [429, RateLimitedError],
  [501, UnsupportedByModelError],
  [503, ServiceUnavailableError],
]);

/** A JSON object, or an empty one where it is none. */
function object(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function word(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

/** Likewise of an endpoint that speaks as OpenAI's, such as `/v1/audio/voices`. */
function unwrapped(answer: Record<string, unknown>): Record<string, unknown> {
  const { error } = answer;
  if (typeof error !== "object" || error === null) return answer;
  const { message, code } = error as Record<string, unknown>;
  return { message, error_code: word(code).toUpperCase() };
}

/** The error for a response that is not 2xx. Takes any body. */
export function fromResponse(status: number, headers: Headers, body: string): APIError {
  const answer = unwrapped(object(body));
  const errorCode = word(answer.error_code);
  const fallback = status >= 500 ? ProcessingError : InvalidParameterError;
  const kind = BY_CODE.get(errorCode) ?? BY_STATUS.get(status) ?? fallback;
  const wait = Number.parseFloat(headers.get("retry-after") ?? "");
  return new kind(word(answer.message) || `the server answered ${status}`, {
    detail: word(answer.detail),
    errorCode,
    status,
    retryAfter: Number.isFinite(wait) ? Math.max(0, wait) : undefined,
    requestId: headers.get("x-request-id") ?? undefined,
  });
}

/** The error for an error frame of a WebSocket. */
export function fromFrame(answer: Record<string, unknown>, closeCode?: number): APIError {
  const errorCode = word(answer.error_code);
  const kind = BY_CODE.get(errorCode) ?? APIError;
  const detail = word(answer.detail);
  return new kind(word(answer.message) || "the server refused", { detail, errorCode, closeCode });
}
