/** XML documents as trees of elements. Everything stays text until somebody asks for a number: a name such as `007` is no number. */
import sax from 'sax';

/** The text is not the XML that was expected: cut off, damaged, or without an element that is needed. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

export class XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: XmlElement[] = [];
  /** Its own text, without its children's. */
  ownText = '';

  constructor(name: string, attributes: ReadonlyMap<string, string>) {
    this.name = name;
    this.attributes = attributes;
  }

  /** The first element at the end of a path of names; undefined when there is none. */
  find(...path: string[]): XmlElement | undefined {
    let element: XmlElement | undefined = this;
    for (const name of path) element = element?.children.find((child) => child.name === name);
    return element;
  }

  /** @throws {XmlError} there is none */
  get(...path: string[]): XmlElement {
    const found = this.find(...path);
    if (found === undefined) throw new XmlError(`<${this.name}> has no <${path.join('><')}>`);
    return found;
  }

  /** The children of one name. */
  all(name: string): XmlElement[] {
    return this.children.filter((child) => child.name === name);
  }

  /**
   * The text of the element at the end of a path; empty for an empty element.
   * @throws {XmlError} there is no such element
   */
  text(...path: string[]): string {
    return this.get(...path).ownText.trim();
  }

  /** The text of the element at the end of a path; undefined when there is none, or it says nothing: empty or `N/A`. */
  textIfAny(...path: string[]): string | undefined {
    const text = this.find(...path)?.ownText.trim();
    return text === '' || text === 'N/A' ? undefined : text;
  }

  /**
   * The integer at the end of a path.
   * @throws {XmlError} there is none
   */
  integer(...path: string[]): number {
    const number = this.integerIfAny(...path);
    if (number !== undefined) return number;
    throw new XmlError(`<${[this.name, ...path].join('><')}> is no integer: "${this.text(...path)}"`);
  }

  /** The integer at the end of a path; undefined when there is no such element, or it holds something else. */
  integerIfAny(...path: string[]): number | undefined {
    const text = this.textIfAny(...path);
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  }

  /** The number at the end of a path, whole or with a fraction; undefined when there is none. */
  numberIfAny(...path: string[]): number | undefined {
    const text = this.textIfAny(...path);
    return text !== undefined && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
  }
}

const maxDepth = 64;

/**
 * Parses a whole document. Only XML's five own entities and character references are known: a document type is refused.
 * @throws {XmlError} it is not well-formed, or is cut off
 */
export function parseXml(text: string): XmlElement {
  const parser = sax.parser(true, {});
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  parser.onerror = (error) => {
    throw new XmlError(error.message.split('\n')[0] ?? 'not XML', { cause: error });
  };
  parser.ondoctype = () => {
    throw new XmlError('a document type is refused');
  };
  parser.onopentag = ({ name, attributes }) => {
    if (open.length >= maxDepth) throw new XmlError(`nested deeper than ${maxDepth} elements`);
    const element = new XmlElement(name, new Map(Object.entries(attributes as Record<string, string>)));
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  };
  parser.onclosetag = () => {
    open.pop();
  };
  const addText = (more: string) => {
    const element = open.at(-1);
    if (element !== undefined) element.ownText += more;
  };
  parser.ontext = addText;
  parser.oncdata = addText;
  parser.write(text).close();
  if (root === undefined) throw new XmlError('there is no element');
  return root;
}
