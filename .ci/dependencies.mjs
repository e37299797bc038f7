// Licences and sources of all dependencies, of Cargo and npm. (cargo-deny does the same for Cargo, but takes longer to build
// than all of Mullion, and CI has nothing but Rust and Node.)
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What may be linked into the binary or embedded in it. */
const ALLOWED = new Set([
  '0BSD', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'BSD-2-Clause', 'BSD-3-Clause', 'BSL-1.0', 'CC0-1.0', 'CDLA-Permissive-2.0',
  'ISC', 'MIT', 'MIT-0', 'PSF-2.0', 'Unicode-3.0', 'Unlicense', 'Zlib',
]);
/** What only tests use may have more: it is not passed on. Apollo's composition is Elastic-2.0. */
const ALLOWED_IN_TESTS = new Set([...ALLOWED, 'CC-BY-4.0', 'Elastic-2.0']);
/** What must not come in: a second TLS, which needs C libraries of the system. */
const BANNED = new Set(['openssl', 'openssl-sys', 'native-tls', 'tokio-native-tls', 'async-native-tls', 'aws-lc-sys']);

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
console.log(`${metadata.packages.length - members.size} crates: all licences and sources are fine`);
