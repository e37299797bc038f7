// Figures and the table.

/** The value below which a share of the samples lies (nearest rank). */
export function percentile(samples, share) {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** Milliseconds for people. */
export const milliseconds = (value) => (value === undefined ? '–' : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`);

/** Mebibytes for people. */
export const mebibytes = (bytes) => (bytes === undefined ? '–' : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

/** A whole number for people. */
export const whole = (value) => Math.round(value).toLocaleString('en-US');

/** p50, p90, p99 and the greatest of the samples. */
export function spread(samples) {
  if (samples.length === 0) return 'none came';
  return [['p50', 0.5], ['p90', 0.9], ['p99', 0.99], ['max', 1]].map(([name, share]) => `${name} ${milliseconds(percentile(samples, share))}`).join(', ');
}

/** Rows under a head as one Markdown table. */
export function table(rows, head = ['What', 'Result', 'Remark']) {
  const line = (cells) => `| ${cells.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
