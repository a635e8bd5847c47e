// A seed makes a list of faults: what, with which arguments, when. Pure: the same seed, the same list,
// wherever it is run. What cannot be done somewhere (no root, no fake) is left out by who does it.

// sfc32, seeded by a hash of the text (FNV-1a): small, good, and the same everywhere.
export function generator(seed) {
  let h = 2166136261;
  const next32 = (salt) => {
    for (const c of `${salt}:${seed}`) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
    return h >>> 0;
  };
  let [a, b, c, d] = [next32('a'), next32('b'), next32('c'), 1];
  const next = () => {
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 12; i++) next();
  return {
    next,
    // a whole number, both ends included
    int: (from, to) => from + Math.floor(next() * (to - from + 1)),
    pick: (list) => list[Math.floor(next() * list.length)],
    // many short ones, few long ones
    skewed: (from, to) => Math.round(from * (to / from) ** next()),
    chance: (p) => next() < p,
  };
}

const programs = ['app-server', 'proxy', 'supervisor'];
const hooked = ['proxy', 'supervisor'];

// name: how often beside the others, and the arguments.
export const kinds = {
  kill: { weight: 6, args: (r) => ({ who: r.pick([...programs, 'app-server', 'proxy']), signal: r.pick(['SIGKILL', 'SIGTERM', 'SIGSEGV']) }) },
  pause: { weight: 5, args: (r) => ({ who: r.pick(programs), ms: r.skewed(100, 8000) }) },
  hang: { weight: 3, args: (r) => ({ ms: r.skewed(300, 6000) }) },
  garbage: { weight: 3, args: () => ({}) },
  drop: { weight: 3, args: (r) => ({ how: r.pick(['drop', 'half-frame']) }) },
  socket: { weight: 3, args: (r) => ({ which: r.pick(['control', 'app-server']) }) },
  disk: { weight: 3, args: (r) => ({ ms: r.skewed(500, 5000) }) },
  clock: { weight: 3, args: (r) => ({ who: r.pick(hooked), hours: r.pick([-30, -3, -1, 1, 3, 30]), ms: r.skewed(500, 8000) }) },
  files: { weight: 3, args: (r) => ({ who: r.pick(hooked), spare: r.int(0, 6), ms: r.skewed(500, 4000) }) },
  memory: { weight: 8, args: (r) => ({ who: r.pick(['proxy', 'proxy', 'supervisor']), at: r.skewed(1, 1500), run: r.pick([0, 0, 0, 1, 3, 20]) }) },
  provider: { weight: 4, args: (r) => ({ mood: r.pick(['down', 'busy', 'cut', 'silent', 'garbage']), ms: r.skewed(300, 4000) }) },
  operator: { weight: 5, args: (r) => ({ command: r.pick(['restart app-server', 'restart proxy', 'reload proxy', 'reload', 'drain app-server', 'SIGHUP']) }) },
  client: { weight: 4, args: (r) => ({ how: r.pick(['half-open', 'reset', 'garbage', 'slow-body', 'slow-head']), count: r.int(1, 20), ms: r.skewed(500, 5000) }) },
};

function pickKind(r, names) {
  let at = r.next() * names.reduce((sum, name) => sum + kinds[name].weight, 0);
  return names.find((name) => (at -= kinds[name].weight) < 0) ?? names.at(-1);
}

// The faults of so many seconds, in order: [{at_ms, fault, args}]. only: names; else all.
export function makeSchedule(seed, seconds, only = Object.keys(kinds)) {
  const r = generator(seed);
  const list = [];
  for (let at_ms = r.int(500, 1500); at_ms < seconds * 1000; at_ms += r.skewed(150, 5000)) {
    const fault = pickKind(r, only);
    list.push({ at_ms, fault, args: kinds[fault].args(r) });
  }
  return list;
}

export const printed = ({ at_ms, fault, args }) =>
  `${String(at_ms).padStart(7)} ${fault.padEnd(9)} ${Object.entries(args).map(([k, v]) => `${k}=${v}`).join(' ')}`;
