// Reads a trace of system calls (strace) and tells which deliveries were answered before they were on stable storage. The trace
// tells the order of calls that overlap: a call that ended above the line where another began was over by then.

/** How strace is to be asked; the program's command line comes after it. It ends with the program. */
export const strace = (file) => ['strace', '-D', '-f', '-yy', '-s', '1000000', '-e', 'trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync', '-o', file];

const RECEIVES = new Set(['read', 'readv', 'recvfrom', 'recvmsg']);
const SENDS = new Set(['write', 'writev', 'sendto', 'sendmsg']);
const FLUSHES = new Set(['fsync', 'fdatasync']);
const ESCAPES = { n: '\n', r: '\r', t: '\t', v: '\v', f: '\f' };

/** The calls that succeeded, by their ends: `{ call, target, bytes, result, begin, end }`; `target` is a path or an address. */
export function parseTrace(text) {
  const open = new Map();
  const calls = [];
  for (const [number, line] of text.split('\n').entries()) {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = rest && /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (rest?.endsWith(' <unfinished ...>')) open.set(thread, { begin: number, head: rest.slice(0, -' <unfinished ...>'.length) });
    else if (resumed && open.has(thread)) {
      const { begin, head } = open.get(thread);
      open.delete(thread);
      calls.push(parseCall(head + resumed[1], begin, number));
    } else if (rest) calls.push(parseCall(rest, number, number));
  }
  return calls.filter(Boolean);
}

function parseCall(text, begin, end) {
  const found = /^(\w+)\(\d+<(\w+:\[[^\]]*\]|[^>]*)>(.*)\) += (\d+)$/.exec(text);
  if (!found) return undefined;
  const [, call, target, args, result] = found;
  const bytes = [...args.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, quoted]) => unescape(quoted)).join('');
  return { call, target, bytes, result: Number(result), begin, end };
}

const unescape = (quoted) => quoted.replace(/\\([0-7]{1,3}|.)/g, (_, code) => (/^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : ESCAPES[code] ?? code));

/** The deliveries that were answered with 2xx: `{ id, begin }`, where the answer began. One at a time on each connection. */
export function acknowledged(calls, port) {
  const connections = new Map();
  const answers = [];
  for (const { call, target, bytes, begin } of calls) {
    if (!target.startsWith(`TCP:[127.0.0.1:${port}->`)) continue;
    const heard = connections.get(target) ?? '';
    if (RECEIVES.has(call)) connections.set(target, heard + bytes);
    else if (SENDS.has(call) && bytes.startsWith('HTTP/1.1 ')) {
      const [, id] = /\r\nx-github-delivery: (\S+)\r\n/i.exec(heard) ?? [];
      if (id && bytes.startsWith('HTTP/1.1 2')) answers.push({ id, begin });
      connections.set(target, '');
    }
  }
  return answers;
}

/**
 * Those of the answers that no flush comes before, of the file of the inbox's log to which the delivery was written: begun after it
 * was written, and ended before the answer began.
 */
export function unflushed(calls, port) {
  const logs = calls.filter(({ target }) => target.endsWith('.log'));
  const flushes = logs.filter(({ call }) => FLUSHES.has(call));
  const covered = ({ id, begin }) => {
    const record = logs.find(({ call, bytes, result }) => call === 'write' && result === bytes.length && bytes.includes(`"id:${id}"`));
    return record && flushes.some((flush) => flush.target === record.target && flush.begin > record.end && flush.end < begin);
  };
  return acknowledged(calls, port).filter((answer) => !covered(answer));
}

/**
 * Those of the answers that PostgreSQL's word does not come before: that it committed a transaction the row was sent in. A delivery that
 * comes twice is sent twice, and PostgreSQL commits the second one only when the first is there.
 */
export function uncommitted(calls, port, postgres) {
  const ours = calls.filter(({ target }) => target.startsWith('TCP:[') && target.endsWith(`:${postgres}]`));
  const covered = ({ id, begin }) => {
    const isCommitted = (sent, index) => {
      const commit = ours.slice(index + 1).find(({ call, target, bytes }) => target === sent.target && RECEIVES.has(call) && bytes.includes('C\0\0\0\u000bCOMMIT\0'));
      return commit && commit.end < begin;
    };
    return ours.some((call, index) => SENDS.has(call.call) && call.bytes.includes(`id:${id}`) && isCommitted(call, index));
  };
  return acknowledged(calls, port).filter((answer) => !covered(answer));
}
