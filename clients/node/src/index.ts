export { DEFAULT_SAMPLE_RATE, pcmToFloat, pcmToWav } from "./audio.js";
export type { AudioSource } from "./audio.js";
export { Bistream } from "./bistream.js";
export type { BistreamEvent, Texts } from "./bistream.js";
export { AudioStream, LightTTSClient } from "./client.js";
export type {
  BistreamOptions,
  ClientOptions,
  StreamOptions,
  SynthesizeOptions,
  VoiceOptions,
} from "./client.js";
export {
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
} from "./errors.js";
export { StreamingPlayer } from "./player.js";
export type { PlayerOptions } from "./player.js";
export type { Socket, SocketConstructor } from "./socket.js";
