// The console in a real Chromium, on a gateway of its own.
//
//   CHROMIUM   the browser; default /usr/bin/chromium
//
// The gateway must have been built with Node: the page without GraphiQL fails here on purpose.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { dashboardId } from './graphs.mjs';
import { startDev, startServe } from './harness.mjs';

const PATIENCE = 20_000;

let dev;
let gateway;
let sandbox;
let browser;
let profile;
let dashboard;

before(async () => {
  dev = await startDev();
  gateway = dev.url;
  sandbox = dev.sandbox;
  dashboard = await dashboardId(dev);
  profile = await mkdtemp(join(tmpdir(), 'mullion-console-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false, // the harness may run as root, which Chromium's sandbox refuses
    viewport: { width: 1440, height: 900 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  browser.setDefaultTimeout(PATIENCE);
});

after(async () => {
  await browser?.close();
  await dev?.stop();
  if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
});

describe('the console', { timeout: 180_000 }, () => {
  test('loads without console errors, refused content or a request to another origin', async () => {
    const { page, complaints, foreign } = await open('/');
    await page.getByText('TeamDashboard').first().waitFor();
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).waitFor();
    await page.waitForLoadState('networkidle');
    assert.deepEqual(complaints, []);
    assert.deepEqual(foreign, []);
    await page.close();
  });

  test('serves its page under exactly the policy that the specification names', async () => {
    const response = await fetch(gateway, { headers: { accept: 'text/html' } });
    assert.equal(
      response.headers.get('content-security-policy'),
      "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data: https:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    );
  });

  test('runs the query of its first tab', async () => {
    const { page, complaints } = await open('/');
    await run(page);
    await answer(page, '"widgets"');
    assert.match(await wholeAnswer(page), /"name":/);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('opens with the document, the variables and the operation of its address', async () => {
    const query = 'query First { viewer { id } }\nquery Second($slug: String!) { dashboard(slug: $slug) { slug } }';
    const address = new URLSearchParams({ query, variables: '{"slug":"team"}', operationName: 'Second' });
    const { page, complaints } = await open(`/?${address}`);
    await page.locator('.graphiql-query-editor').getByText('Second').first().waitFor();
    await page.locator('.graphiql-editor-tool').getByText('"slug"').first().waitFor();
    await page.getByRole('tab', { name: 'Second' }).waitFor();
    await page.keyboard.press('Control+Enter');
    await answer(page, '"slug"');
    assert.deepEqual(JSON.parse(await wholeAnswer(page)).data, { dashboard: { slug: 'team' } });
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('shows the live results of a subscription', async () => {
    const { page, complaints } = await open('/');
    const frames = [];
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(String(payload))));
    await page.getByRole('tab', { name: 'DashboardLive' }).click();
    await editorHolds(page, 'operation.graphql', 'subscription DashboardLive');
    await editorHolds(page, 'variables.json', dashboard);
    await run(page);
    await until(() => frames.some((frame) => frame.includes('SNAPSHOT_END')), () => `SNAPSHOT_END (frames so far: ${frames.join('\n')})`);
    await page.waitForFunction(() => document.querySelector('.live')?.innerText.includes('SNAPSHOT_END'));
    const before = await answers(page);
    assert.ok(before >= 7, `six widgets and SNAPSHOT_END, but ${before} answers`);
    const title = `Seen by the console ${Date.now()}`;
    const response = await fetch(`${sandbox}/_sandbox/github/open_issue`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ title }),
    });
    assert.ok(response.ok, `the sandbox answered ${response.status}: ${await response.text()}`);
    await page.waitForFunction(() => document.querySelector('.live')?.innerText.includes('CHANGED'));
    await until(() => frames.some((frame) => frame.includes(title)), 'an answer with the new issue');
    assert.ok((await answers(page)) > before);
    assert.match(await wholeAnswer(page), /"dashboardUpdated"/);
    await page.getByRole('button', { name: /Stop query/ }).click();
    await page.getByText(/^Ended/).waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('shows what a subscription did with its own tab only, and stops it with the tab', async () => {
    const { page, complaints } = await open('/');
    await page.getByRole('tab', { name: 'DashboardLive' }).click();
    await editorHolds(page, 'operation.graphql', 'subscription DashboardLive');
    await editorHolds(page, 'variables.json', dashboard);
    await run(page);
    await page.getByText(/^Live ·/).waitFor();
    await page.getByRole('button', { name: 'New tab' }).click();
    await page.locator('.live').waitFor({ state: 'detached' });
    await page.getByRole('tab', { name: 'DashboardLive' }).click();
    await page.getByText(/^Ended ·/).waitFor();
    await page.getByRole('tab', { name: 'TeamDashboard' }).click();
    await page.locator('.live').waitFor({ state: 'detached' });
    await page.getByRole('tab', { name: 'ActivityLive' }).click();
    await editorHolds(page, 'operation.graphql', 'subscription ActivityLive');
    await run(page);
    await page.getByText(/^Live ·/).waitFor();
    await page.getByRole('tab', { name: 'ActivityLive' }).locator('xpath=..').getByRole('button', { name: 'Close Tab' }).click();
    // The tab beside it is shown, with what it did itself.
    await page.getByRole('tab', { name: 'ActivityLive' }).waitFor({ state: 'detached' });
    await page.getByText(/^Live ·/).waitFor({ state: 'detached' });
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('of a server that needs a key says so, takes it from the Headers editor, and gives it to new tabs', async () => {
    const serve = await startServe({ env: { MULLION_SERVER_CONSOLE: 'true' } });
    try {
      const key = serve.key('acme', 'viewer');
      const { page } = await open('/', serve.url);
      await page.locator('.needs-key').getByText('Headers').waitFor();
      await run(page);
      await answer(page, 'Open the Headers editor');
      await page.getByRole('tab', { name: 'ActivityLive' }).click();
      await editorHolds(page, 'operation.graphql', 'subscription ActivityLive');
      await run(page);
      await answer(page, 'Open the Headers editor');
      await page.getByRole('button', { name: 'Headers', exact: true }).click();
      await setEditor(page, 'headers.json', JSON.stringify({ Authorization: `Bearer ${key}` }));
      await run(page);
      await page.getByText(/^Live ·/).waitFor();
      await page.getByRole('button', { name: 'New tab' }).click();
      await editorHolds(page, 'headers.json', key);
      await setEditor(page, 'operation.graphql', '{ viewer { tenant { name } } }');
      await run(page);
      await answer(page, '"acme"');
      await page.locator('.needs-key').waitFor({ state: 'detached' });
      const stored = await page.evaluate(() => JSON.stringify({ ...localStorage }));
      assert.ok(!stored.includes(key), 'the key is stored');
      await page.close();
    } finally {
      await serve.stop();
    }
  });

  test('has the documentation of the graph, the history of what ran, and the examples', async () => {
    const { page, complaints } = await open('/');
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.locator('.graphiql-doc-explorer').getByRole('link', { name: 'Query', exact: true }).click();
    await page.locator('.graphiql-doc-explorer').getByText('dashboard', { exact: true }).waitFor();
    await run(page);
    await answer(page, '"data"');
    await page.getByRole('button', { name: 'Show History' }).click();
    await page.locator('.graphiql-history').getByText('TeamDashboard').first().waitFor();
    await page.getByRole('button', { name: 'Examples' }).click();
    await page.getByRole('menuitem', { name: 'Work items of all providers' }).click();
    await page.getByRole('tab', { name: 'OpenWork' }).waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });
});

/** A fresh page: what its console complains of (refused content included), and which other origins it asked. */
async function open(path, gateway = dev.url) {
  const page = await browser.newPage();
  const complaints = [];
  const foreign = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (/^(http|ws)s?:$/.test(protocol) && origin !== new URL(gateway).origin) foreign.push(request.url());
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(`refused: ${event.violatedDirective} ${event.blockedURI}`),
    );
    // Each test starts like a newcomer.
    if (!sessionStorage.getItem('started')) localStorage.clear();
    sessionStorage.setItem('started', 'yes');
  });
  await page.goto(new URL(path, gateway).href);
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
  return { page, complaints, foreign };
}

async function run(page) {
  await page.getByRole('button', { name: /Execute query/ }).click();
}

/** Waits until this text is in the answer. */
async function answer(page, text) {
  await editorHolds(page, 'response.json', text);
}

async function setEditor(page, file, text) {
  await page.evaluate(
    ([file, text]) => globalThis.__MONACO.editor.getModels().find((model) => model.uri.path.endsWith(file)).setValue(text),
    [file, text],
  );
}

/** Waits until this text is in one of GraphiQL's editors. */
async function editorHolds(page, file, text) {
  await page.waitForFunction(
    ([file, text]) => globalThis.__MONACO.editor.getModels().some((model) => model.uri.path.endsWith(file) && model.getValue().includes(text)),
    [file, text],
  );
}

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() >= deadline) assert.fail(`did not come: ${typeof what === 'function' ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The whole answer, not only the lines that are in view. */
async function wholeAnswer(page) {
  return page.evaluate(() => globalThis.__MONACO.editor.getModels().find((model) => model.uri.path.endsWith('response.json')).getValue());
}

/** How many answers the status line counts. */
async function answers(page) {
  const text = await page.locator('.live-state').innerText();
  return Number(/(\d+) answers?/.exec(text)?.[1] ?? 0);
}
