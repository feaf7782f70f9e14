/**
 * The one-line form of constraints, as Kubernetes selectors are written:
 * `k=v, k!=v, k in (a,b), k notin (a), k, !k, k>5, k<5`. The command line and list filters use it.
 */
import { whyUnusable } from './constraints.ts';
import type { Constraint } from './model.ts';
import { show } from './problem.ts';

export type Selector =
  | { readonly ok: true; readonly constraints: readonly Constraint[] }
  /** `column` counts from 1. */
  | { readonly ok: false; readonly column: number; readonly message: string };

interface Token {
  readonly text: string;
  /** From 0. */
  readonly at: number;
}

class SelectorError extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Longest first, so that `==` is not read as two `=`. */
const TOKEN = /\s+|==|!=|[=!<>(),]|[^\s=!<>(),]+/g;

/** The constraints of a selector; the empty text has none. Never throws. */
export function parseSelector(text: string): Selector {
  const tokens: Token[] = [];
  for (const match of text.matchAll(TOKEN)) {
    if (match[0].trim() !== '') tokens.push({ text: match[0], at: match.index });
  }
  try {
    return { ok: true, constraints: readAll(tokens, text.length) };
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return { ok: false, column: error.at + 1, message: error.message };
  }
}

interface Tokens {
  peek(): Token;
  next(): Token;
}

function readAll(list: readonly Token[], end: number): readonly Constraint[] {
  let index = 0;
  const last: Token = { text: '', at: end };
  const tokens: Tokens = {
    peek: () => list[index] ?? last,
    next: () => list[index++] ?? last,
  };
  const constraints: Constraint[] = [];
  while (tokens.peek().text !== '') {
    const at = tokens.peek().at;
    const constraint = readOne(tokens);
    const why = whyUnusable(constraint);
    if (why !== null) throw new SelectorError(at, why);
    constraints.push(constraint);
    const separator = tokens.next();
    if (separator.text === '') break;
    if (separator.text !== ',') throw unexpected(separator, 'a comma');
    if (tokens.peek().text === '') throw unexpected(tokens.peek(), 'another constraint');
  }
  return constraints;
}

const SYMBOLS = ['=', '==', '!=', '<', '>', '(', ')', ',', '!'];

function readWord(tokens: Tokens, expected: string): string {
  const token = tokens.next();
  if (token.text === '' || SYMBOLS.includes(token.text)) throw unexpected(token, expected);
  return token.text;
}

function readOne(tokens: Tokens): Constraint {
  if (tokens.peek().text === '!') {
    tokens.next();
    return { Key: readWord(tokens, 'a key'), Operator: '!', Values: [] };
  }
  const Key = readWord(tokens, 'a key');
  const operator = tokens.peek();
  switch (operator.text) {
    case '':
    case ',':
      return { Key, Operator: 'exists', Values: [] };
    case '=':
    case '==':
      tokens.next();
      return { Key, Operator: '=', Values: [readValue(tokens)] };
    case '!=':
      tokens.next();
      return { Key, Operator: '!=', Values: [readValue(tokens)] };
    case '>':
    case '<':
      tokens.next();
      return {
        Key,
        Operator: operator.text === '>' ? 'gt' : 'lt',
        Values: [readWord(tokens, 'a number')],
      };
    case 'in':
    case 'notin':
      tokens.next();
      return { Key, Operator: operator.text, Values: readSet(tokens) };
    default:
      throw unexpected(operator, 'an operator: = == != in notin > <');
  }
}

/** A value; nothing before a comma or the end is the empty value. */
function readValue(tokens: Tokens): string {
  const { text } = tokens.peek();
  if (text === '' || text === ',') return '';
  return readWord(tokens, 'a value');
}

function readSet(tokens: Tokens): readonly string[] {
  const open = tokens.next();
  if (open.text !== '(') throw unexpected(open, '(');
  const values: string[] = [];
  for (;;) {
    const { text } = tokens.peek();
    values.push(text === ',' || text === ')' ? '' : readWord(tokens, 'a value'));
    const after = tokens.next();
    if (after.text === ')') return [...new Set(values)];
    if (after.text !== ',') throw unexpected(after, ', or )');
  }
}

function unexpected(token: Token, expected: string): SelectorError {
  const found = token.text === '' ? 'the end' : show(token.text);
  return new SelectorError(token.at, `expected ${expected}, found ${found}`);
}
