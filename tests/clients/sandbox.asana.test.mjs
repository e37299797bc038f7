// The sandboxed Asana, asked by Asana's own client. It has no verifier, so the signature is checked as Asana documents it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import Asana from 'asana';
import { startReceiver, startSandbox } from './harness.mjs';

let sandbox;
let workspace;
let project;
const api = {};

/** All items of a collection, over its pages. */
async function all(first) {
  const items = [];
  for (let page = await first; page.data; page = await page.nextPage()) items.push(...page.data);
  return items;
}
const refused = (call, status, message) => assert.rejects(call, (error) => {
  assert.equal(error.status, status);
  assert.match(error.response.body.errors[0].message, message);
  return true;
});

before(async () => {
  sandbox = await startSandbox();
  const client = Asana.ApiClient.instance;
  client.basePath = `${sandbox.url}/asana/api/1.0`;
  client.authentications.token.accessToken = 'any';
  const names = ['Workspaces', 'Users', 'Projects', 'Sections', 'Tasks', 'Stories', 'Webhooks', 'Events', 'BatchAPI', 'Tags', 'CustomFields', 'Teams'];
  for (const name of names) api[name] = new Asana[`${name}Api`]();
  workspace = (await api.Workspaces.getWorkspaces({ limit: 10, opt_fields: 'name,is_organization' })).data[0];
  project = (await api.Projects.getProjectsForWorkspace(workspace.gid, { archived: false, limit: 5 })).data[0];
});
after(() => sandbox?.stop());

