// Speech is fetched as events with 16-bit PCM and the times of words, and played while it comes.
// What the page does is also told in data attributes of <body>: state, samples, playing.
import { Clip, Player } from "./player.js";

const $ = (id) => document.getElementById(id);
const HISTORY = 8;
const SAMPLE = { en: "Hello. This is how I sound.", zh: "你好，我的声音是这样的。" };
const player = new Player(show);
const state = { abort: null, history: [], variants: [], samples: new Map() };
Object.assign(window, { player, pageState: state });

function tell(text, phase) {
  // what is set once more is read aloud once more
  if ($("status").textContent !== text) $("status").textContent = text;
  if (phase) document.body.dataset.state = phase;
}

function headers() {
  const key = $("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function json(path) {
  const answer = await fetch(path, { headers: headers() });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error.message), { status: answer.status });
  return body;
}

async function load() {
  try {
    state.variants = (await json("v1/variants")).variants;
  } catch (error) {
    if (error.status !== 401) throw error;
    $("keyfield").hidden = false;
    tell("This server wants an API key.", "key");
    return;
  }
  $("variant").replaceChildren(...state.variants.map((v) => new Option(label(v), v.id)));
  const paces = Array.from({ length: 10 }, (_, i) => new Option(`${i} of 9`, i));
  $("speed").replaceChildren(new Option("the voice’s own", ""), ...paces);
  await choose();
  tell("Ready.", "ready");
}

function label(variant) {
  return variant.precision && variant.precision !== variant.id
    ? `${variant.id}, ${variant.precision}` : variant.id;
}

/** Another variant: its voices, its languages, what it can do. */
async function choose() {
  const variant = state.variants.find((v) => v.id === $("variant").value);
  const languages = variant.languages?.map((name) => ({ en: "English", zh: "Mandarin" })[name] ?? name);
  const facts = [variant.checkpoint, languages?.join(" and "), variant.license];
  $("about").textContent = facts.filter(Boolean).join(" · ");
  $("speedfield").hidden = variant.options !== undefined && !variant.options.includes("speed");
  if (!$("text").value) $("text").value = variant.example ?? SAMPLE[variant.languages?.[0] ?? "en"];
  const found = await json(`v1/voices?${new URLSearchParams({ variant: variant.id })}`);
  const names = found.voices.map((voice) => voice.id);
  $("voices").replaceChildren($("voices").firstElementChild, ...names.map((n) => voice(n)), voice(null));
  $("voices").querySelector("input").checked = true;
}

/** One voice to choose, with a sample to hear; without a name the one of a number. */
function voice(name) {
  const box = document.createElement("span");
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "voice", value: name ?? "" });
  const title = document.createElement("label");
  title.append(choice, name ?? "Random no.");
  box.className = "voice";
  box.append(title);
  if (name === null) {
    const number = Object.assign(document.createElement("input"), { type: "number", id: "number", min: 0, max: 4294967295, value: 7 });
    number.setAttribute("aria-label", "Number of a random voice");
    number.addEventListener("focus", () => { choice.checked = true; });
    box.append(number);
  }
  const sample = Object.assign(document.createElement("button"), { type: "button", textContent: "▶" });
  sample.setAttribute("aria-label", name === null ? "Hear this random voice" : `Hear ${name}`);
  sample.addEventListener("click", () => { choice.checked = true; hear(); });
  box.append(sample);
  return box;
}

function chosen() {
  const checked = document.querySelector("input[name=voice]:checked");
  return checked?.value || $("number")?.value.trim() || undefined;
}

function hear() {
  const variant = state.variants.find((v) => v.id === $("variant").value);
  const language = variant.languages?.[0] ?? "en";
  speak({ text: SAMPLE[language] ?? SAMPLE.en, variant: variant.id, voice: chosen(), seed: 1 });
}

function request() {
  const number = (id) => ($(id).value === "" || $(id).parentElement.hidden ? undefined : Number($(id).value));
  return {
    text: $("text").value,
    variant: $("variant").value || undefined,
    voice: chosen(),
    language: $("language").value || undefined,
    speed: number("speed"),
    seed: number("seed"),
  };
}

async function speak(wanted) {
  stop();
  const abort = (state.abort = new AbortController());
  document.body.dataset.samples = "0";
  tell("Waiting for the first sound…", "waiting");
  show();
  const started = performance.now();
  try {
    const answer = await fetch("v1/tts", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers() },
      // A sentence by itself has exact times, and they are known soon.
      body: JSON.stringify({ ...wanted, format: "pcm", stream_format: "sse", apart: true }),
      signal: abort.signal,
    });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    await receive(answer, wanted, started);
  } catch (error) {
    if (!abort.signal.aborted) tell(`It failed: ${error.message}`, "failed");
  } finally {
    if (state.abort === abort) state.abort = null;
    show();
  }
}

