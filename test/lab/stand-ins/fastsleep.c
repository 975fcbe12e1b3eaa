/*
 * Stand-in for sleep(3) in glusterd, by LD_PRELOAD.
 *
 * glusterd sleeps for 5 s after it has started a rebalance process, on the originator and then on the peers, and
 * serves nobody meanwhile. A test of what comes afterwards need not wait for that. Only glusterd itself is touched,
 * and only sleep(5): with HOSTBUS_LAB_SLEEP_MS in its environment it lasts that many milliseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

unsigned int sleep(unsigned int seconds) {
  struct timespec left = {.tv_sec = seconds, .tv_nsec = 0};
  const char *shorter = getenv("HOSTBUS_LAB_SLEEP_MS");
  if (shorter != NULL && seconds == 5 && strcmp(program_invocation_short_name, "glusterd") == 0) {
    long ms = strtol(shorter, NULL, 10);
    left.tv_sec = ms / 1000;
    left.tv_nsec = (ms % 1000) * 1000000L;
  }
  /* As sleep(3): interrupted by a signal, it answers with the seconds that are left. */
  return nanosleep(&left, &left) == 0 ? 0 : (unsigned int)left.tv_sec;
}
