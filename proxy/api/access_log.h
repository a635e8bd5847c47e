/* access_log: one line about each request when it is over, and what the metrics learn of it.
 *
 * Never content. Probes that went well are told at level debug only. */
#ifndef SIDECAR_PROXY_API_ACCESS_LOG_H
#define SIDECAR_PROXY_API_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/event.h"
#include "proxy/http/http.h"

struct api;

/* When a request came how far; part of each dialect's request. */
struct access {
	uint64_t admitted_ns; /* uv_hrtime; 0: has never left the queue */
	uint64_t first_ns;    /* the model's first word, thought or call; 0: none yet */
};

/* For each event of its turns. */
void access_note(struct access *a, const struct event *event);
/* A dialect's own request is over. route: its name for the metrics, one of few. outcome: what
 * became of it, a short word of a closed set. */
void access_log(const struct api *api, const struct http_exchange *x, const char *route,
                const char *model, const char *outcome, const struct usage *usage);
/* Any other request is over. probe: one that comes every few seconds. */
void access_log_plain(const struct api *api, const struct http_exchange *x, const char *route,
                      bool probe, bool complete);

#endif
