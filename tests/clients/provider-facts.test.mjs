// Things that providers rename, convert or say in their own shapes are shown as people see them there.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { dashboardId } from './graphs.mjs';
import { DEV_SECRET, data, startDev, until } from './harness.mjs';

let dev;
const ask = async (document, variables) => data(await dev.query(document, variables));

before(async () => {
  dev = await startDev();
});
after(() => dev?.stop());

describe('a renamed repository', () => {
  const REPOSITORY = '{ github { repository(owner: "acme", name: "api") { id url issues(first: 3) { nodes { id key url comments(first: 1) { nodes { id url } } } } pullRequests(first: 1) { nodes { id key url } } workflowRuns(first: 1) { nodes { id url } } } } }';
  const NODES = 'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on GithubIssue { key url } ... on GithubPullRequest { key url } ... on GithubWorkflowRun { url } ... on GithubComment { url } ... on GithubRepository { nameWithOwner } } }';

  test('renames the keys and addresses that were copied from it, with no call to GitHub', async () => {
    const { github: { repository } } = await ask(REPOSITORY);
    const items = [...repository.issues.nodes, ...repository.pullRequests.nodes, ...repository.workflowRuns.nodes];
    const comments = repository.issues.nodes.flatMap((issue) => issue.comments.nodes);
    assert.ok(items.length > 2 && comments.length > 0);
    await dev.resetStats();
    await dev.act('github', 'rename_repository', { repository: 'acme/api', name: 'backend' });
    const ids = [repository, ...items, ...comments].map(({ id }) => id);
    const [renamed, ...rest] = await until(async () => {
      const { nodes } = await ask(NODES, { ids });
      return nodes[0].nameWithOwner === 'acme/backend' && nodes;
    }, 'the repository keeps its old name');
    for (const { key, url } of rest) {
      assert.match(url, /\/acme\/backend\//);
      if (key) assert.match(key, /^acme\/backend#/);
    }
    assert.equal(renamed.nameWithOwner, 'acme/backend');
    assert.equal((await dev.stats()).github.total, 0);
    const { workItems } = await ask('{ workItems(filter: { text: "acme/api" }, first: 100) { nodes { key } } }');
    assert.deepEqual(workItems.nodes.filter(({ key }) => key?.startsWith('acme/api#')), []);
  });

  test('is asked over REST where it is now', async () => {
    await dev.act('github', 'workflow_run', { repository: 'acme/backend', workflow: 'CI', branch: 'main', conclusion: 'failure' });
    const { github: { repository } } = await ask('{ github { repository(owner: "acme", name: "backend") { workflowRuns(first: 5, conclusion: FAILURE) { nodes { url conclusion } } } } }');
    assert.ok(repository.workflowRuns.nodes.length > 0);
    for (const { url } of repository.workflowRuns.nodes) assert.match(url, /\/acme\/backend\//);
  });
});

describe('a bot that is assigned', () => {
  test('is still there after the issue was read again', async () => {
    const { github: { repository } } = await ask('{ github { repository(owner: "acme", name: "web") { id issues(first: 1, states: [OPEN]) { nodes { id number } } } } }');
    const [issue] = repository.issues.nodes;
    const assignees = async () => (await ask('query ($id: ID!) { node(id: $id) { ... on GithubIssue { assignees { displayName isBot } } } }', { id: issue.id })).node.assignees;
    const hasBot = async () => (await assignees()).some(({ displayName, isBot }) => displayName === 'dependabot' && isBot);
    await dev.act('github', 'assign_issue', { repository: 'acme/web', number: issue.number, assignee: 'dependabot' });
    await until(hasBot, 'the bot is not among the assignees');
    const source = { workItems: { filter: { containerIds: [repository.id] } } };
    const { addWidget } = await ask('mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }', { input: { dashboardId: await dashboardId(dev), title: 'Bots', source } });
    const shown = 'query ($id: ID!) { node(id: $id) { ... on WorkItemsWidget { items(first: 50) { nodes { assignees { displayName } } } } } }';
    await ask(shown, { id: addWidget.widget.id });
    await dev.resetStats();
    await ask('mutation ($id: ID!) { refreshWidget(id: $id) { widget { id } } }', { id: addWidget.widget.id });
    await ask(shown, { id: addWidget.widget.id });
    assert.ok((await dev.stats()).github.total > 0, 'nothing was read again');
    assert.ok(await hasBot());
  });
});

describe('a renamed section', () => {
  test('is the state of its tasks under its new name', async () => {
    const { asana } = await ask('{ asana { projects(first: 1) { nodes { sections { id name tasks(first: 1) { nodes { id stateName } } } } } } }');
    const section = asana.projects.nodes[0].sections.find(({ name, tasks }) => tasks.nodes[0]?.stateName === name);
    assert.ok(section, 'no section has an open task');
    await dev.act('asana', 'rename_section', { section: Buffer.from(section.id, 'base64url').toString().split('\n').pop(), name: 'Under review' });
    const [{ id }] = section.tasks.nodes;
    await until(async () => {
      await ask('{ asana { projects(first: 1) { nodes { sections { name } } } } }');
      return (await ask('query ($id: ID!) { node(id: $id) { ... on AsanaTask { stateName } } }', { id })).node.stateName === 'Under review';
    }, 'the task keeps the old name of its section');
  });
});

describe('the numbers of a project', () => {
  test('follow a task that is completed, whether or not the task was ever read', async () => {
    const { asana } = await ask('{ asana { projects(first: 1) { nodes { nativeId taskCounts { total } tasks(first: 1, completed: false) { nodes { nativeId } } } } } }');
    const [{ nativeId: project, taskCounts: before, tasks }] = asana.projects.nodes;
    const counts = async () => (await ask('{ asana { projects(first: 1) { nodes { taskCounts { total completed } } } } }')).asana.projects.nodes[0].taskCounts;
    const unread = (await dev.act('asana', 'create_task', { project, name: 'Nobody reads this' })).result.task;
    await until(async () => (await counts()).total === before.total + 1, 'the new task is not counted');
    for (const task of [unread, tasks.nodes[0].nativeId]) {
      const { total, completed } = await counts();
      await dev.act('asana', 'complete_task', { task });
      await until(async () => {
        const now = await counts();
        return now.total === total && now.completed === completed + 1;
      }, `${task} is not counted as completed`);
    }
  });
});

describe('Slack', () => {
  const CHANNEL = '{ slack { workspace { nativeId } channel(name: "general") { id nativeId } } }';
  const MESSAGES = 'query ($id: ID!) { node(id: $id) { ... on SlackChannel { isPrivate messages(first: 5) { nodes { nativeId text } } } } }';
  let team;
  let channel;
  let count = 0;
  const seconds = Math.floor(Date.now() / 1000);

  async function send(event) {
    count += 1;
    const ts = `${seconds}.${String(700_000 + count).padStart(6, '0')}`;
    const body = JSON.stringify({ type: 'event_callback', team_id: team, api_app_id: 'A1', event_id: `EvFact${count}`, event_time: seconds, event: { channel: channel.nativeId, channel_type: 'channel', ts, event_ts: ts, ...event } });
    const at = String(seconds);
    const signature = `v0=${createHmac('sha256', DEV_SECRET).update(`v0:${at}:${body}`).digest('hex')}`;
    const answer = await fetch(`${dev.url}/webhooks/slack/slack-dev`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-slack-signature': signature, 'x-slack-request-timestamp': at }, body });
    assert.equal(answer.status, 200);
    return ts;
  }
  const textOf = (ts) => until(async () => (await ask(MESSAGES, { id: channel.id })).node.messages.nodes.find(({ nativeId }) => nativeId.endsWith(ts)), 'the message is not in the channel');

  before(async () => {
    const { slack } = await ask(CHANNEL);
    team = slack.workspace.nativeId;
    channel = slack.channel;
    await ask(MESSAGES, { id: channel.id });
  });

  test('shows the words of blocks and attachments', async () => {
    const ts = await send({ type: 'message', subtype: 'bot_message', bot_id: 'B0ALERT', text: '', attachments: [{ fallback: '[no preview available]', blocks: [{ type: 'header', text: { type: 'plain_text', text: 'Disk is full' } }] }] });
    assert.equal((await textOf(ts)).text, 'Disk is full');
  });

  test('tells of two edits within one second without asking Slack', async () => {
    const ts = await send({ type: 'message', user: 'U0FACT', text: 'first' });
    await textOf(ts);
    await dev.resetStats();
    const edited = { user: 'U0FACT', ts: `${seconds + 1}.000000` };
    const edit = (text, before, micros) => send({ type: 'message', subtype: 'message_changed', hidden: true, ts: `${seconds + 1}.${micros}`, event_ts: `${seconds + 1}.${micros}`, message: { type: 'message', user: 'U0FACT', text, ts, edited }, previous_message: { type: 'message', user: 'U0FACT', text: before, ts } });
    await edit('second', 'first', '200000');
    await edit('third', 'second', '600000');
    await until(async () => (await textOf(ts)).text === 'third', 'the last edit is not shown');
    assert.equal((await dev.stats()).slack.total, 0);
  });

  test('says that a channel is private, and public again', async () => {
    const isPrivate = async () => (await ask(MESSAGES, { id: channel.id })).node.isPrivate;
    await send({ type: 'message', subtype: 'channel_convert_to_private', user: 'U0FACT', text: 'made this channel private' });
    await until(isPrivate, 'the channel is not private');
    await send({ type: 'message', subtype: 'channel_convert_to_public', user: 'U0FACT', text: 'made this channel public' });
    await until(async () => !(await isPrivate()), 'the channel is still private');
  });

  test('leaves archived channels out unless they are asked for', async () => {
    const listed = async (argument) => (await ask(`{ slack { channels(first: 100${argument}) { totalCount nodes { isArchived } } } }`)).slack.channels;
    const archived = ({ nodes }) => nodes.filter(({ isArchived }) => isArchived).length;
    const all = await listed(', includeArchived: true');
    assert.ok(archived(all) > 0);
    for (const argument of ['', ', includeArchived: false', ', includeArchived: null']) {
      const inUse = await listed(argument);
      assert.equal(archived(inUse), 0, argument);
      assert.equal(inUse.totalCount, all.totalCount - archived(all), argument);
    }
  });
});
