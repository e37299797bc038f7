// Shared by the tests that ask the graph: the schema, documents over the seeded dashboard, sockets, a walk over answers.
import assert from 'node:assert/strict';
import { buildSchema, getDirectiveValues, getVariableValues, GraphQLIncludeDirective, GraphQLList, GraphQLNonNull, GraphQLSkipDirective, isAbstractType, isLeafType, Kind, parse } from 'graphql';
import { WebSocket } from 'ws';
import { PATIENCE, run, until } from './harness.mjs';

let built;
/** The graph's schema, as the binary prints it. */
export function schema() {
  built ??= buildSchema(run(['schema']));
  return built;
}

const person = 'id displayName handle avatarUrl';
const workItem = `id __typename key title state stateName url updatedAt labels { name color } assignees { ${person} }`;

/** All six widgets of the seeded dashboard and everything in them that a wall shows. */
export const DASHBOARD = `query Team($first: Int) {
  dashboard(slug: "team") {
    id slug name columns
    widgets {
      __typename id title stage state refreshedAt
      layout { x y width height }
      problems { code message retryAfter }
      integrations { id name provider { key } }
      ... on WorkItemsWidget { items(first: $first) { totalCount problems { code } nodes { ${workItem} } } countsByState { state count } }
      ... on PullRequestsWidget { pullRequests(first: $first) { nodes { id key title number pullRequestState isDraft reviewDecision checks author { ${person} } container { id name } ... on GithubPullRequest { requestedReviewers { __typename ... on GithubUser { id login } ... on GithubTeam { id name } } } } } }
      ... on BuildsWidget { builds(first: $first) { nodes { id name status conclusion branch startedAt finishedAt actor { ${person} } container { id name } } } }
      ... on MessagesWidget { messages(first: $first) { nodes { id text sentAt replyCount author { ${person} } ... on SlackMessage { channel { id name } reactions { name count } } } } }
      ... on ActivityWidget { activity(first: $first) { nodes { id kind summary occurredAt actor { ${person} } subject { id __typename title } } } }
      ... on MetricWidget { metric { kind name unit value previous series(last: 7) { at value } } }
    }
  }
}`;

/** The id of the seeded dashboard. */
export async function dashboardId(dev) {
  const answer = await dev.query('{ dashboard(slug: "team") { id } }');
  return answer.data.dashboard.id;
}

/** The id of the seeded dashboard's widget of a type. */
export async function widgetId(dev, type) {
  const answer = await dev.query('{ dashboard(slug: "team") { widgets { id __typename } } }');
  return answer.data.dashboard.widgets.find((widget) => widget.__typename === type).id;
}

/** A raw socket: `send`, `next` (the next message), `closed` (a promise of `{ code, reason }`). */
export async function socket(url, { protocols = ['graphql-transport-ws'], headers = {}, init = false } = {}) {
  const web = new WebSocket(url, protocols, { headers });
  const messages = [];
  const closed = new Promise((done) => web.once('close', (code, reason) => done({ code, reason: reason.toString() })));
  web.on('message', (data) => messages.push(JSON.parse(data.toString())));
  await new Promise((open, failed) => web.once('open', open).once('error', failed).once('unexpected-response', (_, response) => failed(Object.assign(new Error(`status ${response.statusCode}`), { status: response.statusCode }))));
  const self = {
    web,
    messages,
    closed,
    send: (message) => web.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)),
    async next(wanted = () => true, what = 'a message') {
      const found = await until(() => messages.find(wanted), () => `${what} among ${JSON.stringify(messages).slice(0, 2_000)}`);
      messages.splice(messages.indexOf(found), 1);
      return found;
    },
    close: () => web.terminate(),
  };
  if (init) {
    self.send({ type: 'connection_init' });
    await self.next((message) => message.type === 'connection_ack', 'connection_ack');
  }
  return self;
}

/** Collects an async iterator in the background; `wait(n)` gives the first `n` items. */
export function collect(iterable) {
  const items = [];
  let failure;
  let ended = false;
  const iterator = iterable[Symbol.asyncIterator]();
  (async () => {
    for (;;) {
      const { value, done } = await iterator.next();
      if (done) break;
      items.push(value);
    }
  })().catch((error) => { failure = error; }).finally(() => { ended = true; });
  return {
    items,
    get failure() { return failure; },
    get ended() { return ended; },
    find: (wanted, what) => until(() => { if (failure) throw failure; return items.find(wanted); }, () => `${what}, only ${JSON.stringify(items).slice(0, 2_000)}`),
    stop: () => Promise.race([iterator.return?.(), new Promise((late) => setTimeout(late, PATIENCE).unref())]),
  };
}

/**
 * Checks an answer against the specification: every selected field is there, in the order of selection; nulls stand only where
 * the type allows them and where an error's path leads; leaves have their type's form.
 */
