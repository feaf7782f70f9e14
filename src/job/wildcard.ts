/**
 * Patterns with wildcards, matched in one pass. As regular expressions a few wildcards and a long text
 * that almost fits take hours, and the text is a job's.
 */

/** Whether `rule` covers the whole text; `*` in it stands for anything, everything else for itself. */
export function covers(rule: string, text: string): boolean {
  const [first = '', ...rest] = rule.split('*');
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (text.length < first.length + last.length) return false;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= text.length - last.length;
}

/** What one step of a path pattern takes. `depth` may be left out, or takes a `/` and then anything. */
type Step =
  | { readonly takes: 'character'; readonly character: string }
  | { readonly takes: 'one' | 'name' | 'anything' | 'depth' };

function stepsOf(glob: string): readonly Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < glob.length; at += 1) {
    const character = glob.charAt(at);
    if (glob.startsWith('/**', at) && (at + 3 === glob.length || glob.charAt(at + 3) === '/')) {
      steps.push({ takes: 'depth' }, { takes: 'anything' });
      at += 2;
    } else if (glob.startsWith('**', at)) {
      steps.push({ takes: 'anything' });
      at += 1;
    } else if (character === '*') steps.push({ takes: 'name' });
    else if (character === '?') steps.push({ takes: 'one' });
    else steps.push({ takes: 'character', character });
  }
  return steps;
}

/**
 * Whether a glob covers the whole path: `**` any depth (also none), `*` within a name, `?` one
 * character; everything else is itself.
 */
export function coversPath(glob: string, path: string): boolean {
  const steps = stepsOf(glob);
  let at = new Set<number>();
  /** Where one can stand: at `index`, and beyond what may be left out there. */
  const stand = (index: number, places: Set<number>): void => {
    let next = index;
    while (!places.has(next)) {
      places.add(next);
      const takes = steps[next]?.takes;
      if (takes === 'depth') next += 2;
      else if (takes === 'name' || takes === 'anything') next += 1;
      else return;
    }
  };
  stand(0, at);
  for (let index = 0; index < path.length && at.size > 0; index += 1) {
    const character = path.charAt(index);
    const after = new Set<number>();
    for (const place of at) {
      const step = steps[place];
      if (step === undefined) continue;
      const isSlash = character === '/';
      if (step.takes === 'anything' || (step.takes === 'name' && !isSlash)) stand(place, after);
      else if (step.takes === 'depth' && isSlash) stand(place + 1, after);
      else if (step.takes === 'one' && !isSlash) stand(place + 1, after);
      else if (step.takes === 'character' && step.character === character) stand(place + 1, after);
    }
    at = after;
  }
  return at.has(steps.length);
}
