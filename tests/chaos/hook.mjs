// The page of hook.h: a file that is the memory of a process with chaos-hook.so preloaded.
import fs from 'node:fs';
import path from 'node:path';
import { buildDir } from '../integration/supervisor_kit.mjs';

const fields = ['clock_ms', 'fail_at', 'fail_run', 'fail_size', 'failed', 'count', 'leak_each', 'trace'];
const library = path.join(buildDir, 'chaos-hook.so');

// A sanitizer has an allocator of its own, which cannot be preloaded away.
export const hookable = !/san/.test(buildDir) && fs.existsSync(library);

export class Hook {
  constructor(file) {
    this.file = file;
    this.fd = fs.openSync(file, 'w+');
    fs.writeSync(this.fd, Buffer.alloc(4096));
  }

  get env() {
    return { LD_PRELOAD: library, CHAOS_HOOK: this.file };
  }

  set(values) {
    for (const [field, value] of Object.entries(values)) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(value));
      fs.writeSync(this.fd, bytes, 0, 8, 8 * fields.indexOf(field));
    }
  }

  get(field) {
    const bytes = Buffer.alloc(8);
    fs.readSync(this.fd, bytes, 0, 8, 8 * fields.indexOf(field));
    return Number(bytes.readBigInt64LE());
  }

  close() {
    fs.closeSync(this.fd);
  }
}
