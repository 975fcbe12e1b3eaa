/** Joins what a connection writes in one turn of the event loop into one write to its socket. */
import type { Duplex } from 'node:stream';
import type { ChannelModel } from 'amqplib';

/**
 * Returns a function to be called after each publish or acknowledgement: it holds the socket back until amqplib has handed over
 * all frames of this turn. System calls are what a call costs most (docs/performance.md).
 */
export function corker(model: ChannelModel): () => void {
  const socket = socketOf(model);
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  // amqplib writes in an immediate that it requests on the next tick after a publish; one that is requested a tick later runs right after.
  const uncorkAfterWrites = () => void setImmediate(uncork);
  return () => {
    if (corked) return;
    corked = true;
    socket.cork();
    process.nextTick(uncorkAfterWrites);
  };
}

/** The connection's socket. amqplib keeps it in a field that its types do not show. */
export function socketOf(model: ChannelModel): Duplex {
  const { stream } = model.connection as unknown as { stream: Duplex };
  return stream;
}
