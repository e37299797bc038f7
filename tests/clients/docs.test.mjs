// The documentation: links lead somewhere, GraphQL fits the schema, and the blocks that are marked `run` run, in the order of the
// book, as a reader who follows it would run them.
//
//   ```sh run          runs in one shell, which all pages share, and must succeed
//   ```sh run live     runs in the background to the end of its page, and must print something
//   ```js run live     the same, as a module
//   ```graphql run     is executed and must answer without errors; a subscription must send its first event
//
// A word in capitals, such as INTEGRATION_ID, is replaced by what an earlier block answered.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isScalarType, parse, specifiedRules, specifiedScalarTypes, validate } from 'graphql';
import { events } from './followers.mjs';
import { schema } from './graphs.mjs';
import { binary, freePorts, PATIENCE, query, ROOT, startDev, temporaryFolder, until } from './harness.mjs';

/** The README may have this many lines. */
const LONGEST_README = 150;
/** Pages that start a server of their own with `mullion serve`. */
const SERVE = ['docs/guide/operations.md'];

const read = (path) => readFileSync(join(ROOT, path), 'utf8');

/** All Markdown files, without what is built or fetched. */
function markdownFiles(folder = '') {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith('.') || ['node_modules', 'target', 'dist'].includes(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** The fenced blocks of a page: `{ info, text, line }`; blocks inside lists lose their indentation. */
function blocks(text) {
  const found = [];
  let open;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    if (open && fence && fence[1] === open.indent && fence[2] === '') {
      found.push({ info: open.info, line: open.line, text: open.lines.join('\n') });
      open = undefined;
    } else if (open) open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart());
    else if (fence) open = { indent: fence[1], info: fence[2].trim().split(/\s+/), line: index + 1, lines: [] };
  }
  assert.equal(open, undefined, `the block in line ${open?.line} does not end`);
  return found;
}

/** The text without fenced blocks and inline code, whose brackets are no links. */
const prose = (text) => text.replace(/^( *)```[^\n]*\n[\s\S]*?^\1```$/gm, '').replace(/`[^`\n]*`/g, '``');

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(text) {
  const seen = new Map();
  return text.replace(/^( *)```[^\n]*\n[\s\S]*?^\1```$/gm, '').split('\n').filter((line) => /^#{1,6} /.test(line)).map((line) => {
    const title = line.replace(/^#+ /, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = title.trim().toLowerCase().replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
}

/** What is wrong with the links of a page. */
function brokenLinks(path, text) {
  const targets = [...prose(text).matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)|^\[[^\]]+\]: *(\S+)$/gm)].map(([, inline, reference]) => inline ?? reference);
  return targets.filter((target) => !/^[a-z]+:/.test(target)).flatMap((target) => {
    const [file, anchor] = target.split('#');
    const full = file ? resolve(ROOT, dirname(path), file) : join(ROOT, path);
    if (!existsSync(full)) return [`${path}: ${target} does not exist`];
    if (relative(ROOT, full).startsWith('..')) return [`${path}: ${target} is outside of the repository`];
    if (anchor === undefined) return [];
    if (statSync(full).isDirectory() || !full.endsWith('.md')) return [`${path}: ${target} has no anchors`];
    return anchors(file ? readFileSync(full, 'utf8') : text).includes(anchor) ? [] : [`${path}: ${target} is no heading`];
  });
}

/** The pages of the book, in order. */
const book = () => [...read('docs/SUMMARY.md').matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => join('docs', path));
/** The pages that users read first to last: those whose blocks run. */
const pages = ['README.md', ...book()];

describe('all Markdown files', () => {
  test('links lead to files and headings that exist', () => {
    const files = markdownFiles();
    assert.ok(files.length > 40, `the walk found ${files.length} files`);
    assert.deepEqual(files.flatMap((path) => brokenLinks(path, read(path))), []);
  });

  test('a broken link is found', () => {
    const text = '# A title: `code` & more\n[a](docs/none.md) [b](#a-title-code--more) [c](#none) `[d](none)`\n```sh\n[e](none)\n```\n';
    assert.deepEqual(brokenLinks('README.md', text), ['README.md: docs/none.md does not exist', 'README.md: #none is no heading']);
    assert.deepEqual(anchors(text), ['a-title-code--more']);
  });

  test('the README is short enough to be read to its end', () => {
    const lines = read('README.md').trimEnd().split('\n').length;
    assert.ok(lines <= LONGEST_README, `${lines} lines: move something to docs/guide`);
  });

  test('each page of the guide is in the book and in its index', () => {
    const index = read('docs/guide/README.md');
    for (const file of readdirSync(join(ROOT, 'docs/guide')).filter((name) => name.endsWith('.md') && name !== 'README.md')) {
      assert.ok(pages.includes(`docs/guide/${file}`), `docs/SUMMARY.md lacks ${file}`);
      assert.ok(index.includes(`](${file})`), `docs/guide/README.md lacks ${file}`);
    }
  });
});

describe('GraphQL in the documentation', () => {
  for (const page of pages) {
    const documents = blocks(read(page)).filter(({ info }) => info[0] === 'graphql');
    if (documents.length === 0) continue;
    test(`${page} fits the schema`, () => {
      for (const { text, line } of documents) assert.deepEqual(validate(schema(), parse(text), specifiedRules).map(({ message }) => `${page}:${line}: ${message}`), []);
    });
  }
});

test('the page on frontends names every scalar, in its table and in both configurations', () => {
  const text = read('docs/guide/frontend.md');
  const scalars = Object.values(schema().getTypeMap()).filter((type) => isScalarType(type) && !specifiedScalarTypes.some(({ name }) => name === type.name));
  for (const { name } of scalars.filter((type) => !type.name.startsWith('_'))) {
    for (const expected of [`| \`${name}\` |`, ` ${name}: 'string'`, ` "${name}": "string"`]) assert.ok(text.includes(expected), expected);
  }
});

