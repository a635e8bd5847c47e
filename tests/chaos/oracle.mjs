// Judges. Each request: right, a well-formed error, or excused by what was done to the pair meanwhile;
// everything else is an objection.
import { limits } from './world.mjs';
import { markerPattern } from './load.mjs';

// By the settings: the queue, then the turn with all that is tried again in it, and what a slow machine
// takes to say so.
export const DEADLINE_MS = limits.queue_ms + limits.request_ms + 4000;

// In a failure that is not the caller's.
const FAILURES = new Set([429, 500, 502, 503, 504]);

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const isErrorObject = (error) =>
  typeof error?.message === 'string' && error.message !== '' && typeof error.type === 'string' && error.type !== '' &&
  (error.code === null || typeof error.code === 'string') && (error.param === null || typeof error.param === 'string');

// [{name, data, json}] of a stream; rest: what is no whole event.
function eventsOf(text) {
  const blocks = text.split('\n\n');
  const rest = blocks.pop();
  const events = blocks.filter((b) => !b.startsWith(':')).map((block) => {
    const field = (name) => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field('data');
    return { name: field('event'), data, json: data === '[DONE]' ? undefined : parsed(data ?? '') };
  });
  return { events, rest };
}

// Of each form of an answer: {text, calls, error, bad}. bad: what is wrong with its form.
const readers = {
  chatWhole({ text }) {
    const json = parsed(text);
    const message = json?.choices?.[0]?.message;
    if (!message) return { bad: 'no message in it' };
    return { text: message.content ?? '', calls: (message.tool_calls ?? []).map((c) => c.function) };
  },
  chatStream({ text }) {
    const { events, rest } = eventsOf(text);
    const chunks = events.map((e) => e.json).filter(Boolean);
    const content = chunks.map((c) => c.choices?.[0]?.delta?.content ?? '').join('');
    const calls = [];
    for (const part of chunks.flatMap((c) => c.choices?.[0]?.delta?.tool_calls ?? [])) {
      const call = (calls[part.index] ??= { name: '', arguments: '' });
      call.name += part.function?.name ?? '';
      call.arguments += part.function?.arguments ?? '';
    }
    const error = chunks.find((c) => c.error)?.error;
    let bad;
    if (rest !== '') bad = 'half an event at its end';
    else if (events.some((e) => e.data !== '[DONE]' && !e.json)) bad = 'an event that is no JSON';
    else if (events.at(-1)?.data !== '[DONE]') bad = 'no [DONE] at its end';
    else if (!error && chunks.filter((c) => c.choices?.[0]?.finish_reason).length !== 1) bad = 'not one finish_reason';
    return { text: content, calls, error, bad };
  },
  responseWhole({ text }) {
    const json = parsed(text);
    if (!Array.isArray(json?.output)) return { bad: 'no output in it' };
    return { ...outputOf(json), error: failureOf(json) };
  },
  responseStream({ text }) {
    const { events, rest } = eventsOf(text);
    const last = events.at(-1)?.json;
    const deltas = events.filter((e) => e.name === 'response.output_text.delta').map((e) => e.json?.delta ?? '').join('');
    if (rest !== '') return { text: deltas, bad: 'half an event at its end' };
    if (events.some((e) => !e.json || e.json.type !== e.name)) return { text: deltas, bad: 'an event that is not what it says' };
    if (events.some((e, i) => e.json.sequence_number !== i)) return { text: deltas, bad: 'a gap in sequence_number' };
    if (last?.type === 'error') return { text: deltas, error: { type: 'server_error', ...last } };
    if (!/^response\.(completed|incomplete|failed)$/.test(last?.type ?? '')) return { text: deltas, bad: `ends in ${last?.type}` };
    const output = outputOf(last.response);
    return { text: output.text || deltas, calls: output.calls, error: failureOf(last.response) };
  },
};

const outputOf = ({ output }) => ({
  text: output.filter((i) => i.type === 'message').flatMap((i) => i.content).map((p) => p.text ?? '').join(''),
  calls: output.filter((i) => i.type === 'function_call').map(({ name, arguments: args }) => ({ name, arguments: args })),
});

// Of a response that failed: its error, in the shape of the others.
const failureOf = ({ status, error }) =>
  status === 'failed' ? { type: 'server_error', param: null, ...error } : undefined;

