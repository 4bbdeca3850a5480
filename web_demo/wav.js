// Samples as WAV files, and the little arithmetic on samples that the page needs.

/** Samples per bar of a wave, at `rate`. */
export const barOf = (rate) => Math.round(rate / 50);

/** A WAV file of mono 16-bit samples in pieces. */
export function wavFile(pieces, rate) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (offset, word) => [...word].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, ...pieces], { type: "audio/wav" });
}

export function toInt16(floats) {
  return Int16Array.from(floats, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32767))));
}

export function joined(pieces, Type) {
  const whole = new Type(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Adds the loudest value of every bar to `peaks`; `before` samples came earlier. */
export function addPeaks(peaks, samples, before, bar, scale = 1) {
  for (let i = 0; i < samples.length; i += 1) {
    const at = Math.floor((before + i) / bar);
    const loud = Math.abs(samples[i]) * scale;
    if (!(peaks[at] >= loud)) peaks[at] = loud;
  }
}

/** Mono samples at another rate, by the browser's own resampler. */
export async function resampled(samples, from, to) {
  if (from === to) return samples;
  const length = Math.max(1, Math.round((samples.length * to) / from));
  const offline = new OfflineAudioContext(1, length, to);
  const buffer = offline.createBuffer(1, samples.length, from);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(offline, { buffer });
  source.connect(offline.destination);
  source.start();
  return (await offline.startRendering()).getChannelData(0);
}
