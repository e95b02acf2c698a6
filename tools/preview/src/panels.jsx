// One panel of a dashboard, drawn by Grafana's own components from its JSON and the answers to its
// queries. No panel is known by name here: what is drawn is what the file says.
import React, { useEffect, useState } from 'react';
import {
  applyFieldOverrides,
  BigValue,
  dateTime,
  getFieldDisplayValues,
  PanelChrome,
  Table,
  TimeSeries,
  transformDataFrame,
  useTheme2,
} from './grafana.cjs';
import { graphFrames, tableFrames } from './frames';

const asIs = (text) => text;

export function Panel({ panel, answers, range, registry, width, height }) {
  const theme = useTheme2();
  const Drawn = { timeseries: Graph, stat: Figure, table: Lines }[panel.type];
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(innerWidth, innerHeight) => (
        <Drawn
          panel={panel}
          frames={panel.type === 'table' ? tableFrames(panel, answers) : graphFrames(panel, answers, range)}
          apply={(data) =>
            applyFieldOverrides({
              data,
              fieldConfig: panel.fieldConfig,
              fieldConfigRegistry: registry,
              replaceVariables: asIs,
              theme,
              timeZone: 'utc',
            })
          }
          theme={theme}
          range={range}
          width={innerWidth}
          height={innerHeight}
        />
      )}
    </PanelChrome>
  );
}

function Graph({ panel, frames, apply, range, width, height }) {
  if (frames.length === 0) {
    return <Nothing />;
  }
  const from = dateTime(range.from * 1000);
  const to = dateTime(range.to * 1000);
  return (
    <TimeSeries
      frames={apply(frames)}
      legend={panel.options.legend}
      options={panel.options}
      timeRange={{ from, to, raw: { from, to } }}
      timeZone="utc"
      width={width}
      height={height}
    />
  );
}

function Figure({ panel, frames, apply, theme, width, height }) {
  const values = getFieldDisplayValues({
    data: apply(frames),
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: asIs,
    theme,
    timeZone: 'utc',
  });
  const wide = width > height * 1.6;
  // What Grafana's stat panel does with "auto".
  const nameToo = panel.options.textMode !== 'value' && values.length > 1;
  const share = (length) => Math.floor(length / values.length) - 4;
  return (
    <div style={{ display: 'flex', flexDirection: wide ? 'row' : 'column', gap: 4 }}>
      {values.map((found, place) => (
        <BigValue
          key={place}
          value={found.display}
          colorMode={panel.options.colorMode}
          graphMode={panel.options.graphMode}
          justifyMode="auto"
          textMode={nameToo ? 'value_and_name' : 'value'}
          theme={theme}
          width={wide ? share(width) : width}
          height={wide ? height : share(height)}
        />
      ))}
    </div>
  );
}

function Lines({ panel, frames, apply, width, height }) {
  const [frame, setFrame] = useState(null);
  useEffect(() => {
    const made = transformDataFrame(panel.transformations, frames);
    const listening = made.subscribe((found) => setFrame(apply(found)[0]));
    return () => listening.unsubscribe();
  }, []);
  if (frame === null || frame.length === 0) {
    return frame && <Nothing />;
  }
  return <Table data={frame} width={width} height={height} initialSortBy={panel.options.sortBy} />;
}

function Nothing() {
  return <div className="nothing">No data</div>;
}
