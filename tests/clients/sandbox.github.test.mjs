// The sandboxed GitHub, asked by GitHub's own client, and its webhooks, verified by GitHub's own library.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Webhooks } from '@octokit/webhooks';
import { Octokit } from 'octokit';
import { startReceiver, startSandbox } from './harness.mjs';

const repo = { owner: 'acme', repo: 'web' };
let sandbox;
let octokit;

before(async () => {
  sandbox = await startSandbox();
  // Its plugins would wait for what these tests want to see.
  octokit = new Octokit({ auth: 'any', baseUrl: `${sandbox.url}/github`, throttle: { enabled: false }, retry: { enabled: false }, log: { debug() {}, info() {}, warn() {}, error() {} } });
});
after(() => sandbox?.stop());

describe('the sandboxed GitHub', () => {
  test('knows its user, its repositories and who works in them', async () => {
    const { data: me } = await octokit.rest.users.getAuthenticated();
    assert.match(me.node_id, /\S/);
    const { data: one } = await octokit.rest.repos.get(repo);
    assert.equal(one.full_name, 'acme/web');
    const repositories = await octokit.paginate(octokit.rest.repos.listForOrg, { org: 'acme', per_page: 3 });
    assert.ok(repositories.length >= 8, `${repositories.length} repositories`);
    const { data: person } = await octokit.rest.users.getByUsername({ username: 'benokafor' });
    assert.equal(person.name, 'Ben Okafor');
    const { data: labels } = await octokit.rest.issues.listLabelsForRepo(repo);
    assert.ok(labels.length > 0);
    const branches = await octokit.paginate(octokit.rest.repos.listBranches, repo);
    assert.ok(branches.some((branch) => branch.name === one.default_branch));
    const { data: releases } = await octokit.rest.repos.listReleases(repo);
    assert.ok(Array.isArray(releases));
  });

  test('pages through lists by Link', async () => {
    const first = await octokit.rest.issues.listForRepo({ ...repo, state: 'all', per_page: 50 });
    assert.match(first.headers.link, /rel="next"/);
    assert.match(first.headers.link, /rel="last"/);
    const all = await octokit.paginate(octokit.rest.issues.listForRepo, { ...repo, state: 'all', per_page: 50 });
    assert.ok(all.length > 100, `${all.length} issues and pull requests`);
    assert.equal(new Set(all.map((issue) => issue.number)).size, all.length, 'no page repeats another');
    const open = await octokit.paginate(octokit.rest.issues.listForRepo, { ...repo, state: 'open', per_page: 100 });
    assert.ok(open.length < all.length && open.every((issue) => issue.state === 'open'));
    const pulls = await octokit.paginate(octokit.rest.pulls.list, { ...repo, state: 'all', per_page: 100 });
    assert.ok(pulls.length >= 100, `${pulls.length} pull requests`);
  });

  test('shows one issue, one pull request, its reviews and its checks', async () => {
    const { data: pulls } = await octokit.rest.pulls.list({ ...repo, state: 'open' });
    const { data: pull } = await octokit.rest.pulls.get({ ...repo, pull_number: pulls[0].number });
    assert.equal(pull.number, pulls[0].number);
    const { data: reviews } = await octokit.rest.pulls.listReviews({ ...repo, pull_number: pull.number });
    assert.ok(Array.isArray(reviews));
    const { data: checks } = await octokit.rest.checks.listForRef({ ...repo, ref: pull.head.sha });
    assert.equal(checks.total_count, checks.check_runs.length);
    const { data: status } = await octokit.rest.repos.getCombinedStatusForRef({ ...repo, ref: pull.head.sha });
    assert.equal(status.sha, pull.head.sha);
  });

  test('lists workflow runs', async () => {
    const { data } = await octokit.rest.actions.listWorkflowRunsForRepo({ ...repo, per_page: 5 });
    assert.equal(data.workflow_runs.length, 5);
    const failed = await octokit.paginate(octokit.rest.actions.listWorkflowRunsForRepo, { ...repo, status: 'failure', per_page: 50 });
    assert.ok(failed.every((run) => run.conclusion === 'failure'));
    const { data: run } = await octokit.rest.actions.getWorkflowRun({ ...repo, run_id: data.workflow_runs[0].id });
    assert.equal(run.id, data.workflow_runs[0].id);
    const { data: workflows } = await octokit.rest.actions.listRepoWorkflows(repo);
    assert.ok(workflows.total_count > 0);
  });

  test('answers GraphQL documents, several pages too', async () => {
    const pages = [];
    const iterator = octokit.graphql.paginate.iterator(
      `query ($owner: String!, $repo: String!, $cursor: String) {
        repository(owner: $owner, name: $repo) {
          issues(first: 40, after: $cursor, states: [OPEN]) {
            nodes { id number title author { login __typename } labels(first: 5) { nodes { name color } } }
            pageInfo { hasNextPage endCursor }
          }
        }
        rateLimit { cost remaining resetAt }
      }`,
      repo,
    );
    for await (const page of iterator) pages.push(page);
    const issues = pages.flatMap((page) => page.repository.issues.nodes);
    assert.equal(new Set(issues.map((issue) => issue.id)).size, issues.length);
    assert.ok(pages[0].rateLimit.remaining > 0);
    const { node } = await octokit.graphql('query ($id: ID!) { node(id: $id) { __typename ... on Issue { number } } }', { id: issues[0].id });
    assert.deepEqual(node, { __typename: 'Issue', number: issues[0].number });
  });

  test('refuses wrong GraphQL with errors and an unknown repository with NOT_FOUND', async () => {
    await assert.rejects(octokit.graphql('{ nothing }'), (error) => error.name === 'GraphqlResponseError');
    await assert.rejects(octokit.graphql('{ repository(owner: "acme", name: "none") { id } }'), (error) => error.errors[0].type === 'NOT_FOUND' && error.data.repository === null);
  });

  test('says 404 with documentation for what is not there', async () => {
    for (const call of [() => octokit.rest.repos.get({ owner: 'acme', repo: 'none' }), () => octokit.rest.issues.get({ ...repo, issue_number: 999_999 }), () => octokit.rest.users.getByUsername({ username: 'nobody-at-all' })]) {
      await assert.rejects(call(), (error) => error.status === 404 && error.response.data.message === 'Not Found' && /docs/.test(error.response.data.documentation_url));
    }
  });

  test('answers 304 to a known ETag, which costs nothing of the limit', async () => {
    const first = await octokit.rest.repos.get(repo);
    assert.match(first.headers.etag, /"/);
    const again = octokit.request('GET /repos/{owner}/{repo}', { ...repo, headers: { 'if-none-match': first.headers.etag } });
    await assert.rejects(again, (error) => {
      assert.equal(error.status, 304);
      assert.equal(error.response.headers['x-ratelimit-remaining'], first.headers['x-ratelimit-remaining']);
      return true;
    });
    const other = await octokit.request('GET /repos/{owner}/{repo}', { ...repo, headers: { 'if-none-match': '"other"' } });
    assert.equal(other.status, 200);
  });

  test('is over its limit on order, with the real headers', async () => {
    await sandbox.fault({ provider: 'github', kind: 'rate_limit', times: 1, retryAfter: 7 });
    await assert.rejects(octokit.rest.repos.get(repo), (error) => {
      assert.ok([403, 429].includes(error.status));
      assert.equal(error.response.headers['retry-after'], '7');
      assert.equal(error.response.headers['x-ratelimit-remaining'], '0');
      assert.ok(Number(error.response.headers['x-ratelimit-reset']) > Date.now() / 1000);
      return true;
    });
    await sandbox.fault({ provider: 'github', kind: 'rate_limit', path: '/graphql', times: 1 });
    await assert.rejects(octokit.graphql('{ viewer { login } }'), (error) => error.errors[0].type === 'RATE_LIMITED');
    const { data } = await octokit.rest.rateLimit.get();
    assert.ok(data.resources.core.remaining > 0 && data.resources.graphql.limit >= 5000);
  });

  test('breaks and waits on order, and refuses an empty token', async () => {
    await sandbox.fault({ provider: 'github', kind: 'server_error', times: 1 });
    await assert.rejects(octokit.rest.repos.get(repo), (error) => error.status === 500);
    await sandbox.fault({ provider: 'github', kind: 'timeout', latencyMs: 30, times: 1 });
    await assert.rejects(octokit.rest.repos.get(repo), (error) => error.status === 504);
    await assert.rejects(new Octokit({ baseUrl: `${sandbox.url}/github`, retry: { enabled: false } }).rest.repos.get(repo), (error) => error.status === 401);
  });

  test('registers webhooks and signs what it sends, as @octokit/webhooks wants it', async () => {
    const receiver = await startReceiver();
    try {
      const secret = 'It\'s a Secret to Everybody';
      const { data: hook } = await octokit.rest.repos.createWebhook({ ...repo, config: { url: `${receiver.url}/hook`, content_type: 'json', secret }, events: ['issues', 'pull_request', 'push'] });
      const ping = await receiver.next((request) => request.headers['x-github-event'] === 'ping', 'the ping');
      assert.equal(JSON.parse(ping.body).hook_id, hook.id);
      const title = 'A title with ünïcödé and 🦀';
      await sandbox.act('github', 'open_issue', { repository: 'acme/web', title });
      await sandbox.act('github', 'push', { repository: 'acme/web' });
      const webhooks = new Webhooks({ secret });
      const seen = [];
      webhooks.on('issues.opened', ({ payload }) => seen.push(payload.issue.title));
      webhooks.on('push', ({ payload }) => seen.push(payload.ref));
      for (const { headers, body } of receiver.requests) {
        await webhooks.verifyAndReceive({ id: headers['x-github-delivery'], name: headers['x-github-event'], payload: body, signature: headers['x-hub-signature-256'] });
        assert.equal(await webhooks.verify(`${body} `, headers['x-hub-signature-256']), false, 'a changed body is noticed');
      }
      assert.deepEqual(seen, [title, 'refs/heads/main']);
      const { data: hooks } = await octokit.rest.repos.listWebhooks(repo);
      assert.ok(hooks.some(({ id }) => id === hook.id));
      await octokit.rest.repos.pingWebhook({ ...repo, hook_id: hook.id });
      const { data: deliveries } = await octokit.rest.repos.listWebhookDeliveries({ ...repo, hook_id: hook.id });
      assert.ok(deliveries.length >= 3);
      // The log has no numbered pages; the client finds its way by the cursors.
      const paged = await octokit.paginate(octokit.rest.repos.listWebhookDeliveries, { ...repo, hook_id: hook.id, per_page: 1 });
      assert.deepEqual(paged.map(({ id }) => id), deliveries.map(({ id }) => id));
      const opened = deliveries.find(({ event, action }) => event === 'issues' && action === 'opened');
      const { data: whole } = await octokit.rest.repos.getWebhookDelivery({ ...repo, hook_id: hook.id, delivery_id: opened.id });
      assert.deepEqual([whole.guid, whole.request.payload.issue.title], [opened.guid, title]);
      await sandbox.fault({ provider: 'github', kind: 'drop' });
      await octokit.rest.repos.redeliverWebhookDelivery({ ...repo, hook_id: hook.id, delivery_id: opened.id });
      await sandbox.clearFaults();
      const { data: [again] } = await octokit.rest.repos.listWebhookDeliveries({ ...repo, hook_id: hook.id, per_page: 1 });
      assert.deepEqual([again.guid, again.redelivery, again.id === opened.id], [opened.guid, true, false], 'another attempt of the same, though it is lost');
      await sandbox.act('github', 'disable_webhook', { repository: 'acme/web' });
      assert.equal((await octokit.rest.repos.getWebhook({ ...repo, hook_id: hook.id })).data.active, false);
      assert.equal((await octokit.rest.repos.updateWebhook({ ...repo, hook_id: hook.id, active: true })).data.active, true);
      await octokit.rest.repos.deleteWebhook({ ...repo, hook_id: hook.id });
      await assert.rejects(octokit.rest.repos.getWebhook({ ...repo, hook_id: hook.id }), (error) => error.status === 404);
    } finally {
      await receiver.stop();
    }
  });

  test('sends the webhook of a form subscription as payload=', async () => {
    const receiver = await startReceiver();
    try {
      const secret = 'form';
      await octokit.rest.repos.createWebhook({ ...repo, config: { url: receiver.url, content_type: 'form', secret }, events: ['star'] });
      await sandbox.act('github', 'star', { repository: 'acme/web', action: 'created' });
      const { headers, body } = await receiver.next((request) => request.headers['x-github-event'] === 'star', 'the star');
      assert.ok(await new Webhooks({ secret }).verify(body, headers['x-hub-signature-256']));
      assert.equal(JSON.parse(new URLSearchParams(body).get('payload')).action, 'created');
    } finally {
      await receiver.stop();
    }
  });

  test('writes as the API writes: an issue, a comment, a state', async () => {
    const { data: issue } = await octokit.rest.issues.create({ ...repo, title: 'Written over REST' });
    const { data: comment } = await octokit.rest.issues.createComment({ ...repo, issue_number: issue.number, body: 'Me too' });
    assert.equal(comment.body, 'Me too');
    const { data: closed } = await octokit.rest.issues.update({ ...repo, issue_number: issue.number, state: 'closed', state_reason: 'not_planned' });
    assert.deepEqual([closed.state, closed.state_reason], ['closed', 'not_planned']);
  });

  test('counts these calls, and the control API counts nothing', async () => {
    await sandbox.resetStats();
    await octokit.rest.repos.get(repo);
    await octokit.graphql('{ viewer { login } }');
    const { github } = await sandbox.stats();
    assert.deepEqual(github, { total: 2, paths: { 'GET /repos/acme/web': 1, 'POST /graphql': 1 } });
  });
});
