// What was done to the pair and when, and what a request that was under way then may say for itself.
//
// allows, of an interval:
//   cut     the connection may end, or be refused, without an answer
//   refused the same, of a request that began in it
//   error   it may fail, with an error as it should be
//   slow    the clock of deadlines stands still meanwhile
export class Timeline {
  constructor(begin = Date.now()) {
    this.begin = begin;
    this.intervals = []; // {from, to, what, allows}; to undefined: goes on
  }

  open(what, ...allows) {
    const interval = { from: Date.now(), what, allows };
    this.intervals.push(interval);
    return interval;
  }

  // later: what it leads to may come so much later
  close(interval, later = 0) {
    interval.to ??= Date.now() + later;
  }

  overlapping(from, to) {
    return this.intervals.filter((i) => i.from <= to && (i.to ?? Infinity) >= from);
  }

  allows(what, from, to) {
    return this.overlapping(from, to).some((i) => i.allows.includes(what));
  }

  refuses(begin) {
    return this.allows('refused', begin, begin);
  }

  // How long of that time nobody can be held to.
  slowMs(from, to) {
    const spans = this.overlapping(from, to).filter((i) => i.allows.includes('slow'))
      .map((i) => [Math.max(i.from, from), Math.min(i.to ?? to, to)]).sort((a, b) => a[0] - b[0]);
    let sum = 0;
    let end = from;
    for (const [a, b] of spans) {
      if (b > end) sum += b - Math.max(a, end);
      end = Math.max(end, b);
    }
    return sum;
  }

  told(from, to) {
    return this.overlapping(from, to).map((i) =>
      `  ${i.from - this.begin}..${i.to === undefined ? '' : i.to - this.begin} ${i.what} [${i.allows}]`).join('\n');
  }
}
