// How many provider calls the cases of the batching tests take, as the sandbox counts them. Each cold case has a program of its own.
import { DASHBOARD, differing, PULL_REQUESTS } from './documents.mjs';
import { startProgram } from './program.mjs';

/** The rows of the table. */
export async function measureCalls() {
  const dashboard = (program) => program.query(DASHBOARD, { first: 20 });
  const pulls = (program) => program.query(PULL_REQUESTS);
  const fifty = (ask) => (program) => Promise.all(Array.from({ length: 50 }, (_, number) => ask(program, number)));
  return [
    ...await cold('the dashboard', dashboard, { warm: true }),
    ...await cold('`pullRequests(first: 100)` with author, reviewers, checks', pulls, { warm: true }),
    ...await cold('50 concurrent dashboards', fifty(dashboard)),
    ...await cold('50 concurrent `pullRequests(first: 100)`', fifty(pulls)),
    ...await cold('50 concurrent documents over one list that differ in fields and `first`', fifty((program, number) => program.query(differing(number)))),
  ];
}

async function cold(what, ask, { warm = false } = {}) {
  const program = await startProgram();
  try {
    const rows = [[`Provider calls, cold: ${what}`, ...await counted(program, ask)]];
    if (warm) rows.push([`Provider calls, warm: ${what}`, ...await counted(program, ask)]);
    return rows;
  } finally {
    await program.stop();
  }
}

async function counted(program, ask) {
  await program.resetStats();
  for (const { errors } of [await ask(program)].flat()) if (errors) throw new Error(JSON.stringify(errors).slice(0, 500));
  const stats = Object.entries(await program.stats());
  const paths = stats.flatMap(([provider, { paths }]) => Object.entries(paths).map(([path, count]) => `${provider} ${path} ${count}`));
  return [stats.reduce((sum, [, { total }]) => sum + total, 0), paths.join('; ')];
}
