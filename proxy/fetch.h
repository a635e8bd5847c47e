/* fetch: gets what an https URL names, from hosts that are allowed, by libcurl on libuv's loop.
 *
 * Redirections are followed to allowed hosts only, and a host that is allowed by name only where
 * its address is a public one. No proxy, cookie or password is used, whatever the environment says.
 */
#ifndef SIDECAR_PROXY_FETCH_H
#define SIDECAR_PROXY_FETCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"

struct fetcher;
struct fetch;

struct fetcher_config {
	uv_loop_t *loop;
	const char *hosts;   /* as fetch_host_check takes them */
	const char *ca_file; /* NULL: the system's */
	uint64_t timeout_ms; /* of one fetch, redirections included */
};

/* why NULL: all of it is there. Else a piece of a sentence for the caller: "the host ...". */
typedef void (*fetch_fn)(void *arg, const char *why, const char *bytes, size_t len);

/* The strings of config must outlive it. -ENOENT: there is no libcurl. */
int
fetcher_new(struct fetcher **out, const struct fetcher_config *config, struct err *err) MUST_CHECK;
/* Every fetch must be over. NULL is fine. Freed when its last handle has closed. */
void fetcher_close(struct fetcher *fr);

/* NULL: begun, and fn comes once, from the loop. Else why not, as above. budget: bytes that may
 * still come, for all fetches that share it; must outlive them. */
const char *fetch_start(struct fetch **out, struct fetcher *fr, const char *url, size_t *budget,
                        fetch_fn fn, void *arg);
/* fn does not come. */
void fetch_cancel(struct fetch *f);

#endif
