/* target: where the proxy is asked: by the settings, or by the command line. Pure. */
#ifndef SIDECAR_HEALTHCHECK_TARGET_H
#define SIDECAR_HEALTHCHECK_TARGET_H

#include <stdbool.h>

#include "common/err.h"
#include "common/settings.h"

struct target {
	char *url;       /* whole, with the path of the question */
	char *unix_path; /* NULL: over TCP */
	bool unverified; /* https: whoever answers will do */
};

/* path: "/readyz". Each fills *out on success only (0); -EINVAL with err, or -ENOMEM. */

/* Where the settings have the proxy listen; for an address that means "all", the loopback one.
 * With TLS its certificate is made out to another name, and not looked at: nothing is told to
 * who answers there. */
int target_from_settings(struct target *out, const struct settings *s, const char *path,
                         struct err *err) MUST_CHECK;
/* base: http or https, host, port, and maybe a path that comes before ours. */
int
target_from_url(struct target *out, const char *base, const char *path, struct err *err) MUST_CHECK;
int target_from_unix(struct target *out, const char *unix_path, const char *path,
                     struct err *err) MUST_CHECK;
void target_free(struct target *t);

#endif
