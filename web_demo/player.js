// Sound out: one AudioContext, an analyser before the loudspeaker, and two kinds of player.

/** Samples per second that the page asks the server for and plays. */
export const RATE = 24000;

let audio;

/** The page's context and analyser. Call it from a user's act: browsers keep quiet until one. */
export async function openAudio() {
  if (!audio) {
    const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    const analyser = new AnalyserNode(context, {
      fftSize: 1024,
      smoothingTimeConstant: 0.3,
      minDecibels: -92,
      maxDecibels: -22,
    });
    analyser.connect(context.destination);
    audio = { context, analyser, ready: loadWorklet(context) };
  }
  // Not awaited: a browser that wants a click first resolves this only then.
  audio.context.resume();
  await audio.ready;
  return audio;
}

/** What is there already, or undefined. */
export const openedAudio = () => audio;

/** Browsers offer worklets only to https pages and localhost. */
export async function loadWorklet(context) {
  await context.audioWorklet?.addModule(new URL("worklet.js", import.meta.url));
}

/** Plays one utterance as it comes. `report({played, gaps, drained, full})`. */
export function streamPlayer({ context, analyser }, report) {
  return context.audioWorklet
    ? workletPlayer(context, analyser, report)
    : scheduledPlayer(context, analyser, report);
}

function workletPlayer(context, out, report) {
  const node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
  node.port.onmessage = ({ data }) => report(data);
  node.connect(out);
  return {
    push: (samples) => node.port.postMessage({ samples }),
    textSent: () => node.port.postMessage({ textSent: true }),
    end: () => node.port.postMessage({ ended: true }),
    stop: () => {
      node.port.onmessage = null;
      node.disconnect();
      node.port.postMessage({ stopped: true });
    },
  };
}

/** The same from scheduled buffers, for pages without worklets (plain http from another machine). */
function scheduledPlayer(context, analyser, report) {
  const out = context.createGain();
  out.connect(analyser);
  let scheduled = 0;
  let until = 0;
  let gaps = 0;
  let sent = false;
  let ended = false;
  const timer = setInterval(() => {
    const left = Math.max(0, until - context.currentTime);
    const drained = ended && left === 0;
    report({ played: Math.max(0, scheduled - Math.round(left * RATE)), gaps, drained });
    if (drained) clearInterval(timer);
  }, 50);
  return {
    push: (samples) => {
      if (sent && scheduled > 0 && until < context.currentTime) gaps += 1;
      const source = new AudioBufferSourceNode(context, { buffer: bufferOf(context, samples) });
      source.connect(out);
      until = Math.max(until, context.currentTime + 0.02);
      source.start(until);
      until += samples.length / RATE;
      scheduled += samples.length;
    },
    textSent: () => (sent = true),
    end: () => (ended = true),
    stop: () => {
      clearInterval(timer);
      out.disconnect();
    },
  };
}

function bufferOf(context, samples) {
  const buffer = context.createBuffer(1, Math.max(1, samples.length), RATE);
  const channel = buffer.getChannelData(0);
  for (let i = 0; i < samples.length; i += 1) channel[i] = samples[i] / 32768;
  return buffer;
}

/** Plays samples that are all there, from `offset` on. `ended` is not called after `stop`. */
export function clipPlayer({ context, analyser }, samples, offset, ended) {
  const source = new AudioBufferSourceNode(context, { buffer: bufferOf(context, samples) });
  const began = context.currentTime;
  source.onended = () => ended();
  source.connect(analyser);
  source.start(0, offset / RATE);
  return {
    /** Samples played. */
    played: () => Math.min(samples.length, offset + Math.round((context.currentTime - began) * RATE)),
    stop: () => {
      source.onended = null;
      source.disconnect();
      source.stop();
    },
  };
}
