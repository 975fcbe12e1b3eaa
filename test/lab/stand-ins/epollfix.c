/*
 * Works around a race of glusterfs 10 that loses geo-replication's live events, by LD_PRELOAD.
 *
 * When a changelog client connects, one thread registers its socket with epoll and then puts the client on the list of
 * those that wait; the epoll thread may have moved it to the list of active ones by then, and the later step takes it
 * out again: it never gets an event. On one machine the connection is so quick that this happens often. Here, for 3 ms
 * after a socket was registered, events are handed out 5 ms late, by when the other thread is done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static _Atomic long long last_added_us;

static long long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event) {
  static int (*real)(int, int, int, struct epoll_event *);
  if (real == NULL) real = dlsym(RTLD_NEXT, "epoll_ctl");
  if (operation == EPOLL_CTL_ADD) atomic_store(&last_added_us, now_us());
  return real(epoll, operation, descriptor, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms) {
  static int (*real)(int, struct epoll_event *, int, int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "epoll_wait");
  int count = real(epoll, events, most, timeout_ms);
  if (count > 0 && now_us() - atomic_load(&last_added_us) < 3000) usleep(5000);
  return count;
}
