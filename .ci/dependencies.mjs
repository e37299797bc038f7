// Licences and sources of all dependencies, of Cargo and npm; crates that nothing uses, and second versions without a reason.
// (cargo-deny and cargo-machete do the same for Cargo, but take longer to build than all of Mullion, and CI has nothing but Rust
// and Node.)
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What may be linked into the binary or embedded in it. */
const ALLOWED = new Set([
  '0BSD', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'BSD-2-Clause', 'BSD-3-Clause', 'BSL-1.0', 'CC0-1.0', 'CDLA-Permissive-2.0',
  'ISC', 'MIT', 'MIT-0', 'PSF-2.0', 'Unicode-3.0', 'Unlicense', 'Zlib',
]);
/** What only tests use may have more: it is not passed on. Apollo's composition is Elastic-2.0. */
const ALLOWED_IN_TESTS = new Set([...ALLOWED, 'CC-BY-4.0', 'Elastic-2.0']);
/** What must not come in: a second TLS, which needs C libraries of the system. */
const BANNED = new Set(['openssl', 'openssl-sys', 'native-tls', 'tokio-native-tls', 'async-native-tls', 'aws-lc-sys']);

/** Crates of which two versions are linked, each with those that keep the older one. A reason that no longer holds is a problem, too. */
const TWICE = new Map(Object.entries({
  'async-channel': 'by async-std, on which dataloader has its timers',
  base64: 'async-graphql, axum and sqlx keep 0.22',
  'block-buffer': 'by digest 0.10',
  cpufeatures: 'by sha1 and sha2 0.10',
  'crypto-common': 'by digest 0.10',
  darling: 'sea-query-derive keeps 0.20',
  darling_core: 'by darling 0.20',
  darling_macro: 'by darling 0.20',
  digest: 'by sha1 and sha2 0.10',
  'event-listener': 'by async-channel 1',
  getrandom: 'ring keeps 0.2, rand_core 0.9 keeps 0.3',
  hashbrown: 'sqlx and hashlink keep 0.16, indexmap is at 0.17',
  heck: 'macros of sea-orm keep 0.4',
  rand: 'tungstenite 0.29 keeps 0.9',
  rand_core: 'by rand 0.9',
  sha1: 'axum and its tungstenite keep 0.10',
  sha2: 'sqlx-core keeps 0.10',
  syn: 'not all macros have moved on to 3; it is in no binary',
  'tokio-tungstenite': 'axum keeps 0.29',
  'tower-http': 'reqwest keeps 0.6',
  tungstenite: 'by tokio-tungstenite 0.29',
}));
/** Crates that are named in a Cargo.toml and in no source, each with its reason. */
const UNNAMED = new Map(Object.entries({}));

const problems = [];
const problem = (text) => problems.push(text);

/** Whether a licence expression of SPDX (AND binds closer than OR) can be met by the allowed licences. */
function met(expression, allowed) {
  const tokens = expression.replaceAll('/', ' OR ').match(/\(|\)|[^\s()]+/g) ?? [];
  let at = 0;
  const either = () => {
    let value = both();
    while (tokens[at] === 'OR') {
      at += 1;
      value = both() || value;
    }
    return value;
  };
  const both = () => {
    let value = one();
    while (tokens[at] === 'AND') {
      at += 1;
      value = one() && value;
    }
    return value;
  };
  const one = () => {
    if (tokens[at] === '(') {
      at += 1;
      const value = either();
      at += 1;
      return value;
    }
    let name = tokens[at];
    at += 1;
    if (tokens[at] === 'WITH') {
      name = `${name} WITH ${tokens[at + 1]}`;
      at += 2;
    }
    return allowed.has(name);
  };
  return either() && at === tokens.length;
}

const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version', '1', '--locked'], { encoding: 'utf8', maxBuffer: 256 << 20 }));
const members = new Set(metadata.workspace_members);
const registries = new Set();
for (const { id, name, version, license, source } of metadata.packages) {
  const what = `${name} ${version}`;
  if (!license || !met(license, ALLOWED)) problem(`${what}: licence ${license ?? 'unknown'}`);
  if (BANNED.has(name)) problem(`${what}: banned`);
  if (members.has(id)) continue;
  if (source?.startsWith('registry+')) registries.add(source);
  else problem(`${what}: comes from ${source ?? 'a folder'}`);
}
if (registries.size > 1) problem(`several registries: ${[...registries].join(', ')}`);
for (const registry of registries) if (!/[/.]crates\.io(-index)?\/?$/.test(registry)) problem(`not crates.io: ${registry}`);

// Second versions of what is compiled here, and not of what other platforms or features would add.
const tree = execFileSync('cargo', ['tree', '--workspace', '--locked', '--target', 'x86_64-unknown-linux-gnu', '-e', 'normal,build,dev', '--prefix', 'none', '--format', '{p}'], { encoding: 'utf8', maxBuffer: 64 << 20 });
const versions = new Map();
for (const line of tree.split('\n').filter(Boolean)) {
  const [name, version] = line.split(' ');
  versions.set(name, (versions.get(name) ?? new Set()).add(version));
}
for (const [name, { size }] of versions) {
  if (size > 1 && !TWICE.has(name)) problem(`${name}: ${[...versions.get(name)].join(' and ')}; use one, or give TWICE in .ci/dependencies.mjs the reason`);
}
for (const name of TWICE.keys()) if ((versions.get(name)?.size ?? 0) < 2) problem(`${name}: there is one version only; take it out of TWICE in .ci/dependencies.mjs`);

/** The text of all sources of a package. */
function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['target', 'node_modules'].includes(entry.name) ? '' : sources(path);
    return entry.name.endsWith('.rs') ? readFileSync(path, 'utf8') : '';
  }).join('\n');
}
const named = new Set();
for (const { id, name, manifest_path: manifest, dependencies } of metadata.packages) {
  if (!members.has(id)) continue;
  const folder = dirname(manifest);
  const text = sources(folder);
  for (const { name: crate, rename } of dependencies) {
    named.add(crate);
    const used = new RegExp(`\\b${(rename ?? crate).replaceAll('-', '_')}\\b(::|;| as )`).test(text);
    if (!used && !UNNAMED.has(`${name}: ${crate}`)) problem(`${join(folder, 'Cargo.toml')}: nothing uses ${crate}; take it out, or give UNNAMED in .ci/dependencies.mjs the reason`);
  }
}
const shared = /\[workspace\.dependencies\]\n([^]*?)\n\[/.exec(readFileSync('Cargo.toml', 'utf8'))[1];
for (const [, crate] of shared.matchAll(/^([\w-]+) = /gm)) if (!named.has(crate)) problem(`Cargo.toml: no package uses ${crate}`);

for (const [path, allowed] of [['web/package-lock.json', ALLOWED], ['tests/clients/package-lock.json', ALLOWED_IN_TESTS]]) {
  for (const [name, { license, resolved, link }] of Object.entries(JSON.parse(readFileSync(path, 'utf8')).packages)) {
    if (!name) continue;
    if (link || resolved) problem(`${path}: ${name} is tied to ${resolved ?? 'a folder'}`);
    if (!license || !met(license.replace('Apache 2.0', 'Apache-2.0'), allowed)) problem(`${path}: ${name}: licence ${license ?? 'unknown'}`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${metadata.packages.length - members.size} crates: all licences and sources are fine, each is used, and second versions have reasons`);
