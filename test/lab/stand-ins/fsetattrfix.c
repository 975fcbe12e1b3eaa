/*
 * Keeps bricks of glusterfs 10 alive when a client of theirs is killed, by LD_PRELOAD.
 *
 * When a brick cannot do an FSETATTR, as with the file handle of a client that has just gone, server4_fsetattr_cbk
 * logs that with one argument too few, and the brick dies of SIGSEGV. What moves data in a rebalance is such a client.
 * The level of the message comes from fop_log_level: here it is none, and nothing is written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

enum { fop_fsetattr = 39, level_none = 0 };

int fop_log_level(int fop, int error) {
  static int (*real)(int, int);
  if (fop == fop_fsetattr) return level_none;
  if (real == NULL) real = dlsym(RTLD_NEXT, "fop_log_level");
  return real(fop, error);
}
