/* ecosystem_spec: what the ecosystem file says of an app, in the words of app.h. Pure.
 *
 * Every key that the life of an app goes by is read here, and nowhere else. */
#ifndef SIDECAR_ECOSYSTEM_SPEC_H
#define SIDECAR_ECOSYSTEM_SPEC_H

#include "supervisor/app.h"
#include "supervisor/ecosystem.h"
#include "supervisor/log_sink.h"

#define ECOSYSTEM_SPEC_NAME_MAX (ECOSYSTEM_NAME_MAX + 4) /* "NAME-63" */

/* Of instance i of it. name is filled; what is returned refers to it, and to a. Without what only
 * its owner knows: lift, channel_dir, history. */
struct app_spec
ecosystem_spec(const struct ecosystem_app *a, unsigned i, char name[ECOSYSTEM_SPEC_NAME_MAX]);
/* False: it has no files of its own. *out refers to a. */
bool ecosystem_spec_logs(struct log_sink_spec *out, const struct ecosystem_app *a);

#endif
