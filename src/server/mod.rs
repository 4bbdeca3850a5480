//! HTTP and WebSocket dialects over one engine.