describe('the sandboxed Asana', () => {
  test('knows its workspace and who works in it', async () => {
    assert.ok(workspace.name && typeof workspace.is_organization === 'boolean');
    const { data: me } = await api.Users.getUser('me', { opt_fields: 'name,email,photo,workspaces.name' });
    assert.equal(me.workspaces[0].name, workspace.name);
    const users = await all(api.Users.getUsersForWorkspace(workspace.gid, {}));
    assert.ok(users.length >= 25, `${users.length} people`);
    assert.equal((await api.Users.getUser(users[3].gid, {})).data.gid, users[3].gid);
    assert.ok((await api.Teams.getTeamsForWorkspace(workspace.gid, {})).data.length > 0);
    assert.ok((await api.Tags.getTagsForWorkspace(workspace.gid, {})).data.length > 0);
    assert.ok((await api.CustomFields.getCustomFieldsForWorkspace(workspace.gid, {})).data.length > 0);
  });

  test('pages through projects, and shows one with its sections and counts', async () => {
    const projects = await all(api.Projects.getProjectsForWorkspace(workspace.gid, { limit: 3 }));
    assert.ok(projects.length >= 10, `${projects.length} projects`);
    assert.equal(new Set(projects.map(({ gid }) => gid)).size, projects.length);
    const { data: one } = await api.Projects.getProject(project.gid, { opt_fields: 'name,owner.name,due_on,current_status,archived' });
    assert.deepEqual([one.gid, one.archived], [project.gid, false]);
    const { data: sections } = await api.Sections.getSectionsForProject(project.gid, {});
    assert.ok(sections.length >= 2);
    const { data: counts } = await api.Projects.getTaskCountsForProject(project.gid, { opt_fields: 'num_tasks,num_incomplete_tasks' });
    assert.ok(counts.num_tasks >= counts.num_incomplete_tasks);
  });

  test('lists tasks of a project, a section and a person, with the fields that were asked for', async () => {
    const tasks = await all(api.Tasks.getTasksForProject(project.gid, { limit: 20, opt_fields: 'name,completed,memberships.section.name' }));
    assert.ok(tasks.length > 20 && tasks.every((task) => task.memberships.length > 0 && task.notes === undefined));
    const open = await all(api.Tasks.getTasksForProject(project.gid, { limit: 100, completed_since: 'now', opt_fields: 'completed' }));
    assert.ok(open.every((task) => !task.completed) && open.length < tasks.length);
    const { data: sections } = await api.Sections.getSectionsForProject(project.gid, {});
    assert.ok(Array.isArray((await api.Tasks.getTasksForSection(sections[0].gid, { limit: 5 })).data));
    assert.ok(Array.isArray((await api.Tasks.getTasks({ assignee: 'me', workspace: workspace.gid, limit: 5 })).data));
    assert.equal((await api.Tasks.getTask(tasks[0].gid, {})).data.name, tasks[0].name);
  });

  test('creates, changes, moves, comments and deletes a task', async () => {
    const { data: task } = await api.Tasks.createTask({ data: { name: 'From the client', projects: [project.gid], due_on: '2030-01-01' } }, {});
    const { data: done } = await api.Tasks.updateTask({ data: { completed: true } }, task.gid, { opt_fields: 'completed,completed_by.name,due_on' });
    assert.deepEqual([done.completed, done.due_on], [true, '2030-01-01']);
    const { data: story } = await api.Stories.createStoryForTask({ data: { text: 'Grüße' } }, task.gid, {});
    assert.equal(story.text, 'Grüße');
    const stories = await all(api.Stories.getStoriesForTask(task.gid, { limit: 2 }));
    assert.ok(stories.some(({ gid }) => gid === story.gid));
    assert.deepEqual((await api.Tasks.getSubtasksForTask(task.gid, {})).data, []);
    const { data: sections } = await api.Sections.getSectionsForProject(project.gid, {});
    await api.Sections.addTaskForSection(sections[1].gid, { body: { data: { task: task.gid } } });
    const { data: moved } = await api.Tasks.getTask(task.gid, { opt_fields: 'memberships.section' });
    assert.equal(moved.memberships[0].section.gid, sections[1].gid);
    await api.Tasks.deleteTask(task.gid);
    await refused(api.Tasks.getTask(task.gid, {}), 404, /Unknown object|Not/i);
  });

  test('says not found and bad request in its own words', async () => {
    await refused(api.Tasks.getTask('1299999999999999', {}), 404, /Unknown object/);
    await refused(api.Projects.getProject('1299999999999998', {}), 404, /Unknown object/);
    await refused(api.Tasks.createTask({ data: {} }, {}), 400, /./);
    await refused(api.Tasks.getTasksForProject(project.gid, { limit: 1000 }), 400, /limit/);
  });

  test('answers 429 with Retry-After, 500 and 401 on order', async () => {
    await sandbox.fault({ provider: 'asana', kind: 'rate_limit', times: 1, retryAfter: 11 });
    await assert.rejects(api.Users.getUser('me', {}), (error) => error.status === 429 && error.response.headers['retry-after'] === '11');
    await sandbox.fault({ provider: 'asana', kind: 'server_error', times: 1 });
    await assert.rejects(api.Users.getUser('me', {}), (error) => error.status === 500);
    await sandbox.fault({ provider: 'asana', kind: 'unauthorized', times: 1 });
    await refused(api.Users.getUser('me', {}), 401, /Not Authorized/i);
  });

  test('answers a batch', async () => {
    const { data } = await api.BatchAPI.createBatchRequest({ data: { actions: [{ relative_path: '/users/me', method: 'get' }, { relative_path: '/tasks/12', method: 'get' }] } }, {});
    assert.deepEqual(data.map(({ status_code }) => status_code), [200, 404]);
  });

  test('shakes hands over a new webhook, then signs its events', async () => {
    let secret;
    const receiver = await startReceiver(({ headers }) => {
      if (!headers['x-hook-secret']) return {};
      secret = headers['x-hook-secret'];
      return { headers: { 'x-hook-secret': secret } };
    });
    try {
      const { data: hook } = await api.Webhooks.createWebhook({ data: { resource: project.gid, target: `${receiver.url}/hook` } }, {});
      assert.equal(hook.active, true);
      await refused(api.Webhooks.createWebhook({ data: { resource: project.gid, target: `${receiver.url}/hook` } }, {}), 403, /./);
      const sync = await api.Events.getEvents(project.gid, {}).then(() => assert.fail('412 comes first'), (error) => error.response.body.sync);
      const { result } = await sandbox.act('asana', 'create_task', { project: project.gid, name: 'Hooked' });
      await sandbox.act('asana', 'complete_task', { task: result.task });
      await sandbox.act('asana', 'heartbeat');
      const events = [];
      for (const { headers, body } of receiver.requests.slice(1)) {
        assert.equal(headers['x-hook-signature'], createHmac('sha256', secret).update(body).digest('hex'));
        events.push(...JSON.parse(body).events);
      }
      assert.ok(events.some((event) => event.resource.gid === result.task && event.action === 'added'));
      assert.ok(events.some((event) => event.resource.gid === result.task && event.action === 'changed'));
      assert.ok((await api.Events.getEvents(project.gid, { sync })).data.length > 0);
      assert.ok((await api.Webhooks.getWebhooks(workspace.gid, {})).data.some(({ gid }) => gid === hook.gid));
      await sandbox.act('asana', 'disable_webhook', { project: project.gid });
      assert.equal((await api.Webhooks.getWebhook(hook.gid, {})).data.active, false);
      const sent = receiver.requests.length;
      await sandbox.act('asana', 'create_task', { project: project.gid, name: 'Not told' });
      assert.equal(receiver.requests.length, sent);
      await sandbox.act('asana', 'delete_webhook', { project: project.gid });
      await refused(api.Webhooks.getWebhook(hook.gid, {}), 404, /./);
    } finally {
      await receiver.stop();
    }
  });

  test('does not register a webhook whose target does not shake hands', async () => {
    const receiver = await startReceiver();
    try {
      await refused(api.Webhooks.createWebhook({ data: { resource: project.gid, target: receiver.url } }, {}), 400, /./);
    } finally {
      await receiver.stop();
    }
  });
});