describe('what is marked `run`', () => {
  let dev;
  let shell;
  before(async () => {
    dev = await startDev();
    shell = startShell({ MULLION_DATA: dev.data }, { 4000: new URL(dev.url).port, 4001: new URL(dev.sandbox).port });
  });
  after(async () => {
    shell?.stop();
    await dev?.stop();
  });

  for (const page of pages) {
    const marked = blocks(read(page)).filter(({ info }) => info.includes('run'));
    if (marked.length === 0) continue;
    test(page, async () => {
      const own = SERVE.includes(page);
      const used = own ? await startServeShell() : shell;
      try {
        await follow(page, marked, used, dev);
      } finally {
        if (own) used.stop();
      }
    });
  }

  test('the values of answers get the names that the pages give them', () => {
    const values = new Map();
    collect({ eventCursor: 'c', github: { repository: { id: 'r', nameWithOwner: 'a/b' } }, integrations: { nodes: [{ id: 'i', webhookUrl: 'u' }, { id: 'j' }] } }, values);
    assert.deepEqual(Object.fromEntries(values), { EVENT_CURSOR: 'c', REPOSITORY_ID: 'r', NAME_WITH_OWNER: 'a/b', INTEGRATION_ID: 'i', WEBHOOK_URL: 'u' });
  });
});

/** Does what a page says, from its first block to its last. */
async function follow(page, marked, shell, dev) {
  const values = new Map();
  const live = [];
  const filled = (text) => [...values].reduce((done, [name, value]) => done.replaceAll(name, value), shell.local(text));
  try {
    for (const { info, text, line } of marked) {
      const [language] = info;
      const at = `${page}:${line}`;
      if (language === 'graphql') collect(await execute(dev, filled(text), at), values);
      else if (info.includes('live')) live.push({ at, program: language === 'js' ? shell.module(filled(text)) : shell.background(filled(text)) });
      else await shell.run(filled(text), at);
      // A subscription sees only what happens after its start.
      if (info.includes('live') && !SERVE.includes(page)) await until(async () => await openSockets(dev) >= live.length, `${at}: a subscription`);
    }
    // A server logs to its standard error; everything else prints what it received, and event streams keep-alives, too.
    const printed = (program) => (SERVE.includes(page) ? program.errors() : program.output()).replace(/^(:|id:|event:).*$/gm, '').trim() !== '';
    for (const { at, program } of live) await until(() => printed(program), () => `${at} printed something: ${program.errors()}`);
  } finally {
    for (const { program } of live) program.stop();
  }
  if (!SERVE.includes(page)) await until(async () => await openSockets(dev) === 0, `${page}: the end of its subscriptions`);
}

