/** Attributes of a node, by name. */
import type { Attribute, Node, Tensor } from '../model.ts';

function find(node: Node, name: string): Attribute | undefined {
  return node.attributes.find(({ proto }) => proto.name === name);
}

/** Whether a node states an attribute. */
export function hasAttribute(node: Node, name: string): boolean {
  return find(node, name) !== undefined;
}

/** An integer attribute, or `fallback` when the node does not state it. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const found = find(node, name);
  return found ? Number(found.proto.i) : fallback;
}

/** A float attribute, or `fallback` when the node does not state it. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  return find(node, name)?.proto.f ?? fallback;
}

/** A list-of-integers attribute, or null when the node does not state it. */
export function intsAttribute(node: Node, name: string): number[] | null {
  return find(node, name)?.proto.ints.map(Number) ?? null;
}

/** A tensor attribute, or null when the node does not state it. */
export function tensorAttribute(node: Node, name: string): Tensor | null {
  return find(node, name)?.tensors[0] ?? null;
}

/** Whether an attribute refers to a parameter of the function that the node is in; its value is not known here. */
export function hasReferences(node: Node): boolean {
  return node.attributes.some(({ proto }) => proto.refAttrName !== '');
}
