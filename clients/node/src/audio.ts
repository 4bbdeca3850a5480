// Raw samples and WAV files.

/** Hertz, where a server names no other rate. */
export const DEFAULT_SAMPLE_RATE = 24000;

/** A recording: the bytes of a file (a Buffer, an ArrayBuffer, …) or a Blob or File. */
export type AudioSource = Blob | ArrayBuffer | ArrayBufferView;

/** The bytes of a recording, copied where they are only part of a buffer. */
export async function readAudio(source: AudioSource): Promise<ArrayBuffer> {
  if (source instanceof Blob) return source.arrayBuffer();
  if (source instanceof ArrayBuffer) return source;
  const bytes = new Uint8Array(source.byteLength);
  bytes.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  return bytes.buffer;
}

/** Chunks one after the other. */
export function concat(chunks: Iterable<Uint8Array>): Uint8Array {
  const all = [...chunks];
  const whole = new Uint8Array(all.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of all) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** A WAV file of 16-bit little-endian mono samples: all of them, or chunk by chunk. */
export function pcmToWav(
  pcm: Uint8Array | Iterable<Uint8Array>,
  sampleRate: number = DEFAULT_SAMPLE_RATE,
): Uint8Array {
  const samples = pcm instanceof Uint8Array ? pcm : concat(pcm);
  const file = new Uint8Array(44 + samples.length);
  const header = new DataView(file.buffer);
  const ascii = (at: number, text: string) => {
    for (let i = 0; i < text.length; i += 1) file[at + i] = text.charCodeAt(i);
  };
  ascii(0, "RIFF");
  header.setUint32(4, 36 + samples.length, true);
  ascii(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // mono
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, 2 * sampleRate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  ascii(36, "data");
  header.setUint32(40, samples.length, true);
  file.set(samples, 44);
  return file;
}

/** Samples between -1 and 1, as the Web Audio API wants them. */
export function pcmToFloat(pcm: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  const samples = new Float32Array(pcm.byteLength >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}

/** Cuts chunks between samples: the network may cut them within one. */
export class WholeSamples {
  private rest: Uint8Array = new Uint8Array(0);

  take(chunk: Uint8Array): Uint8Array {
    const data = this.rest.length > 0 ? concat([this.rest, chunk]) : chunk;
    const whole = data.length & ~1;
    this.rest = data.slice(whole);
    return data.subarray(0, whole);
  }
}
