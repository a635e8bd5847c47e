// One HTTP request as the wire shows it, with what happened when. Never throws: what comes is judged
// by the oracle.
import http from 'node:http';

// How it went: {status, type, text, over: 'whole'|'cut'|'refused'|'left'|'late', why, begin, end, marks}
// leaveAfter: that many ms or bytes, and the caller is gone. pause: {every, ms} bytes read between rests.
// kill_ms: nobody waits longer.
export function exchange(port, { path, body, headers, method = 'POST', agent = false, leaveAfter, pause, kill_ms }) {
  const begin = Date.now();
  const marks = [];
  const mark = (what) => marks.push(`${Date.now() - begin} ms ${what}`);
  return new Promise((resolve) => {
    const chunks = [];
    let bytes = 0;
    let response;
    const timers = [];
    const finish = (over, why) => {
      timers.forEach(clearTimeout);
      mark(why ? `${over}: ${why}` : over);
      const text = Buffer.concat(chunks).toString();
      resolve({ status: response?.statusCode, type: response?.headers['content-type'] ?? '', text, over, why, begin, end: Date.now(), marks });
      finishOnce = () => {};
    };
    let finishOnce = finish;
    const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent });
    const leave = (over) => {
      finishOnce(over);
      request.destroy();
    };
    timers.push(setTimeout(() => leave('late'), kill_ms));
    if (leaveAfter?.ms !== undefined) timers.push(setTimeout(() => leave('left'), leaveAfter.ms));
    request.on('error', (error) => finishOnce(error.code === 'ECONNREFUSED' ? 'refused' : 'cut', error.code ?? error.message));
    request.on('socket', (socket) => socket.once('connect', () => mark('connected')));
    request.on('response', (r) => {
      response = r;
      mark(`status ${r.statusCode}`);
      let since = 0;
      r.on('data', (chunk) => {
        if (bytes === 0) mark('first byte');
        chunks.push(chunk);
        bytes += chunk.length;
        since += chunk.length;
        if (leaveAfter?.bytes !== undefined && bytes >= leaveAfter.bytes) return leave('left');
        if (!pause || since < pause.every) return;
        since = 0;
        r.pause();
        timers.push(setTimeout(() => r.resume(), pause.ms));
      });
      r.on('end', () => finishOnce(r.complete ? 'whole' : 'cut'));
      r.on('close', () => finishOnce('cut', 'closed'));
      r.on('error', (error) => finishOnce('cut', error.code));
    });
    request.end(body);
  });
}
