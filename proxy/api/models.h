/* models: what /v1/models shows, and which model a request means. */
#ifndef SIDECAR_PROXY_API_MODELS_H
#define SIDECAR_PROXY_API_MODELS_H

#include <jansson.h>

#include "proxy/http/http.h"
#include "proxy/turn.h"

struct models;

/* aliases: "name=model,..." or NULL; default_model NULL: the catalog's own. NULL: no memory. */
struct models *models_new(const char *aliases, const char *default_model);
void models_free(struct models *m);
/* The app-server's list (borrowed, copied), each time it may have changed; NULL: not known. false:
 * no memory, and what was known before is still what is known. */
bool models_update(struct models *m, json_t *list) MUST_CHECK;
bool models_known(const struct models *m);
/* Replaces c->model (NULL: the default; an alias: its model) by the name codex knows. */
enum model_answer models_resolve(const struct models *m, struct conversation *c);
void models_reply_list(const struct models *m, struct http_exchange *x);
void models_reply_one(const struct models *m, struct http_exchange *x, const char *id);

#endif
