/* api: the routes of the OpenAI API, who may use them, and what they share. */
#ifndef SIDECAR_PROXY_API_H
#define SIDECAR_PROXY_API_H

#include <uv.h>

#include "common/settings.h"
#include "proxy/api/access_log.h"
#include "proxy/api/auth.h"
#include "proxy/api/models.h"
#include "proxy/api/response_store.h"
#include "proxy/http/http.h"
#include "proxy/metrics.h"
#include "proxy/rate_limit.h"
#include "proxy/turn.h"

/* A request in work; the first member of each dialect's own struct, and the data of its exchange.
 */
struct api_request {
	/* The exchange is over; complete: the client has the whole answer. Frees the request. */
	void (*on_done)(struct api_request *r, bool complete);
	struct access access;
};

#define API_REASONS_MAX 4

/* What /readyz says. */
struct api_readiness {
	bool ready;
	bool degraded; /* not ready, and nobody's fault here: the provider fails */
	unsigned reason_count;
	char reasons[API_REASONS_MAX][512]; /* why not, or what is wrong all the same */
};

struct api {
	uv_loop_t *loop;
	const struct settings *settings;
	struct auth *auth;
	struct models *models;
	struct turns *turns;
	struct response_store *responses; /* NULL: none are kept */
	struct rate_limit rate_limit;
	struct metrics *metrics; /* NULL: nothing is counted */
	void (*readiness)(void *arg, struct api_readiness *out);
	void (*figures)(void *arg, struct metrics_now *out);
	void *arg;
};

/* For http_server_new; their arg is the struct api. */
extern const struct http_handlers api_handlers;

#endif
