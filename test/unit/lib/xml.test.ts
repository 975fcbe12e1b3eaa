import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseXml, XmlError } from '../../../src/lib/xml.ts';

const refuses = (text: string, message: RegExp) =>
  assert.throws(
    () => parseXml(text),
    (error) => error instanceof XmlError && message.test(error.message),
  );

test('Elements, attributes and mixed text are read; numbers stay text until they are asked for', () => {
  const root = parseXml(
    '<?xml version="1.0"?>\n<a><b id="007">x:/1<n>007</n> y</b><b/><c>N/A</c><d> 12 </d><e>1.50</e></a>',
  );
  assert.equal(root.all('b').length, 2);
  assert.equal(root.text('b'), 'x:/1 y');
  assert.equal(root.text('b', 'n'), '007');
  assert.equal(root.get('b').attributes.get('id'), '007');
  assert.equal(root.textIfAny('c'), undefined);
  assert.equal(root.integerIfAny('c'), undefined);
  assert.equal(root.integer('d'), 12);
  assert.equal(root.numberIfAny('e'), 1.5);
  assert.equal(root.integerIfAny('e'), undefined);
});

test("XML's own entities are decoded, others and document types are refused", () => {
  assert.equal(parseXml('<a>m &amp; &lt;s&gt; &#65;<![CDATA[<&]]></a>').text(), 'm & <s> A<&');
  refuses('<a>&x;</a>', /entity/i);
  refuses('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', /document type/);
});

test('What is cut off, damaged or no XML is refused', () => {
  refuses('<a><b>1</b>', /unclosed/i);
  refuses('<a><b>1</a>', /tag/i);
  refuses('<a/>rest', /text data outside/i);
  refuses('', /there is no element/);
  refuses('no XML', /./);
  refuses('<a>'.repeat(100), /nested deeper/);
});

test('What is missing is named', () => {
  const root = parseXml('<a><b>x</b></a>');
  assert.throws(() => root.text('b', 'c'), /<a> has no <b><c>/);
  assert.throws(() => root.integer('b'), /<a><b> is no integer: "x"/);
});