/** Server-sent events as they come. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const event of whole) yield JSON.parse(event.slice("data: ".length));
  }
}

async function receive(answer, wanted, started) {
  const seed = answer.headers.get("X-Seed");
  const about = `voice ${wanted.voice ?? "by chance"}, ${answer.headers.get("X-Variant")}, seed ${seed}`;
  const warning = answer.headers.get("X-Warning");
  const clip = new Clip(wanted.text, Number(answer.headers.get("X-Sample-Rate")), about);
  let first = 0;
  for await (const event of events(answer.body)) {
    if (event.type.startsWith("speech.piece.")) clip.time(event);
    if (event.type !== "speech.audio.delta") continue;
    clip.push(Uint8Array.from(atob(event.audio), (c) => c.charCodeAt(0)));
    if (!clip.samples) continue;
    if (!first) {
      first = performance.now() - started;
      player.play(clip);
      remember(clip);
    } else player.more(clip);
    document.body.dataset.samples = String(clip.samples);
    tell(`First sound after ${Math.round(first)} ms · ${about}`, "streaming");
    show();
  }
  clip.complete = true;
  const spent = ((performance.now() - started) / 1000).toFixed(1);
  const note = warning ? ` · ${warning}` : "";
  tell(`${clip.seconds.toFixed(1)} s of speech in ${spent} s, first sound after ${Math.round(first)} ms · ${about}${note}`, "done");
}

/** Ends what is heard and what is still being made. */
function stop() {
  if (state.abort) {
    state.abort.abort();
    state.abort = null;
    if (player.clip) player.clip.complete = true;
    tell("Stopped.", "stopped");
  }
  player.stop();
}

function remember(clip) {
  state.history = [clip, ...state.history].slice(0, HISTORY);
  $("past").hidden = false;
  $("history").replaceChildren(...state.history.map((past) => {
    const line = document.createElement("li");
    const text = Object.assign(document.createElement("span"), { textContent: past.text, title: past.about });
    const again = button("Play", () => player.play(past));
    const edit = button("Edit", () => {
      $("text").value = past.text;
      $("text").focus();
    });
    for (const made of [again, edit]) made.setAttribute("aria-label", `${made.textContent}: ${past.text}`);
    line.append(text, again, edit);
    return line;
  }));
}

function button(name, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  made.addEventListener("click", act);
  return made;
}

/** Brings buttons, time, picture and marked words to what the player does; repeats while it plays. */
function show() {
  cancelAnimationFrame(state.frame);
  const { clip, playing } = player;
  document.body.dataset.playing = String(playing);
  $("play").textContent = playing ? "Pause" : "Play";
  $("play").disabled = $("again").disabled = !clip;
  $("stop").disabled = !(playing || state.abort);
  $("save").hidden = !clip;
  if (clip) {
    const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
    $("time").textContent = `${clock(player.position)} / ${clock(clip.seconds)}${clip.complete ? "" : " …"}`;
    $("wave").setAttribute("aria-valuemax", clip.seconds.toFixed(1));
    $("wave").setAttribute("aria-valuenow", player.position.toFixed(1));
    $("wave").setAttribute("aria-valuetext", `${player.position.toFixed(1)} of ${clip.seconds.toFixed(1)} seconds`);
    draw(clip);
  }
  mark(playing ? clip : null);
  if (playing) state.frame = requestAnimationFrame(show);
}

function draw(clip) {
  const canvas = $("wave");
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const bars = Math.max(1, Math.min(Math.floor(width / (3 * scale)), clip.peaks.length));
  const played = (player.position / Math.max(clip.seconds, 1e-9)) * bars;
  const each = clip.peaks.length / bars;
  for (let bar = 0; bar < bars; bar++) {
    const peaks = clip.peaks.slice(Math.floor(bar * each), Math.max(Math.floor((bar + 1) * each), 1));
    const tall = Math.max(2 * scale, Math.max(0, ...peaks) * height * 0.95);
    pen.globalAlpha = bar <= played ? 1 : 0.35;
    pen.fillRect((bar * width) / bars, (height - tall) / 2, Math.max(2 * scale, (0.6 * width) / bars), tall);
  }
}

/** Marks the word that is heard. */
function mark(clip) {
  const span = clip && clip.text === $("text").value ? clip.wordAt(player.position) : null;
  if (!span) { $("spoken").replaceChildren(); return; }
  const marked = Object.assign(document.createElement("mark"), { textContent: clip.text.slice(span.at, span.to) });
  $("spoken").replaceChildren(clip.text.slice(0, span.at), marked, clip.text.slice(span.to));
  $("spoken").scrollTop = $("text").scrollTop;
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); speak(request()); });
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("text").addEventListener("scroll", () => { $("spoken").scrollTop = $("text").scrollTop; });
$("play").addEventListener("click", () => (player.playing ? player.pause() : player.resume()));
$("again").addEventListener("click", () => player.play(player.clip));
$("stop").addEventListener("click", () => { stop(); show(); });
$("save").addEventListener("click", () => {
  const href = URL.createObjectURL(player.clip.wav());
  Object.assign(document.createElement("a"), { href, download: "speech.wav" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
});
$("wave").addEventListener("pointerdown", (event) => {
  const box = $("wave").getBoundingClientRect();
  if (player.clip) player.seek(((event.clientX - box.left) / box.width) * player.clip.seconds);
});
$("wave").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity }[event.key];
  if (step) { event.preventDefault(); player.seek(player.position + step); }
  if (event.key === " ") { event.preventDefault(); $("play").click(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("stop").click(); });
$("key").addEventListener("change", () => start());
$("variant").addEventListener("change", choose);
function start() {
  load().catch((error) => tell(`The server does not answer: ${error.message}`, "failed"));
}
start();