async function openSockets(dev) {
  const text = await (await fetch(`${dev.url}/metrics`)).text();
  return [...text.matchAll(/^mullion_open_sockets\{[^}]*\} (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Executes a document; of a subscription, the first event. The answer's data. */
async function execute(dev, document, at) {
  let answer;
  if (parse(document).definitions.some(({ operation }) => operation === 'subscription')) {
    const abort = new AbortController();
    const response = await fetch(dev.streamUrl, { method: 'POST', signal: AbortSignal.any([abort.signal, AbortSignal.timeout(PATIENCE)]), headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: document }) });
    for await (const { event, data } of events(response.body)) {
      if (event !== 'next') continue;
      answer = JSON.parse(data);
      break;
    }
    abort.abort();
  } else answer = await query(dev.graphqlUrl, document);
  assert.equal(answer.errors, undefined, `${at}: ${JSON.stringify(answer.errors)}`);
  assert.ok(Object.values(answer.data).every((value) => value !== null), `${at} answered ${JSON.stringify(answer.data)}`);
  return answer.data;
}

/** The values of an answer by the names that pages use: `repository { id }` is REPOSITORY_ID, `webhookUrl` is WEBHOOK_URL. Of a list, the first. */
function collect(value, values, key = '') {
  const upper = (name) => name.replace(/[A-Z]/g, '_$&').toUpperCase();
  const first = new Set();
  const visit = (each, name) => {
    if (Array.isArray(each)) return each.slice(0, 1).forEach((item) => visit(item, name));
    if (each === null || typeof each !== 'object') return undefined;
    for (const [field, inner] of Object.entries(each)) {
      if (inner !== null && typeof inner === 'object') {
        visit(inner, field === 'nodes' ? name.replace(/ies$/, 'y').replace(/s$/, '') : field.replace(/s$/, Array.isArray(inner) ? '' : '$&'));
        continue;
      }
      const label = field === 'id' ? `${upper(name)}_ID` : upper(field);
      if (typeof inner !== 'string' || first.has(label)) continue;
      first.add(label);
      // Shorter names may be parts of longer ones: those with an underscore only, and the newest answer wins.
      if (label.includes('_')) values.set(label, inner);
    }
    return undefined;
  };
  visit(value, key);
}

/** A shell in a folder of its own, with `mullion` on its path, in which the usual ports are others. */
function startShell(env, ports) {
  const folder = temporaryFolder();
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(binary(), join(bin, 'mullion'));
  symlinkSync(join(ROOT, 'tests/clients/node_modules'), join(folder, 'node_modules'));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MULLION_') && name !== 'DATABASE_URL'));
  const options = { cwd: folder, detached: true, env: { ...inherited, ...env, PATH: `${bin}:${process.env.PATH}` } };
  const programs = new Set();
  const program = (command, args, input) => {
    const child = spawn(command, args, options);
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
    if (input !== undefined) child.stdin.end(input);
    const self = { child, output: () => output, errors: () => errors, stop: () => { if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGTERM'); programs.delete(self); } };
    programs.add(self);
    return self;
  };
  const stop = () => { for (const each of programs) each.stop(); };
  // Each has a process group of its own, which does not end with this process.
  process.once('exit', stop);
  const bash = program('bash', ['-s']);
  bash.child.stdin.write('set -euo pipefail\n');
  const local = (text) => Object.entries({ ...ports, '/var/lib/mullion': join(folder, 'data') }).reduce((done, [usual, other]) => done.replaceAll(/^\d+$/.test(usual) ? new RegExp(`(?<=(?:localhost|127\\.0\\.0\\.1):)${usual}\\b`, 'g') : usual, other), text);
  let modules = 0;
  return {
    local,
    /** Runs a block to its end, in the shell that all blocks share. */
    async run(text, at) {
      const end = `-- end of ${at} ${Date.now()} --`;
      const [said, before] = [bash.output().length, bash.errors().length];
      bash.child.stdin.write(`${text}\nexport -p >environment; declare -f >functions; echo; echo '${end}'\n`);
      await until(() => bash.output().includes(end) || bash.child.exitCode !== null, () => `${at} ended: ${bash.errors().slice(before)}`);
      assert.ok(bash.output().includes(end), `${at} failed: ${bash.errors().slice(before)}\n${bash.output().slice(-2000)}`);
      assert.doesNotMatch(bash.output().slice(said), /"errors":/, at);
    },
    /** Runs a block beside the shell, with the variables and functions that the shell has now. */
    background: (text) => program('bash', ['-c', `if [ -e environment ]; then . ./environment; . ./functions; fi\n${text}`]),
    module(text) {
      const file = join(folder, `block-${modules += 1}.mjs`);
      writeFileSync(file, text);
      return program(process.execPath, [...(globalThis.WebSocket ? [] : ['--experimental-websocket']), file]);
    },
    stop,
  };
}

/** A shell for a page that starts `mullion serve`: its ports come from the environment. */
async function startServeShell() {
  const [port, admin] = await freePorts(2);
  return startShell({ MULLION_PORT: String(port), MULLION_SERVER_ADMIN_ADDRESS: `127.0.0.1:${admin}` }, { 4000: port, 4002: admin });
}
