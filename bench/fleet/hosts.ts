/**
 * Many real daemons in one process, with neither storage nor Gluster to look after: the bus side of hosts. Told by a message which
 * they are; logs as daemons do, on standard output, from which the bench learns when each is connected.
 */
import { loadConfig } from '../../src/daemon/config.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { type HostSpec, hostEnded } from './host-spec.ts';

// They end with the bench, however it ends.
process.on('disconnect', () => process.exit());
process.once('message', (hosts: readonly HostSpec[]) => {
  for (const { hostId, brokerUrl, heartbeat } of hosts) {
    const config = loadConfig(undefined, {
      HOSTBUS_HOST_ID: hostId,
      HOSTBUS_BROKER_URL: brokerUrl,
      HOSTBUS_EVENTS_HEARTBEAT: heartbeat,
      // A name that is not there: the daemon then serves without Gluster.
      HOSTBUS_GLUSTER_PROGRAM: '/nonexistent/gluster',
    });
    const daemon = new Daemon(config);
    // Where a real one would end, the others of its process go on.
    daemon.run().catch((error: unknown) => daemon.log.fatal({ err: error }, hostEnded));
  }
});
