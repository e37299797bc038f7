// Builds the console into a folder of its own: `npm run build [-- --outdir DIR]` (default: dist/).
//
// - Every script, style sheet and font gets a name that carries its hash, so that the gateway can let browsers keep it
//   forever; only index.html and licenses.txt keep their names.
// - index.html has no inline script and no address outside of its own origin: the gateway's Content-Security-Policy
//   allows neither.
// - Beside each file lies its gzip, which is what the binary carries.
// - Monaco's workers are bundles of their own, from the same origin; their final names are compiled into the page.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { outdir: { type: 'string', default: join(here, 'dist') } } });
const outdir = resolve(values.outdir);
/** Where the gateway serves the folder; compiled into the page. */
const PUBLIC_PATH = '/console/';

const shared = {
  absWorkingDir: here,
  outdir,
  bundle: true,
  minify: true,
  metafile: true,
  target: 'es2022',
  legalComments: 'none', // the full texts are in licenses.txt
  logLevel: 'warning',
  publicPath: PUBLIC_PATH,
  assetNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  entryNames: '[name]-[hash]',
  define: { 'process.env.NODE_ENV': '"production"' },
};

await rm(outdir, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });

const workers = await build({
  ...shared,
  format: 'iife',
  entryPoints: {
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
  },
});

const workerUrls = {};
for (const path of Object.keys(workers.metafile.outputs)) {
  workerUrls[basename(path).split('.worker')[0]] = PUBLIC_PATH + basename(path);
}

/** GraphiQL's own style sheet has Monaco's in it; the ones that Monaco's modules import would only be dead weight. */
const withoutMonacoStyles = {
  name: 'without-monaco-styles',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'empty' }));
  },
};

const page = await build({
  ...shared,
  plugins: [withoutMonacoStyles],
  format: 'esm',
  splitting: true,
  jsx: 'automatic',
  entryPoints: { console: 'src/main.jsx' },
  loader: { '.graphql': 'text', '.svg': 'file', '.ttf': 'file', '.woff2': 'file' },
  define: { ...shared.define, MULLION_WORKERS: JSON.stringify(workerUrls) },
});

await writeIndex(page.metafile.outputs);
await writeLicenses([workers.metafile, page.metafile]);
await compress();

/** Fills the names of the built files into the page. */
async function writeIndex(outputs) {
  const [script, output] = Object.entries(outputs).find(([, one]) => one.entryPoint === 'src/main.jsx');
  const icon = Object.keys(outputs).find((path) => /favicon-[^/]*\.svg$/.test(path));
  const template = await readFile(join(here, 'index.html'), 'utf8');
  const names = { script, style: output.cssBundle, icon };
  const html = template.replaceAll(/\{\{(\w+)\}\}/g, (_, key) => PUBLIC_PATH + basename(names[key]));
  await writeFile(join(outdir, 'index.html'), html);
}

/** The licences of everything that went into the bundles: whoever hands out the binary hands out these too. */
async function writeLicenses(metafiles) {
  const packages = new Map();
  for (const input of metafiles.flatMap((one) => Object.keys(one.inputs))) {
    const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.set(found[1], join(here, relative(here, resolve(here, found[1]))));
  }
  const parts = [];
  for (const folder of [...packages.values()].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const texts = await Promise.all(
      ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license', 'ThirdPartyNotices.txt'].map((file) =>
        readFile(join(folder, file), 'utf8').catch(() => null),
      ),
    );
    const unique = [...new Set(texts.filter(Boolean))];
    parts.push(`${name} ${version} (${license})\n\n${unique.join('\n').trim()}\n`);
  }
  await writeFile(join(outdir, 'licenses.txt'), parts.join(`\n${'-'.repeat(80)}\n\n`));
}

/** Writes NAME.gz beside each file. */
async function compress() {
  for (const name of await readdir(outdir)) {
    await writeFile(join(outdir, `${name}.gz`), gzipSync(await readFile(join(outdir, name)), { level: 9 }));
  }
}
