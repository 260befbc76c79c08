/** Levels as text: `id[:key[=value],…]`, e.g. `int4:block=128,asymmetric,exclude=lm_head*|model.layers.0.*`. */
import { z } from 'zod';
import { engineError } from '../errors.ts';
import type { EngineError, Result } from '../errors.ts';
import type { LevelId, LevelSettings } from '../level-settings.ts';
import { LEVEL_IDS, SCHEMES } from './registry.ts';

const blockSize = z.union([z.literal(16), z.literal(32), z.literal(64), z.literal(128), z.literal(256)]);

const settingsSchema = z.strictObject({
  block: blockSize.optional(),
  asymmetric: z.boolean().optional(),
  head: z.literal('keep').optional(),
  embedding: z.union([z.boolean(), z.literal('tokens')]).optional(),
  source: z.literal('original').optional(),
  mode: z.union([z.literal('dequantize'), z.literal('dynamic')]).optional(),
  exclude: z.array(z.string().min(1)).optional(),
  override: z.array(z.strictObject({ name: z.string().min(1), to: z.enum(['int4', 'int8']) })).optional(),
});

export interface Level {
  id: LevelId;
  settings: LevelSettings;
}

/** Reads a level; anything it does not know is an error that names what it does. */
export function parseLevel(text: string): Result<Level> {
  const [id, rest] = split(text, ':');
  if (!isLevelId(id)) {
    return error(
      engineError('level-unknown', `There is no level called "${id}".`, `Use one of ${LEVEL_IDS.join(', ')}.`),
    );
  }
  const given = new Map<string, unknown>();
  for (const part of rest === undefined ? [] : rest.split(',')) {
    const [key, value] = split(part.trim(), '=');
    if (given.has(key)) return invalid(text, id, `"${key}" is given twice`);
    if (key === 'exclude' && value !== undefined) given.set(key, value.split('|'));
    else if (key === 'override' && value !== undefined) given.set(key, value.split('|').map(overrideOf));
    else
      given.set(
        key,
        value === undefined || value === 'true'
          ? true
          : value === 'false'
            ? false
            : /^\d+$/.test(value)
              ? Number(value)
              : value,
      );
  }
  return checkSettings(id, Object.fromEntries(given), text);
}

/** Checks settings from outside (the page, a stored setup) against what the level takes. */
export function checkSettings(id: LevelId, settings: Record<string, unknown>, text: string = id): Result<Level> {
  const { keys } = SCHEMES[id];
  const unknown = Object.keys(settings).find((key) => !(keys as readonly string[]).includes(key));
  if (unknown !== undefined) return invalid(text, id, `${id} has no setting "${unknown}"`);
  const parsed = settingsSchema.safeParse(settings);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return invalid(text, id, `"${String(issue?.path[0] ?? '')}" cannot have that value`);
  }
  const { block, asymmetric, head, embedding, source, mode, exclude, override } = parsed.data;
  if (mode && !SCHEMES[id].modes?.includes(mode)) return invalid(text, id, `"mode" cannot have that value`);
  return {
    ok: true,
    value: {
      id,
      settings: {
        ...(block === undefined ? {} : { block }),
        ...(asymmetric ? { asymmetric } : {}),
        ...(head === undefined ? {} : { head }),
        ...(embedding ? { embedding } : {}),
        ...(source === undefined ? {} : { source }),
        ...(mode === undefined ? {} : { mode }),
        ...(exclude && exclude.length > 0 ? { exclude } : {}),
        ...(override && override.length > 0 ? { override } : {}),
      },
    },
  };
}

/** The text a level is written as; defaults are left out, so equal levels have equal text. */
export function formatLevel({ id, settings }: Level): string {
  const parts = [
    settings.mode ? `mode=${settings.mode}` : '',
    settings.block !== undefined && settings.block !== 32 ? `block=${settings.block}` : '',
    settings.asymmetric ? 'asymmetric' : '',
    settings.head ? `head=${settings.head}` : '',
    settings.embedding ? (settings.embedding === 'tokens' ? 'embedding=tokens' : 'embedding') : '',
    settings.source ? `source=${settings.source}` : '',
    settings.exclude && settings.exclude.length > 0 ? `exclude=${settings.exclude.map(spelled).join('|')}` : '',
    settings.override && settings.override.length > 0
      ? `override=${settings.override.map(({ name, to }) => `${spelled(name)}=${to}`).join('|')}`
      : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? id : `${id}:${parts.join(',')}`;
}

/** `NAME=LEVEL`; a name may hold an equals sign itself. */
function overrideOf(text: string): { name: string; to: string } {
  const at = text.lastIndexOf('=');
  return { name: text.slice(0, Math.max(at, 0)), to: text.slice(at + 1) };
}

/** A pattern without what parts settings and patterns. */
function spelled(pattern: string): string {
  return pattern.replace(/[,|]/g, '?');
}

function isLevelId(id: string): id is LevelId {
  return (LEVEL_IDS as string[]).includes(id);
}

function split(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function invalid(text: string, id: LevelId, why: string): Result<never> {
  const { keys, modes = [] } = SCHEMES[id];
  const takes: Record<keyof LevelSettings, string> = {
    block: 'block=16|32|64|128|256',
    asymmetric: 'asymmetric',
    head: 'head=keep',
    embedding: 'embedding[=tokens]',
    source: 'source=original',
    mode: `mode=${modes.join('|')}`,
    exclude: 'exclude=NAME|…',
    override: 'override=NAME=int4|int8|…',
  };
  return error(
    engineError(
      'level-invalid',
      `"${text}" is not a level: ${why}.`,
      keys.length === 0 ? `${id} takes no settings.` : `${id} takes ${keys.map((key) => takes[key]).join(', ')}.`,
    ),
  );
}

function error(value: EngineError): Result<never> {
  return { ok: false, error: value };
}
