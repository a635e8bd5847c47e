/* pair_policy: how long the two kinds of apps are waited for, and how they are ended. Pure. */
#ifndef SIDECAR_PAIR_POLICY_H
#define SIDECAR_PAIR_POLICY_H

#include "common/settings.h"
#include "supervisor/app.h"

#define PAIR_NAME_MAX 32

/* Without lift. name is filled, and referred to by what is returned. */
struct app_spec
pair_policy_backend(const struct settings *settings, size_t i, char name[PAIR_NAME_MAX]);
struct app_spec pair_policy_proxy(const struct settings *settings);

#endif
