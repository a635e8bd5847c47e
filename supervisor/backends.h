/* backends: the app-servers as the proxy knows them: by an id, where to find each, up or down. */
#ifndef SIDECAR_BACKENDS_H
#define SIDECAR_BACKENDS_H

#include "supervisor/instance.h"
#include "supervisor/proxy_link.h"

#define BACKENDS_MAX 64

/* One app-server. Each of its two processes has an id of its own for the proxy, so that the old one
 * and the new one are two app-servers to it: number + side * BACKENDS_MAX. */
struct backend {
	struct instance *in; /* NULL: no such number */
	char *url[2];        /* of each side's last start; NULL: none yet */
	bool told_up[2];     /* is that side up as far as the proxy knows? */
	bool drained;        /* by hand */
};

struct backends {
	struct proxy_link *link;
	struct backend list[BACKENDS_MAX];
};

/* The number of the new one, the lowest that is free; -ENOSPC. */
int backends_add(struct backends *b, struct instance *in) MUST_CHECK;
/* Only when it is stopped. */
void backends_remove(struct backends *b, int number);
/* It is about to be started, and will be found there. 0 or -ENOMEM. */
int backends_set_url(struct backends *b, int number, int side, const char *url) MUST_CHECK;
/* Tells the proxy what its change of state means. */
void backends_on_state(struct backends *b, int number, int side);
/* Gives work again to one that was drained by hand. */
void backends_take_back(struct backends *b, int number);
void backends_drain(struct backends *b, int number, uint64_t deadline_ms, proxy_drained_fn fn,
                    void *arg);
/* The drain before an end; fn may come when that run is over already. */
void backends_part(struct backends *b, int number, int side, uint64_t deadline_ms,
                   proxy_drained_fn fn, void *arg);
/* It has parted: the proxy need not wait for its end to see that. */
void backends_parted(struct backends *b, int number, int side);

/* For the proxy's hello: new reference. NULL: no memory. */
json_t *backends_to_json(const struct backends *b);
/* The number of the one that the proxy speaks of, if that run is the current one and ready; else
 * -1: it has ended meanwhile, or is about to. */
int backends_find(const struct backends *b, int id, unsigned generation);
bool backends_any(const struct backends *b);
bool backends_any_ready(const struct backends *b);
bool backends_all_failed(const struct backends *b);

#endif
