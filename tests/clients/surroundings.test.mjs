// Honest when its surroundings fail: a database file that is gone, a token that is refused.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { data, DEV_SECRET, startDev, until } from './harness.mjs';

const payload = (title) => JSON.stringify({ type: 'event_callback', event_id: `Ev${title}`, team_id: 'T0', event: { type: 'message', channel: 'C_INBOX', user: 'U_INBOX', text: title, ts: '1790000000.000100', event_ts: '1790000000.000100', channel_type: 'channel' } });
const REPOSITORY = 'query ($name: String!) { github { repository(owner: "acme", name: $name) { name openIssueCount } } }';

describe('while its surroundings fail, the server', { timeout: 120_000 }, () => {
  let dev;
  before(async () => { dev = await startDev(); });
  after(() => dev?.stop());

  const send = (title) => {
    const [at, body] = [String(Math.floor(Date.now() / 1000)), payload(title)];
    const signature = `v0=${createHmac('sha256', DEV_SECRET).update(`v0:${at}:${body}`).digest('hex')}`;
    return fetch(`${dev.url}/webhooks/slack/slack-dev`, { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-slack-request-timestamp': at, 'x-slack-signature': signature } });
  };
  const readiness = async () => {
    const response = await fetch(`${dev.url}/health/ready`);
    return { ...(await response.json()), status: response.status };
  };
  const lines = (text) => dev.logs().split('\n').filter((line) => line.includes(text)).length;

  for (const name of ['mullion.db', 'mullion.db-wal']) {
    test(`acknowledges nothing while ${name} is gone, says so, and goes on when it is back`, async () => {
      assert.equal((await send(`before-${name}`)).status, 200);
      const said = lines('the database cannot be relied on');
      const [file, away] = [join(dev.data, name), join(dev.data, 'away')];
      renameSync(file, away);
      try {
        const refused = await send(`during-${name}`);
        assert.equal(refused.status, 503);
        assert.ok(refused.headers.get('retry-after'));
        assert.match(await refused.text(), /stored/);
        const changed = await dev.query('mutation { createDashboard(input: { name: "Lost" }) { dashboard { id } } }');
        assert.equal(changed.errors?.[0].extensions.code, 'SERVICE_UNAVAILABLE', JSON.stringify(changed));
        const { reason } = await until(async () => { const state = await readiness(); return state.status === 503 && state; }, 'it is not ready');
        assert.match(reason, /file of the database was deleted/);
        assert.ok(data(await dev.query('{ viewer { name } }')).viewer, 'what needs no write is answered');
        await Promise.all([1, 2, 3].map((number) => send(`during-${name}-${number}`)));
        assert.equal(lines('the database cannot be relied on') - said, 1, 'once, and not for each request');
      } finally {
        renameSync(away, file);
      }
      await until(async () => (await readiness()).status === 200, 'it is ready again');
      assert.equal((await send(`after-${name}`)).status, 200);
    });
  }

  test('makes the folder of the inbox anew, and loses nothing that it acknowledged', async () => {
    for (const title of ['folder-1', 'folder-2']) {
      assert.equal((await send(title)).status, 200);
      rmSync(join(dev.data, 'mullion.db-inbox'), { recursive: true });
    }
    assert.equal((await send('folder-3')).status, 200);
    const wanted = [1, 2, 3].map((number) => `Evfolder-${number}`);
    const known = async () => data(await dev.query('{ webhookDeliveries(first: 100) { nodes { deliveryId } } }')).webhookDeliveries.nodes.map((node) => node.deliveryId);
    await until(async () => { const ids = await known(); return wanted.every((id) => ids.includes(id)); }, 'all three are in the inbox');
  });

  test('does not ask again with a token that was refused', async () => {
    await dev.fault({ provider: 'github', kind: 'unauthorized' });
    await dev.resetStats();
    for (let time = 0; time < 30; time += 1) {
      const answer = await dev.query(REPOSITORY, { name: `none-${time}` });
      assert.equal(answer.errors?.[0].extensions.code, 'PROVIDER_AUTH_EXPIRED', JSON.stringify(answer));
    }
    const { total } = (await dev.stats()).github;
    assert.ok(total <= 2, `${total} calls for 30 queries`);
    await dev.clearFaults();
  });
});
