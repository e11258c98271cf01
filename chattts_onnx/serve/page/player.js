// A player for sound that is still coming: what is there can be played, paused, sought and saved.

const LETTERS_PER_SECOND = 15;
// How far behind the last word the next one may stand.
const FAR = 300;

/** Sound of one utterance: 16-bit samples as they came, and their peaks for the picture. */
export class Clip {
  constructor(text, rate, about) {
    Object.assign(this, { text, rate, about, parts: [], samples: 0, peaks: [], complete: false, words: [], told: 0, open: null });
  }

  get seconds() { return this.samples / this.rate; }

  /** Take 16-bit little-endian bytes; a piece of the network may end within a sample. */
  push(bytes) {
    const joined = new Uint8Array((this.rest?.length ?? 0) + bytes.length);
    joined.set(this.rest ?? []);
    joined.set(bytes, this.rest?.length ?? 0);
    const whole = joined.length - (joined.length % 2);
    this.rest = joined.slice(whole);
    if (!whole) return;
    const values = new Float32Array(whole / 2);
    const view = new DataView(joined.buffer, 0, whole);
    for (let i = 0; i < values.length; i++) values[i] = view.getInt16(2 * i, true) / 32768;
    this.parts.push({ at: this.samples, values, bytes: joined.subarray(0, whole) });
    this.samples += values.length;
    for (let i = 0; i < values.length; i += 480) {
      let peak = 0;
      for (const value of values.subarray(i, i + 480)) peak = Math.max(peak, Math.abs(value));
      this.peaks.push(peak);
    }
  }

  /** Take the server's times: a piece that begins, or the words of one that has ended. */
  time(event) {
    this.open = event.end === undefined ? event.start : null;
    for (const sentence of event.sentences ?? []) {
      for (const [word, , start, end] of sentence.words) {
        // Markup is not said: each word is looked for behind the one before it.
        const at = this.text.indexOf(word, this.told);
        if (at < 0 || at > this.told + FAR) continue;
        this.words.push({ at, to: at + word.length, start, end });
        this.told = at + word.length;
      }
    }
  }

  /** The word that is said at a time: as the server tells, or guessed in a piece not told yet. */
  wordAt(seconds) {
    if (this.open === null || seconds < this.open) {
      return this.words.findLast(({ start }) => start <= seconds) ?? null;
    }
    let left = (seconds - this.open) * LETTERS_PER_SECOND;
    for (const match of this.text.slice(this.told).matchAll(/\p{Script=Han}|[^\s\p{Script=Han}]+/gu)) {
      const at = this.told + match.index;
      left -= /\p{Script=Han}/u.test(match[0]) ? 3 : match[0].length + 1;
      if (left < 0) return { at, to: at + match[0].length };
    }
    return null;
  }

  /** What has come so far as a WAV file. */
  wav() {
    const size = 2 * this.samples;
    const head = new DataView(new ArrayBuffer(44));
    const word = (at, text) => [...text].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
    word(0, "RIFF"); head.setUint32(4, 36 + size, true); word(8, "WAVEfmt ");
    head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
    head.setUint32(24, this.rate, true); head.setUint32(28, 2 * this.rate, true);
    head.setUint16(32, 2, true); head.setUint16(34, 16, true);
    word(36, "data"); head.setUint32(40, size, true);
    return new Blob([head, ...this.parts.map((part) => part.bytes)], { type: "audio/wav" });
  }
}

/** Plays one clip at a time.  Each part is scheduled to begin where the one before it ends. */
export class Player {
  constructor(changed) { Object.assign(this, { changed, clip: null, sources: [], from: 0, paused: true }); }

  /** Whether something is to be heard now or will be once more has come. */
  get playing() {
    return !this.paused && this.clip !== null && !(this.clip.complete && this.position >= this.clip.seconds);
  }

  /** Seconds into the clip of what is heard now. */
  get position() {
    if (!this.clip) return 0;
    const now = this.context?.currentTime ?? 0;
    let heard = this.from;
    for (const { when, begin, end } of this.sources) {
      if (now >= when) heard = Math.min(begin + now - when, end);
    }
    return heard;
  }

  play(clip, from = 0) {
    this.silence();
    this.context ??= new AudioContext();
    this.context.resume();
    Object.assign(this, { clip, from, paused: false, next: 0 });
    clip.parts.forEach((part) => this.schedule(part));
    this.changed();
  }

  /** A part that has just come. */
  more(clip) {
    if (clip === this.clip) this.schedule(clip.parts.at(-1));
  }

  schedule(part) {
    const { rate } = this.clip;
    const skip = Math.max(0, Math.round(this.from * rate) - part.at);
    if (skip >= part.values.length) return;
    const buffer = this.context.createBuffer(1, part.values.length - skip, rate);
    buffer.copyToChannel(part.values.subarray(skip), 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    const when = Math.max(this.next, this.context.currentTime + 0.02);
    source.start(when);
    const begin = (part.at + skip) / rate;
    this.sources.push({ source, when, begin, end: begin + buffer.duration });
    this.next = when + buffer.duration;
  }

  pause() {
    this.paused = true;
    this.context?.suspend();
    this.changed();
  }

  resume() {
    if (!this.clip) return;
    if (this.clip.complete && this.position >= this.clip.seconds) { this.play(this.clip); return; }
    this.paused = false;
    this.context.resume();
    this.changed();
  }

  seek(seconds) {
    if (!this.clip) return;
    const still = this.paused;
    this.play(this.clip, Math.min(Math.max(0, seconds), this.clip.seconds));
    if (still) this.pause();
  }

  silence() {
    this.sources.forEach(({ source }) => source.stop());
    this.sources = [];
    this.next = 0;
  }

  /** Nothing is heard any more; the clip stays and begins anew with the next play. */
  stop() {
    this.silence();
    Object.assign(this, { from: 0, paused: true });
    this.changed();
  }
}
