// What Grafana's application registers at its start and these libraries leave out: which field options
// exist, so that defaults and overrides of a panel reach its fields, and the transformations.
import {
  createFieldConfigRegistry,
  identityOverrideProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
} from './grafana.cjs';

const STANDARD = [
  'unit', 'decimals', 'min', 'max', 'noValue', 'thresholds', 'mappings', 'color', 'links', 'displayName',
];
const CUSTOM = [
  'cellOptions', 'drawStyle', 'fillOpacity', 'lineStyle', 'lineWidth', 'minWidth', 'showPoints', 'stacking',
  'thresholdsStyle', 'width',
];

function option(id) {
  return {
    id,
    path: id,
    name: id,
    description: '',
    editor: () => null,
    override: () => null,
    process: identityOverrideProcessor,
    shouldApply: () => true,
    getItemsCount: () => 0,
  };
}

export function start() {
  standardFieldConfigEditorRegistry.setInit(() => STANDARD.map(option));
  // Some stand there twice, under an old name as well.
  const transformations = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
  standardTransformersRegistry.setInit(() =>
    [...transformations.values()].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      transformation: async () => transformation,
      editor: () => null,
    }))
  );
  return createFieldConfigRegistry(
    { useCustomConfig: (builder) => CUSTOM.forEach((id) => builder.addCustomEditor(option(id))) },
    'preview'
  );
}
