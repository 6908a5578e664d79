// A collector of one's own, for whatever takes names, numbers and labels.
import { CollectorBase } from '@granary/telemetry';

export class LineCollector extends CollectorBase {
  lines = [];
  count({ name }, amount, labels) {
    this.lines.push(`${name} +${amount} ${JSON.stringify(labels)}`);
  }
  observe({ name, unit }, value, labels) {
    this.lines.push(`${name} ${value} ${unit} ${JSON.stringify(labels)}`);
  }
  gauge({ name }, value, labels) {
    this.lines.push(`${name} = ${value} ${JSON.stringify(labels)}`);
  }
}
