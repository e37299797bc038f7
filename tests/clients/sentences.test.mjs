// Activities as people read them: one line for each act, which names who and what. Asana's events bring ids only; their activities wait
// for the names, and nobody else's do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { collect } from './graphs.mjs';
import { data, startDev, until } from './harness.mjs';

const ACTIVITY = 'subscription ($after: EventCursor) { activity(after: $after) { id cursor kind summary provider { key } } }';

let dev;
let client;
let live;
let project;
let sections;
let task;

const follow = (after) => collect(client.iterate({ query: ACTIVITY, variables: { after } }));
const lines = (provider) => live.items.map(({ data: { activity } }) => activity).filter((activity) => activity.provider.key === provider);
const told = (summary) => live.find(({ data: { activity } }) => summary.test(activity.summary), `a sentence like ${summary}`);

before(async () => {
  dev = await startDev();
  client = createClient({ url: dev.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
  project = data(await dev.query('{ asana { projects(first: 1) { nodes { id nativeId name sections { name } } } } }')).asana.projects.nodes[0];
  sections = project.sections;
  // No call is made for names: those of Slack are known because somebody has listed them.
  data(await dev.query('{ slack { channels(first: 50) { nodes { name } } users(first: 50) { nodes { displayName } } } }'));
  live = follow(data(await dev.query('{ eventCursor }')).eventCursor);
});
after(async () => {
  await live?.stop();
  await client?.dispose();
  await dev?.stop();
});

describe('what people read', { timeout: 60_000 }, () => {
  test('of a task that is made, moved and completed is one line each, with names and no ids', async () => {
    ({ task } = (await dev.act('asana', 'create_task', { project: project.nativeId, section: sections[0].name, name: 'Migrate the help center' })).result);
    await told(new RegExp(`created ‘Migrate the help center’ in ${project.name}$`));
    await dev.act('asana', 'move_task', { task, section: sections[1].name });
    await told(new RegExp(`moved ‘Migrate the help center’ to ${sections[1].name}$`));
    await dev.act('asana', 'complete_task', { task });
    await told(/completed ‘Migrate the help center’$/);
    const all = lines('asana');
    assert.equal(all.length, 3, JSON.stringify(all));
    for (const { summary } of all) {
      assert.match(summary, /^\p{Lu}\p{L}+ /u, 'a display name');
      assert.doesNotMatch(summary, /\d{5}|Somebody/);
    }
  });

  test('of GitHub and Slack comes at once while Asana hangs; Asana’s comes after two seconds, behind it, and without an id', async () => {
    await dev.fault({ provider: 'asana', kind: 'timeout' });
    await dev.act('asana', 'create_task', { project: project.nativeId, name: 'Never read' });
    const { result } = await dev.act('github', 'open_issue', { repository: 'acme/web', title: 'Fix the login' });
    assert.ok(result);
    await dev.act('slack', 'post_message', { channel: 'general', text: 'Ship it' });
    await told(/ opened ‘Fix the login’ in acme\/web$/);
    await told(/ in #general: ‘Ship it’$/);
    const late = await told(/(added|created) a task (to|in) /);
    assert.doesNotMatch(late.data.activity.summary, /\d{5}/);
    await dev.clearFaults();
    const [asana] = lines('asana').slice(-1);
    const position = (wanted) => live.items.findIndex(({ data: { activity } }) => activity.id === wanted.id);
    const github = lines('github').at(-1);
    assert.ok(position(asana) > position(github), 'nobody waited for it');
    // Resuming anywhere gives exactly the rest, in the same order.
    const seen = live.items.map(({ data: { activity } }) => activity);
    for (const from of [0, 2, seen.length - 2]) {
      const resumed = follow(seen[from].cursor);
      await resumed.find(({ data: { activity } }) => activity.id === seen.at(-1).id, 'the last one');
      assert.deepEqual(resumed.items.map(({ data: { activity } }) => activity.id), seen.slice(from + 1).map(({ id }) => id));
      await resumed.stop();
    }
  });

  test('of a build is that it began and how it ended', async () => {
    await dev.act('github', 'workflow_run', { repository: 'acme/web' });
    const builds = () => lines('github').filter(({ kind }) => kind.startsWith('workflow_run')).map(({ summary }) => summary);
    await until(() => builds().length > 0, 'the build');
    for (const summary of builds()) assert.match(summary, /^Build .+ (started|succeeded|failed|was cancelled)/);
    assert.equal(builds().filter((summary) => summary.includes('started')).length <= 1, true, builds().join(', '));
  });

  test('is worded anew when a name changes', async () => {
    const summaries = async () => data(await dev.query('{ activity(first: 50) { nodes { summary } } }')).activity.nodes.map(({ summary }) => summary);
    await dev.act('asana', 'rename_task', { task, name: 'Move the help center' });
    await told(/changed the name of ‘Move the help center’$/);
    await until(async () => (await summaries()).some((summary) => summary.includes('completed ‘Move the help center’')), async () => (await summaries()).join('\n'));
  });

  test('keeps its verb when the thing is otherwise later', async () => {
    const { result } = await dev.act('asana', 'create_task', { project: project.nativeId, name: 'Turn around' });
    await told(/created ‘Turn around’/);
    for (const [act, verb] of [['complete_task', 'completed'], ['reopen_task', 'reopened'], ['complete_task', 'completed']]) {
      const before = lines('asana').length;
      await dev.act('asana', act, { task: result.task });
      await until(() => lines('asana').length > before, verb);
      assert.match(lines('asana').at(-1).summary, new RegExp(`${verb} ‘Turn around’$`));
    }
    const now = await summaries(dev, 3);
    assert.deepEqual(now.map((summary) => summary.match(/completed|reopened/)?.[0]), ['completed', 'reopened', 'completed']);
    for (const [archived, verb] of [[true, 'archived'], [false, 'unarchived']]) {
      await dev.act('asana', 'archive_project', { project: project.nativeId, archived });
      await told(new RegExp(` ${verb} the project`));
    }
    const [second, first] = await summaries(dev, 2);
    assert.match(first, / archived the project/);
    assert.match(second, / unarchived the project/);
  });

  test('of a new project with its sections is one line', async () => {
    const before = lines('asana').length;
    await dev.act('asana', 'create_project', { name: 'Moonshot' });
    await told(/added the project ‘Moonshot’$/);
    await dev.act('asana', 'create_task', { project: project.nativeId, name: 'Behind it' });
    await told(/created ‘Behind it’/);
    assert.equal(lines('asana').length - before, 2, JSON.stringify(lines('asana').slice(before)));
  });

  test('of a repository has the name that it has now, and the rename both', async () => {
    await dev.act('github', 'star', { repository: 'acme/web' });
    await told(/ starred acme\/web$/);
    // GitHub's times are whole seconds. Two names within one second are a tie, which is left open until the repository is read.
    const second = () => Math.floor(Date.now() / 1_000);
    const starred = second();
    await until(() => second() > starred, 'the next second');
    await dev.act('github', 'rename_repository', { repository: 'acme/web', name: 'website' });
    await told(/ renamed acme\/web to acme\/website$/);
    await until(async () => / starred acme\/website$/.test((await summaries(dev, 2))[1]), async () => (await summaries(dev, 2)).join());
    const [renamed] = await summaries(dev, 2);
    assert.match(renamed, / renamed acme\/web to acme\/website$/);
  });

  test('of a deleted message is not what it said', async () => {
    const { result } = await dev.act('slack', 'post_message', { channel: 'general', text: 'The password is 1234' });
    await told(/‘The password is 1234’$/);
    await dev.act('slack', 'delete_message', { channel: 'general', ts: result.ts });
    const deleted = await told(/ deleted in #general| deleted a message in #general/);
    assert.doesNotMatch(deleted.data.activity.summary, /1234/);
    await until(async () => !(await summaries(dev, 10)).join().includes('1234'), async () => (await summaries(dev, 10)).join('\n'));
  });
});

const summaries = async (program, first) => data(await program.query('query ($first: Int!) { activity(first: $first) { nodes { summary } } }', { first })).activity.nodes.map(({ summary }) => summary);

describe('people who only ask', { timeout: 60_000 }, () => {
  let alone;
  before(async () => {
    alone = await startDev();
  });
  after(() => alone?.stop());

  test('read whole sentences, though nothing is live and nobody has read the task', async () => {
    const [{ nativeId, name }] = data(await alone.query('{ asana { projects(first: 1) { nodes { nativeId name } } } }')).asana.projects.nodes;
    const { result } = await alone.act('asana', 'create_task', { project: nativeId, name: 'Polled' });
    const expected = new RegExp(`^\\p{Lu}.* created ‘Polled’ in ${name}$`, 'u');
    await until(async () => expected.test((await summaries(alone, 1))[0]), async () => (await summaries(alone, 1)).join());
    for (const [act, verb] of [['complete_task', 'completed'], ['reopen_task', 'reopened']]) {
      await alone.act('asana', act, { task: result.task });
      await until(async () => (await summaries(alone, 1))[0].endsWith(`${verb} ‘Polled’`), async () => (await summaries(alone, 1)).join());
    }
    assert.match((await summaries(alone, 2))[1], /completed ‘Polled’$/);
  });

  test('read them when Asana could not be asked at first', async () => {
    const [{ nativeId, name }] = data(await alone.query('{ asana { projects(first: 1) { nodes { nativeId name } } } }')).asana.projects.nodes;
    await alone.fault({ provider: 'asana', kind: 'server_error' });
    await alone.act('asana', 'create_task', { project: nativeId, name: 'Late' });
    await until(async () => /(added|created) a task /.test((await summaries(alone, 1))[0]), async () => (await summaries(alone, 1)).join());
    await alone.clearFaults();
    await until(async () => (await summaries(alone, 1))[0].endsWith(`created ‘Late’ in ${name}`), async () => (await summaries(alone, 1)).join());
  });
});
