/**
 * A value as YAML. A file of its own, loaded when it is needed: `yaml` is CommonJS, and in the bundle
 * only a static import gives its names, while importing it dynamically gives `default` alone.
 */
import { Document, visit } from 'yaml';
import { escapeHiddenInYaml, withoutHidden } from '../lib/hidden-text.ts';

export function yamlText(value: unknown): string {
  const document = new Document(value);
  visit(document, {
    Scalar(_, scalar) {
      const text = scalar.value;
      if (typeof text === 'string' && withoutHidden(text) !== text) scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return escapeHiddenInYaml(document.toString({ lineWidth: 0 }));
}
