/* ecosystem_keys: the keys of an app in the ecosystem file, and how each value is read. Pure.
 *
 * Only for ecosystem.c: the rest of the world sees ecosystem.h. */
#ifndef SIDECAR_ECOSYSTEM_KEYS_H
#define SIDECAR_ECOSYSTEM_KEYS_H

#include <jansson.h>

#include "supervisor/ecosystem.h"

/* What is known while a file is read. */
struct ecosystem_reader {
	struct ecosystem *e;
	unsigned cpus;
	bool failed; /* no memory */
};

/* One app on its way: what is in no field of the result, or not yet. */
struct ecosystem_draft {
	struct ecosystem_reader *reader;
	struct ecosystem_app *app;
	char path[64]; /* "apps[3]" */
	int64_t restart_delay_ms, exp_backoff_ms;
	int64_t port; /* -1: none */
	char *role, *readiness, *exec_mode, *log_type, *stop_signal;
	bool wait_ready, time;
};

/* path: "" or a path without its key; key: NULL or the last part of the path. */
void ecosystem_report(struct ecosystem_reader *r, enum ecosystem_level level, const char *path,
                      const char *key, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Fills in the defaults of every key. */
void ecosystem_keys_defaults(struct ecosystem_draft *d);
/* Reads every member of object into the draft; what is wrong is reported. */
void ecosystem_keys_take(struct ecosystem_draft *d, json_t *object);
void ecosystem_draft_fini(struct ecosystem_draft *d);

/* Checks them among each other, and orders them in tiers. */
void ecosystem_relate(struct ecosystem_reader *r);

/* The known name that word was probably meant to be; NULL when none is near. names: NULL-terminated
 */
const char *ecosystem_nearest(const char *word, const char *const *names);

/* --- values (ecosystem_values.c); each 0 or -EINVAL with a sentence in why, or -ENOMEM -------- */

/* An array of strings, or one string cut at white space, quotes kept together. */
int ecosystem_value_words(char ***out, const json_t *value, const char **why) MUST_CHECK;
int ecosystem_value_cut(char ***out, const char *text, const char **why) MUST_CHECK;
/* {"NAME": "value" or number or true or false or an object} */
int ecosystem_value_env(char ***out, json_t *value, const char **why) MUST_CHECK;
int ecosystem_value_exit_codes(bool codes[static 256], const json_t *value,
                               const char **why) MUST_CHECK;
int ecosystem_value_instances(unsigned *out, const json_t *value, unsigned cpus,
                              const char **why) MUST_CHECK;
/* Five fields of digits, '*', ',', '-' and '/'. */
int ecosystem_value_cron(char **out, const json_t *value, const char **why) MUST_CHECK;
/* "notify", "tcp://HOST:PORT", ...; *target is new or NULL */
int ecosystem_value_readiness(enum ecosystem_readiness *out, char **target, const char *text,
                              const char **why) MUST_CHECK;
/* "SIGTERM" or "TERM"; -EINVAL for what is none, or would not stop anything */
int ecosystem_value_signal(int *out, const char *text) MUST_CHECK;

char **ecosystem_list_new(size_t count); /* all NULL */
void ecosystem_list_free(char **list);

#endif
