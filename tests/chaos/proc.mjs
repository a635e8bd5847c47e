// What /proc tells of a process. undefined: it is gone.
import fs from 'node:fs';

function tell(fn) {
  try {
    return fn();
  } catch {
    return undefined;
  }
}

export const filesOf = (pid) => tell(() => fs.readdirSync(`/proc/${pid}/fd`).length);
export const threadsOf = (pid) => tell(() => fs.readdirSync(`/proc/${pid}/task`).length);

// KB that are this process's alone, and its share of what others have too.
export function memoryOf(pid) {
  return tell(() => {
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const kb = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
    return { rss: kb('Rss'), pss: kb('Pss'), dirty: kb('Private_Dirty') };
  });
}

// KB of the heap proper, of which the rest is stacks, data and what was mapped for big blocks.
export function heapOf(pid) {
  return tell(() => {
    const maps = fs.readFileSync(`/proc/${pid}/smaps`, 'utf8');
    const heap = /\[heap\][^]*?^Private_Dirty:\s+(\d+)/m.exec(maps);
    return heap ? Number(heap[1]) : 0;
  });
}

// {pid, ppid, state, name} of every process.
export function processes() {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    const stat = tell(() => fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
    if (!stat) return [];
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [{ pid: Number(pid), ppid: Number(ppid), state, name }];
  });
}
