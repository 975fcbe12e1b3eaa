/** What can go wrong on the caller's side of the bus; errors that a host answers are HostbusErrors. */

/** No daemon serves this host ID at the moment: the broker returned the request at once. Nothing ran. */
export class HostUnreachable extends Error {
  override readonly name = 'HostUnreachable';
  readonly hostId: string;
  constructor(hostId: string) {
    super(`Host ${hostId} is not there: no daemon has a queue for it on this broker`);
    this.hostId = hostId;
  }
}

/** No answer came in time. The task may be running: ask with `task(id).status()`. */
export class CallTimeout extends Error {
  override readonly name = 'CallTimeout';
  readonly taskId: string;
  constructor(taskId: string, timeoutMs: number) {
    super(`No answer within ${timeoutMs} ms; the task may still run (ask with getTaskStatus, ID ${taskId})`);
    this.taskId = taskId;
  }
}

/**
 * The answer was lost, and the host cannot tell what became of the task: it was restarted, forgot it, or knows one with this ID that
 * may be an earlier one. Look at the object that it worked on.
 */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown';
  readonly taskId: string;
  constructor(hostId: string, taskId: string, options?: ErrorOptions) {
    super(
      `The answer was lost and host ${hostId} cannot tell what became of task ${taskId}: it may or may not have run. Look at the object that it works on before trying again`,
      options,
    );
    this.taskId = taskId;
  }
}

/** A followed operation of Gluster has not ended in time. It goes on. */
export class OperationTimeout extends Error {
  override readonly name = 'OperationTimeout';
  readonly operationId: string;
  constructor(operationId: string, timeoutMs: number) {
    super(`Operation ${operationId} has not ended within ${timeoutMs} ms; Gluster goes on with it`);
    this.operationId = operationId;
  }
}

/** The client was closed, or could not connect. */
export class ConnectionClosed extends Error {
  override readonly name = 'ConnectionClosed';
}

/** The broker refused the connection for good: wrong credentials, no such virtual host, no permission; or one side the other's certificate. */
export class BrokerRefused extends Error {
  override readonly name = 'BrokerRefused';
}
