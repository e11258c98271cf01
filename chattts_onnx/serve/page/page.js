"use strict";
// Speech is fetched as 16-bit PCM and played while it comes: each chunk is scheduled to begin where
// the one before it ends.  What the page does is also told in data attributes of <body>.

const $ = (id) => document.getElementById(id);
const state = { context: null, abort: null, peaks: [], samples: 0, rate: 24000, parts: [], abilities: {} };

function tell(text, phase) {
  $("status").textContent = text;
  if (phase) document.body.dataset.state = phase;
}

function headers() {
  const key = $("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function load() {
  for (let level = 0; level <= 9; level++) $("speed").add(new Option(String(level), String(level)));
  const answer = await fetch("v1/variants", { headers: headers() });
  if (answer.status === 401) {
    $("keyfield").hidden = false;
    tell("This server wants an API key.", "key");
    return;
  }
  const { variants } = await answer.json();
  $("variant").replaceChildren(...variants.map((v) => new Option(`${v.id} (${v.precision})`, v.id)));
  state.abilities = Object.fromEntries(variants.map((v) => [v.id, v.abilities]));
  await choose();
  tell("Ready.", "ready");
}

// A control without effect is closed; a line says what the checkpoint can do.
async function choose() {
  const able = state.abilities[$("variant").value];
  $("speed").disabled = Boolean(able) && !able.options.includes("speed");
  if ($("speed").disabled) $("speed").value = "";
  $("able").hidden = !able;
  if (able) $("able").textContent = `It speaks ${able.languages.join(", ")}: ${able.domain}`;
  await loadVoices();
}

async function loadVoices() {
  const query = new URLSearchParams({ variant: $("variant").value });
  const found = await (await fetch(`v1/voices?${query}`, { headers: headers() })).json();
  const names = [...found.voices.map((v) => v.id), ...Array.from({ length: 10 }, (_, i) => String(i))];
  $("voices").replaceChildren(...names.map((name) => new Option(name, name)));
}

function request() {
  const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  return {
    text: $("text").value,
    variant: $("variant").value || undefined,
    voice: $("voice").value.trim() || undefined,
    speed: number("speed"),
    seed: number("seed"),
    max_new_tokens: number("steps"),
    format: "pcm",
  };
}

async function speak() {
  stop();
  const abort = (state.abort = new AbortController());
  Object.assign(state, { peaks: [], samples: 0, parts: [] });
  state.context = new AudioContext();
  document.body.dataset.samples = "0";
  document.body.dataset.scheduled = "0";
  $("save").hidden = true;
  $("stop").disabled = false;
  tell("Waiting for the first audio…", "waiting");
  const started = performance.now();
  try {
    const answer = await fetch("v1/tts", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers() },
      body: JSON.stringify(request()),
      signal: abort.signal,
    });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    state.rate = Number(answer.headers.get("X-Sample-Rate"));
    await play(answer, started);
  } catch (error) {
    if (abort.signal.aborted) return;
    tell(`It failed: ${error.message}`, "failed");
  } finally {
    if (state.abort === abort) $("stop").disabled = true;
  }
}

async function play(answer, started) {
  const reader = answer.body.getReader();
  const warning = answer.headers.get("X-Warning");
  const info =
    `${answer.headers.get("X-Variant")}, seed ${answer.headers.get("X-Seed")}` +
    (warning ? `. Warning: ${warning}` : "");
  let rest = new Uint8Array(0);
  let at = 0;
  let first = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    // A chunk of the network may end within a sample.
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    const whole = bytes.length - (bytes.length % 2);
    rest = bytes.slice(whole);
    if (whole === 0) continue;
    first ||= performance.now() - started;
    at = schedule(decode(bytes.subarray(0, whole)), at);
    const seconds = (state.samples / state.rate).toFixed(1);
    tell(`${seconds} s of speech, first after ${Math.round(first)} ms (${info})`, "streaming");
  }
  const seconds = (state.samples / state.rate).toFixed(1);
  const spent = ((performance.now() - started) / 1000).toFixed(1);
  offer();
  tell(`${seconds} s of speech in ${spent} s, first after ${Math.round(first)} ms (${info})`, "done");
}

function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const samples = new Float32Array(bytes.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(2 * i, true) / 32768;
  state.parts.push(bytes);
  return samples;
}

function schedule(samples, at) {
  const context = state.context;
  const buffer = context.createBuffer(1, samples.length, state.rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  const when = Math.max(at, context.currentTime + 0.02);
  source.start(when);
  state.samples += samples.length;
  document.body.dataset.samples = String(state.samples);
  document.body.dataset.scheduled = String(Number(document.body.dataset.scheduled) + 1);
  for (let i = 0; i < samples.length; i += 480) {
    let peak = 0;
    for (const value of samples.subarray(i, i + 480)) peak = Math.max(peak, Math.abs(value));
    state.peaks.push(peak);
  }
  draw();
  return when + buffer.duration;
}

function draw() {
  const canvas = $("wave");
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const step = Math.max(1, state.peaks.length / canvas.width);
  const width = Math.max(1, canvas.width / Math.max(state.peaks.length, 200));
  for (let x = 0, i = 0; i < state.peaks.length; x += width, i += step) {
    const peak = Math.max(...state.peaks.slice(Math.floor(i), Math.floor(i + step) || 1), 0);
    const height = Math.max(1, peak * canvas.height);
    pen.fillRect(x, (canvas.height - height) / 2, Math.max(width - 0.5, 0.5), height);
  }
}

function offer() {
  const size = state.parts.reduce((sum, part) => sum + part.length, 0);
  const head = new DataView(new ArrayBuffer(44));
  const word = (place, text) => [...text].forEach((c, i) => head.setUint8(place + i, c.charCodeAt(0)));
  word(0, "RIFF"); head.setUint32(4, 36 + size, true); word(8, "WAVEfmt ");
  head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
  head.setUint32(24, state.rate, true); head.setUint32(28, 2 * state.rate, true);
  head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  word(36, "data"); head.setUint32(40, size, true);
  const link = $("save");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([head, ...state.parts], { type: "audio/wav" }));
  link.hidden = false;
}

function stop() {
  if (state.abort) state.abort.abort();
  if (state.context) state.context.close();
  if (state.abort) tell("Stopped.", "stopped");
  Object.assign(state, { abort: null, context: null });
  $("stop").disabled = true;
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
$("stop").addEventListener("click", stop);
$("key").addEventListener("change", load);
$("variant").addEventListener("change", choose);
load().catch((error) => tell(`The server does not answer: ${error.message}`, "failed"));
