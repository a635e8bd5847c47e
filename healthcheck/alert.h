/* alert: a message to a webhook, in the form that its receiver understands. */
#ifndef SIDECAR_HEALTHCHECK_ALERT_H
#define SIDECAR_HEALTHCHECK_ALERT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/common.h"
#include "common/err.h"

enum alert_format { ALERT_JSON, ALERT_DISCORD, ALERT_SLACK };

/* False: there is no format of that name. */
bool alert_format_parse(enum alert_format *out, const char *name);
/* By the host of the URL, or by the path that Discord and Slack use. -EINVAL: it is no http or
 * https URL, -ENOENT: no libcurl. err does not show it: the URL is a secret. */
int alert_format_of(enum alert_format *out, const char *url, struct err *err) MUST_CHECK;

/* What is posted, new. JSON holds all the facts, and the message as "content" and as "text": then
 * it is understood too by what speaks like Discord or Slack at another address. NULL: no memory. */
char *alert_body(enum alert_format format, const char *message, const json_t *facts);

/* Blocks. Tries again, some seconds later, what may get better by itself; each failure is told on
 * stderr. 0: it has been taken. */
int alert_post(const char *url, const char *body, long timeout_ms, struct err *err) MUST_CHECK;

#endif
