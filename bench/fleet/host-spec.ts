/** What the bench and its processes of simulated hosts say to each other. */

export interface HostSpec {
  readonly hostId: string;
  readonly brokerUrl: string;
  /** As the configuration has it. */
  readonly heartbeat: string;
}

/** Logged by a host that has given up. */
export const hostEnded = 'the host has ended';
