/* api: the routes of the OpenAI API, who may use them, and what they share. */
#ifndef SIDECAR_PROXY_API_H
#define SIDECAR_PROXY_API_H

#include <uv.h>

#include "common/settings.h"
#include "proxy/api/auth.h"
#include "proxy/api/models.h"
#include "proxy/http/http.h"
#include "proxy/rate_limit.h"
#include "proxy/turn.h"

/* A request in work; the first member of each dialect's own struct, and the data of its exchange.
 */
struct api_request {
	/* The exchange is over; complete: the client has the whole answer. Frees the request. */
	void (*on_done)(struct api_request *r, bool complete);
};

/* What /readyz says. */
struct api_readiness {
	bool ready;
	char reason[256]; /* why not */
};

struct api {
	uv_loop_t *loop;
	const struct settings *settings;
	struct auth *auth;
	struct models *models;
	struct turns *turns;
	struct rate_limit rate_limit;
	void (*readiness)(void *arg, struct api_readiness *out);
	void *arg;
};

/* For http_server_new; their arg is the struct api. */
extern const struct http_handlers api_handlers;

/* One access-log line; never content. outcome: what became of it, a short word. */
void api_log_access(const struct http_exchange *x, const char *model, const char *outcome,
                    const struct usage *usage);

#endif
