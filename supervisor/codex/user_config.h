/* user_config: what of the user's Codex configuration our app-servers take over. Pure.
 *
 * A list of what is wanted, not of what is not: the provider and how to log in to it. Everything
 * else in a config.toml (MCP servers, instructions, hooks, notify, tools, profiles) would run
 * programs, or put words into the model's mouth, that the caller of the API knows nothing of. And
 * the next version of Codex may have more of these. */
#ifndef SIDECAR_CODEX_USER_CONFIG_H
#define SIDECAR_CODEX_USER_CONFIG_H

#include <jansson.h>

#include "common/err.h"

struct user_config {
	char *toml;      /* the config.toml for their home */
	char **env_keys; /* environment variables that the providers name, NULL-terminated */
};

/* The user's provider as it is, or for short waits: HTTP only, and retries that cannot repeat text
 * which has been streamed already. The built-in provider cannot be changed; it is replaced by one
 * with the base URL that belongs to the login. */
enum user_config_tuning { USER_CONFIG_AS_IS, USER_CONFIG_TUNED, USER_CONFIG_TUNED_CHATGPT };

/* read: the result of the app-server's config/read. */
int user_config_derive(struct user_config *out, const json_t *read, enum user_config_tuning tuning,
                       struct err *err) MUST_CHECK;
void user_config_free(struct user_config *c);

#endif
