// The WebSocket of the platform, or that of the package `ws` in Node without one.

/** What both have in common. */
export interface Socket {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: string | ArrayBuffer): void;
  close(code?: number): void;
}

export type SocketConstructor = new (url: string) => Socket;

export const OPEN = 1;

/** The constructor to use: the one given, the platform's, or that of `ws`. */
export async function socketConstructor(given?: SocketConstructor): Promise<SocketConstructor> {
  if (given) return given;
  const global = (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
  if (global) return global;
  // Not a literal, so that bundlers for browsers do not look for it.
  const name = "ws";
  try {
    const loaded = (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as {
      WebSocket?: SocketConstructor;
      default?: SocketConstructor;
    };
    const found = loaded.WebSocket ?? loaded.default;
    if (found) return found;
  } catch {
    // Said below.
  }
  throw new Error("this Node has no WebSocket: use Node 22, or install the package `ws`");
}
