/* care: what is done about app-servers that run, but of no use: the login or the provider refuses
 * them, or they do not answer. None of it counts towards the crash loop. */
#ifndef SIDECAR_CARE_H
#define SIDECAR_CARE_H

#include "supervisor/roll.h"

struct care;

/* drain_ms: what a restart for the login's sake gives to what runs. NULL: no memory. */
struct care *care_new(uv_loop_t *loop, struct fleet *fleet, struct roll *roll, uint64_t drain_ms);
void care_free(struct care *c);

/* It will be no more; another one may get its number. */
void care_forget(struct care *c, const struct instance *in);
/* fleet_spec.on_backend_failed. */
void care_backend_failed(struct care *c, size_t i, const char *kind, const char *message);
/* The login's file has new contents. other_login: it is somebody else's; else only its tokens are
 * new, which those who are well have fetched themselves. needed: they have none. */
void care_login_changed(struct care *c, bool other_login, bool needed);
/* Does the provider refuse the login of some app-server, as far as is known? */
bool care_login_refused(const struct care *c);

#endif