const readerOf = (plan, isStream) => readers[`${plan.path === '/v1/responses' ? 'response' : 'chat'}${isStream ? 'Stream' : 'Whole'}`];

export class Oracle {
  constructor(timeline) {
    this.timeline = timeline;
    this.counts = { requests: 0, right: 0, left: 0, excused: 0, objected: 0 };
    this.errors = {};
    this.objections = [];
    this.slowest_ms = 0;
  }

  object(what, detail = '') {
    this.counts.objected++;
    this.objections.push({ what, detail });
  }

  // For Load: a request is over.
  judge(plan, x) {
    this.counts.requests++;
    const { verdict, why } = this.verdict(plan, x);
    if (verdict === 'error') this.errors[why] = (this.errors[why] ?? 0) + 1;
    else if (verdict !== 'objection') this.counts[verdict]++;
    else this.object(`${plan.name}: ${why}`, this.storyOf(plan, x));
  }

  verdict(plan, x) {
    const took = x.end - x.begin - this.timeline.slowMs(x.begin, x.end);
    const foreign = (x.text.match(markerPattern) ?? []).find((m) => m !== plan.marker);
    if (foreign) return { verdict: 'objection', why: `cross-talk: ${foreign} is another's` };
    if (x.over === 'left') return { verdict: 'left' };
    this.slowest_ms = Math.max(this.slowest_ms, took);
    if (took > DEADLINE_MS || x.over === 'late') return { verdict: 'objection', why: `took ${took} ms` };
    if (x.over === 'cut' || x.over === 'refused') {
      const mayBe = this.timeline.allows('cut', x.begin, x.end) || this.timeline.refuses(x.begin);
      return mayBe ? { verdict: 'excused' } : { verdict: 'objection', why: `${x.over} (${x.why})` };
    }
    if (x.status !== 200) return this.failed(plan, x);
    return this.answered(plan, x);
  }

  failed(plan, x) {
    const error = parsed(x.text)?.error;
    if (!isErrorObject(error)) return { verdict: 'objection', why: `status ${x.status} without an error object: ${x.text.slice(0, 200)}` };
    if (x.status === plan.expects.status) return { verdict: 'right' };
    if (!FAILURES.has(x.status)) return { verdict: 'objection', why: `status ${x.status}: ${x.text.slice(0, 200)}` };
    return this.excusedError(plan, x, `${x.status} ${error.code}`);
  }

  excusedError(plan, x, what) {
    if (plan.mood || this.timeline.allows('error', x.begin, x.end)) return { verdict: 'error', why: what };
    return { verdict: 'objection', why: `an error while nothing was wrong: ${what}` };
  }

  answered(plan, x) {
    if (plan.expects.status) return { verdict: 'objection', why: `status 200, not ${plan.expects.status}` };
    const isStream = /event-stream/.test(x.type);
    if (isStream !== Boolean(plan.json.stream)) return { verdict: 'objection', why: `content-type ${x.type}` };
    const { text, calls = [], error, bad } = readerOf(plan, isStream)(x);
    if (bad) return { verdict: 'objection', why: bad };
    const { text: expected = '', call } = plan.expects;
    if (error && !isErrorObject(error)) return { verdict: 'objection', why: `an error of no form: ${JSON.stringify(error)}` };
    if (error && !expected.startsWith(text)) return { verdict: 'objection', why: `an error after wrong text "${text.slice(-80)}"` };
    if (error) return this.excusedError(plan, x, `200 ${error.code}`);
    if (call ? JSON.stringify(calls) !== JSON.stringify([call]) : text !== expected || calls.length > 0)
      return { verdict: 'objection', why: `a wrong answer: "${text.slice(0, 200)}" ${JSON.stringify(calls)}` };
    return { verdict: 'right' };
  }

  storyOf(plan, x) {
    const { begin } = this.timeline;
    return [
      `  ${plan.marker.replace('mk', 'id')} ${plan.path}${plan.json?.stream ? ' stream' : ''}${plan.mood ? `, model ${plan.mood}` : ''}, begun at ${x.begin - begin} ms, over at ${x.end - begin} ms`,
      `  ${x.marks.join(', ')}`,
      `  status ${x.status} ${x.type}, ends "${x.text.slice(-300).replaceAll('\n', '\\n')}"`,
      '  what was done around it (ms of the run):',
      this.timeline.told(x.begin - 1000, x.end + 200),
    ].join('\n');
  }
}
