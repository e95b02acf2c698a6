// A page with one dashboard on it: `window.PREVIEW` holds the dashboard's JSON, the time range and the
// answers to its queries by panel id and refId. It asks no server. When all is drawn, the title says so.
import React, { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { createTheme, GlobalStyles, ThemeContext } from './grafana.cjs';
import 'uplot/dist/uPlot.min.css';
import { start } from './config';
import { Panel } from './panels';

const CELL_HEIGHT = 30;
const GAP = 8;
const COLUMNS = 24;

const { board, range, answers, width } = window.PREVIEW;
const registry = start();
const theme = createTheme({ colors: { mode: 'light' } });
const column = (width - GAP) / COLUMNS;

function place({ x, y, w, h }) {
  return {
    left: GAP + x * column,
    top: y * (CELL_HEIGHT + GAP),
    width: w * column - GAP,
    height: h * (CELL_HEIGHT + GAP) - GAP,
  };
}

function Page() {
  useEffect(() => {
    document.title = 'drawn';
  }, []);
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <header>
        <strong>{board.title}</strong>
        <span>{board.description}</span>
      </header>
      <main>
        {board.panels.map((panel) => {
          const at = place(panel.gridPos);
          return (
            <section key={panel.id} style={{ position: 'absolute', ...at }}>
              <Panel
                panel={panel}
                answers={answers[panel.id] ?? {}}
                range={range}
                registry={registry}
                width={at.width}
                height={at.height}
              />
            </section>
          );
        })}
      </main>
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('page')).render(<Page />);
