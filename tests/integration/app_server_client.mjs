// The app-server's own protocol, as a bare client speaks it: to look behind the proxy's back.
import WebSocket from 'ws';
import { once } from 'node:events';
import { withDeadline } from './supervisor_kit.mjs';

export class AppServerClient {
  // url: unix:///PATH or ws://HOST:PORT
  static async connect(url, optOut = []) {
    const client = new AppServerClient(url.replace(/^unix:\/\/(.*)$/, 'ws+unix:$1:/'));
    await withDeadline(once(client.socket, 'open'), `a connection to ${url}`);
    await client.call('initialize', {
      clientInfo: { name: 'codex_sidecar_tests', title: null, version: '1' },
      capabilities: { experimentalApi: true, optOutNotificationMethods: optOut },
    });
    client.socket.send('{"method":"initialized"}');
    return client;
  }

  constructor(url) {
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.nextId = 1;
    this.pending = new Map();
    this.onNotification = () => {};
    this.socket.on('message', (data) => this.take(JSON.parse(data)));
    this.socket.on('error', () => {});
  }

  take(message) {
    if (message.method) return this.onNotification(message);
    this.pending.get(message.id)?.(message);
    this.pending.delete(message.id);
  }

  send(method, params, answer) {
    const id = this.nextId++;
    this.pending.set(id, answer);
    this.socket.send(JSON.stringify({ id, method, params }));
  }

  async call(method, params) {
    const answered = new Promise((resolve) => this.send(method, params, resolve));
    const { result, error } = await withDeadline(answered, `answer to ${method}`);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  async loadedThreads() {
    return (await this.call('thread/loaded/list', {})).data;
  }

  close() {
    this.socket.terminate();
  }
}
