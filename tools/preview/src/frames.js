// From Prometheus' answers to Grafana's data frames, as its Prometheus data source makes them. Series
// get their names from the target's legend; a time without a sample is null, so that gaps show.
import { FieldType, toDataFrame } from './grafana.cjs';

const LABEL = /\{\{\s*([\w.]+)\s*\}\}/g;

export function graphFrames(panel, answers, range) {
  const times = [];
  for (let at = range.from; at <= range.to + 1e-6; at += range.step) {
    times.push(Math.round(at * 1000));
  }
  return panel.targets.flatMap((target) =>
    (answers[target.refId] ?? []).map((series) => {
      const found = new Map(series.values.map(([at, value]) => [Math.round(at * 1000), number(value)]));
      const name = seriesName(target.legendFormat, series.metric);
      return toDataFrame({
        refId: target.refId,
        name,
        fields: [
          { name: 'Time', type: FieldType.time, values: times },
          {
            name: 'Value',
            type: FieldType.number,
            labels: series.metric,
            config: { displayNameFromDS: name },
            values: times.map((at) => found.get(at) ?? null),
          },
        ],
      });
    })
  );
}

export function tableFrames(panel, answers) {
  return panel.targets.map((target) => {
    const rows = answers[target.refId] ?? [];
    const labels = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].sort();
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: rows.map((row) => row.value[0] * 1000) },
        ...labels.map((label) => ({
          name: label,
          type: FieldType.string,
          values: rows.map((row) => row.metric[label] ?? ''),
        })),
        {
          name: `Value #${target.refId}`,
          type: FieldType.number,
          values: rows.map((row) => number(row.value[1])),
        },
      ],
    });
  });
}

function number(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

function seriesName(legend, labels) {
  if (legend) {
    return legend.replace(LABEL, (_, label) => labels[label] ?? '');
  }
  const pairs = Object.entries(labels).filter(([label]) => label !== '__name__');
  return pairs.map(([label, value]) => `${label}="${value}"`).join(', ') || 'Value';
}
