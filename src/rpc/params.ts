/** Parameters, checked against the verb's declaration. */
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { HostbusError } from '../../schemas/errors.ts';
import type { Verb } from '../../schemas/verb.ts';

export interface ParamError {
  /** JSON pointer into `params`. */
  path: string;
  message: string;
}

/** A caller who sends thousands of wrong members is told of the first ones. */
const maxErrors = 20;
const maxNameLength = 100;

/** Turns what a caller sent into the verb's parameters by name, or throws InvalidParams. */
export type ParamsCheck = (params: object | undefined) => object;

/** Compiles the check of one verb; do it once. */
export function compileParams(verb: Verb): ParamsCheck {
  const names = Object.keys(verb.params.properties);
  const validator = Compile(verb.params);
  return (params) => {
    const byName = Array.isArray(params) ? nameByPosition(verb.name, names, params) : (params ?? {});
    if (validator.Check(byName)) return byName;
    const errors = validator
      .Errors(byName)
      .flatMap((error) => describe(error, names))
      .slice(0, maxErrors);
    const first = errors[0];
    const summary =
      first === undefined ? '' : `: ${first.path === '' ? 'params' : first.path} ${first.message}`;
    throw new HostbusError('InvalidParams', `Wrong parameters for ${verb.name}${summary}`, { errors });
  };
}

function nameByPosition(method: string, names: readonly string[], values: readonly unknown[]): object {
  if (values.length > names.length) {
    const errors: ParamError[] = [
      { path: `/${names.length}`, message: `is one too many: ${method} takes ${names.length}` },
    ];
    throw new HostbusError('InvalidParams', `Wrong parameters for ${method}: too many`, { errors });
  }
  return Object.fromEntries(values.map((value, i) => [names[i], value]));
}

function describe(error: TLocalizedValidationError, names: readonly string[]): ParamError[] {
  const at = error.instancePath;
  switch (error.keyword) {
    case 'required':
      return error.params.requiredProperties
        .slice(0, maxErrors)
        .map((name) => ({ path: `${at}/${escapePointer(name)}`, message: 'is missing' }));
    case 'boolean': {
      // One for each unknown member, and before the one error of keyword additionalProperties, which the validator's bound may cut off.
      const known = names.length > 0 && at.lastIndexOf('/') === 0 ? `; there are: ${names.join(', ')}` : '';
      return [{ path: shortened(at), message: `is unknown${known}` }];
    }
    case 'additionalProperties':
      return []; // its twin
    case 'enum':
      return [{ path: at, message: `has to be one of: ${error.params.allowedValues.join(', ')}` }];
    default:
      return [{ path: at, message: error.message }];
  }
}

/** Cut so that no escape of the pointer is halved. */
function shortened(pointer: string): string {
  return pointer.length <= maxNameLength ? pointer : pointer.slice(0, maxNameLength).replace(/~$/, '');
}

function escapePointer(name: string): string {
  return name.slice(0, maxNameLength).replaceAll('~', '~0').replaceAll('/', '~1');
}