export function assertConforms(document, answer, { variables = {}, operationName, graph = schema() } = {}) {
  const ast = typeof document === 'string' ? parse(document) : document;
  const operation = ast.definitions.find((each) => each.kind === Kind.OPERATION_DEFINITION && (!operationName || each.name?.value === operationName));
  const fragments = Object.fromEntries(ast.definitions.filter((each) => each.kind === Kind.FRAGMENT_DEFINITION).map((each) => [each.name.value, each]));
  const paths = new Set((answer.errors ?? []).filter((error) => error.path).map((error) => JSON.stringify(error.path)));
  assert.ok('data' in answer, 'an executed operation has data');
  const { coerced } = getVariableValues(graph, operation.variableDefinitions ?? [], variables);
  const walk = new Walk(graph, fragments, coerced, [...paths].map((path) => JSON.parse(path)));
  walk.selection(graph.getRootType(operation.operation), operation.selectionSet, answer.data, []);
  for (const path of walk.errors) assert.ok(walk.explained.has(JSON.stringify(path)), `the error at ${path.join('.')} left no null`);
}

class Walk {
  constructor(schema, fragments, variables, errors) {
    Object.assign(this, { schema, fragments, variables, errors, explained: new Set() });
  }

  /** A null explains the errors at its path, and those below it that had to bubble up to here. */
  null(type, set, path) {
    for (const error of this.errors) {
      if (!path.every((step, index) => error[index] === step)) continue;
      assert.ok(this.bubbles(type, set, error.slice(path.length)), `the error at ${error.join('.')} nulled ${path.join('.') || 'data'}, above a nullable field`);
      this.explained.add(JSON.stringify(error));
    }
  }

  /** Whether everything on the way from a null of `type` down to an error is non-null. */
  bubbles(type, set, rest) {
    if (rest.length === 0) return true;
    const [step, ...more] = rest;
    if (type instanceof GraphQLList) return type.ofType instanceof GraphQLNonNull && this.bubbles(type.ofType.ofType, set, more);
    return (isAbstractType(type) ? this.schema.getPossibleTypes(type) : [type]).some((concrete) => {
      const nodes = this.collect(concrete, set).get(step);
      const field = nodes && concrete.getFields()[nodes[0].name.value];
      return field?.type instanceof GraphQLNonNull && this.bubbles(field.type.ofType, merged(nodes).selectionSet, more);
    });
  }

  value(type, node, value, path) {
    if (type instanceof GraphQLNonNull) {
      assert.notEqual(value, null, `${path.join('.')} is null, but its type is ${type}`);
      return this.value(type.ofType, node, value, path);
    }
    if (value === null) return this.null(type, node.selectionSet, path);
    assert.notEqual(value, undefined, path.join('.'));
    if (type instanceof GraphQLList) {
      assert.ok(Array.isArray(value), `${path.join('.')} is no list`);
      return value.forEach((item, index) => this.value(type.ofType, node, item, [...path, index]));
    }
    if (isLeafType(type)) {
      assert.ok(['Boolean', 'Int', 'Float', 'String', 'ID'].includes(type.name) ? matches(type.name, value) : !type.getValues || type.getValue(value), `${path.join('.')}: ${JSON.stringify(value)} is no ${type}`);
      return undefined;
    }
    return this.selection(type, node.selectionSet, value, path);
  }

  selection(type, set, value, path) {
    if (value === null) return this.null(type, set, path);
    assert.equal(typeof value, 'object', path.join('.'));
    let concrete = type;
    if (isAbstractType(type)) {
      // Without __typename, the first possible type that has exactly these keys.
      const possible = this.schema.getPossibleTypes(type).filter((each) => value.__typename === undefined || value.__typename === each.name);
      const keys = JSON.stringify(Object.keys(value));
      concrete = possible.find((each) => JSON.stringify([...this.collect(each, set).keys()]) === keys) ?? possible[0];
      assert.ok(concrete, `${value.__typename} is no ${type} at ${path.join('.')}`);
    }
    const fields = this.collect(concrete, set);
    assert.deepEqual(Object.keys(value), [...fields.keys()], `the fields of ${concrete} at ${path.join('.') || 'the root'}`);
    for (const [key, nodes] of fields) {
      const name = nodes[0].name.value;
      if (name === '__typename') {
        assert.equal(value[key], concrete.name);
        continue;
      }
      if (name.startsWith('__')) continue;
      this.value(concrete.getFields()[name].type, merged(nodes), value[key], [...path, key]);
    }
    return undefined;
  }

  collect(type, set, fields = new Map()) {
    for (const selection of set.selections) {
      const skip = getDirectiveValues(GraphQLSkipDirective, selection, this.variables)?.if;
      const include = getDirectiveValues(GraphQLIncludeDirective, selection, this.variables)?.if ?? true;
      if (skip || !include) continue;
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value;
        fields.set(key, [...(fields.get(key) ?? []), selection]);
        continue;
      }
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? this.fragments[selection.name.value] : selection;
      const condition = fragment.typeCondition && this.schema.getType(fragment.typeCondition.name.value);
      if (!condition || condition === type || (isAbstractType(condition) && this.schema.isSubType(condition, type))) this.collect(type, fragment.selectionSet, fields);
    }
    return fields;
  }
}

/** One field of several with the same key. */
function merged(nodes) {
  return { ...nodes[0], selectionSet: { kind: Kind.SELECTION_SET, selections: nodes.flatMap((node) => node.selectionSet?.selections ?? []) } };
}

function matches(name, value) {
  switch (name) {
    case 'Boolean': return typeof value === 'boolean';
    case 'Int': return Number.isInteger(value) && Math.abs(value) <= 2 ** 31;
    case 'Float': return Number.isFinite(value);
    default: return typeof value === 'string';
  }
}

/** Numbers that are the same in every run. */
export function dice(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
