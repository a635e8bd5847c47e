/* What codex says in words: errors, the account's limits, its log, its configuration; all of it
 * becomes what callers, operators and files can take.
 *
 * Input: one of these on a line of its own, error, limits, log, config, catalog; then what codex
 * said. */
#include <ctype.h>
#include <string.h>

#include "proxy/api/errors.h"
#include "proxy/codex/account_limits.h"
#include "proxy/codex/codex_error.h"
#include "supervisor/codex/catalog.h"
#include "supervisor/codex/credentials.h"
#include "supervisor/codex/log_line.h"
#include "supervisor/codex/user_config.h"
#include "supervisor/sidecar_log_line.h"
#include "tests/fuzz/fuzz.h"

/* --- errors --------------------------------------------------------------------------------- */

static bool
is_utf8(const char *text)
{
	return fuzz_is_utf8(text, strlen(text));
}

/* A caller can be told it. */
static void
check_failure(const struct failure *f)
{
	struct api_error e;
	size_t len;
	AUTO_FREE char *text = NULL;
	json_t *root;

	HOLDS(f->message[0] != '\0' && is_utf8(f->message));
	HOLDS(is_utf8(f->upstream_type) && is_utf8(f->upstream_code) && is_utf8(f->upstream_param));
	HOLDS(f->upstream_status == 0 || (f->upstream_status >= 100 && f->upstream_status <= 999));
	HOLDS(strcmp(failure_kind_name(f->kind), "") != 0);
	api_error_from_failure(&e, f);
	HOLDS(e.status >= 400 && e.status <= 599 && e.type[0] != '\0' && e.message[0] != '\0');
	text = api_error_text(&e, &len);
	HOLDS(text != NULL);
	root = fuzz_json(text, len);
	HOLDS(json_get_string(json_get_object(root, "error"), "message") != NULL);
	json_decref(root);
}

static void
check_error(const json_t *error)
{
	struct rpc_error refused = {.code = (int)json_get_int(error, "code", 0),
	                            .message = json_get_string(error, "message"),
	                            .data = json_object_get(error, "data")};
	enum finish_reason finish = FINISH_STOP;
	struct failure f;

	codex_error_to_failure(&f, error);
	check_failure(&f);
	codex_retry_to_failure(&f, error);
	check_failure(&f);
	HOLDS(codex_error_is_finish(error, &finish) == (finish != FINISH_STOP));
	if (refused.message == NULL)
		refused.message = "m";
	codex_rpc_error_to_failure(&f, "thread/start", &refused);
	check_failure(&f);
}

/* --- limits: a notification's params, or an array of them ------------------------------------- */

static void
check_limits(const json_t *said)
{
	static const int64_t now = 1795418970;
	struct account_limits limits = {.count = 0};
	int64_t wait;

	account_limits_hear(&limits, said);
	for (size_t i = 0; i < json_array_size(said); i++)
		account_limits_hear(&limits, json_array_get(said, i));
	HOLDS(limits.count <= ACCOUNT_LIMITS_MAX && limits.last <= limits.count);
	wait = account_limits_wait_sec(&limits, now);
	HOLDS(wait == -1 || (wait > 0 && wait <= INT64_C(32) * 86400));
	for (size_t i = 0; i < limits.count; i++) {
		const char *id = limits.limits[i].id;

		HOLDS(id[0] != '\0' && strlen(id) < ACCOUNT_LIMIT_ID_MAX);
		for (; *id != '\0'; id++)
			HOLDS(isalnum((unsigned char)*id) || *id == '-' || *id == '_');
		for (size_t w = 0; w < LIMIT_WINDOWS; w++)
			HOLDS(limits.limits[i].windows[w].used_percent >= 0 &&
			      limits.limits[i].windows[w].used_percent <= 1000);
	}
}

/* --- log ------------------------------------------------------------------------------------ */

static void
check_log(const char *text, output_lift_fn lift)
{
	struct output_line line = {.level = LOG_LEVEL_INFO, .text = text};
	char small[16], buf[OUTPUT_LINE_MAX];

	if (strlen(text) >= sizeof(buf))
		return; /* no line is longer */
	lift(&line, buf, sizeof(buf));
	HOLDS(line.text == text || line.text == buf);
	HOLDS((unsigned)line.level <= LOG_LEVEL_DEBUG);
	HOLDS(strlen(line.text) < sizeof(buf));
	line = (struct output_line){.level = LOG_LEVEL_INFO, .text = text};
	lift(&line, small, sizeof(small));
	HOLDS(line.text == text || strlen(line.text) < sizeof(small));
}

/* --- configuration -------------------------------------------------------------------------- */

/* A line of TOML is a key and a value, and no value makes a line of its own. */
static void
check_toml(const char *text)
{
	size_t lines = 0;

	HOLDS(text[0] == '#');
	for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
		HOLDS(strchr(at, '\n') != NULL);
		HOLDS(lines++ == 0 || islower((unsigned char)*at));
		HOLDS(at[0] == '#' || memmem(at, strcspn(at, "\n"), " = ", 3) != NULL);
	}
	HOLDS(lines <= 9);
	for (; *text != '\0'; text++)
		HOLDS(((unsigned char)*text >= 0x20 && *text != 0x7f) || *text == '\n');
}

static void
check_config(const json_t *read)
{
	static const enum user_config_tuning tunings[] = {USER_CONFIG_AS_IS, USER_CONFIG_TUNED,
	                                                  USER_CONFIG_TUNED_CHATGPT};

	for (size_t i = 0; i < NELEM(tunings); i++) {
		struct user_config c;

		if (user_config_derive(&c, read, tunings[i], NULL) < 0)
			continue;
		check_toml(c.toml);
		for (char **name = c.env_keys; *name != NULL; name++)
			HOLDS((*name)[0] != '\0' && strchr(*name, '=') == NULL);
		user_config_free(&c);
	}
}

static void
check_identity(const char *text, size_t len)
{
	char *first = NULL, *second = NULL;
	bool chatgpt, again;

	if (credentials_identify(&first, &chatgpt, text, len) < 0)
		return;
	HOLDS(credentials_identify(&second, &again, text, len) == 0);
	HOLDS(strcmp(first, second) == 0 && chatgpt == again);
	free(first);
	free(second);
}

/* --- the model catalog ----------------------------------------------------------------------- */

static void
check_catalog(const char *text, size_t len)
{
	struct err err = {.code = 0};
	char *out = NULL;
	size_t out_len = 0;
	json_t *root;

	if (catalog_transform(&out, &out_len, text, len, false, false, &err) < 0) {
		HOLDS(err.text[0] != '\0' && out == NULL);
		return;
	}
	root = fuzz_json(out, out_len);
	HOLDS(json_array_size(json_object_get(root, "models")) > 0);
	for (size_t i = 0; i < json_array_size(json_object_get(root, "models")); i++) {
		const json_t *m = json_array_get(json_object_get(root, "models"), i);
		const char *prompt = json_get_string(m, "base_instructions");
		const char *shell = json_get_string(m, "shell_type");

		HOLDS(json_get_string(m, "slug") != NULL);
		HOLDS(prompt != NULL && prompt[0] == '\0' && strcmp(shell, "disabled") == 0);
		HOLDS(json_object_get(m, "model_messages") == NULL);
	}
	json_decref(root);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len;
	AUTO_FREE char *text = NULL;
	json_t *said;

	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	text = strndup(rest, left);
	HOLDS(text != NULL);
	/* as rpc.c reads it */
	said = json_loadb(rest, left, JSON_ALLOW_NUL, NULL);
	if (len == 5 && memcmp(line, "error", 5) == 0)
		check_error(said);
	if (len == 6 && memcmp(line, "limits", 6) == 0)
		check_limits(said);
	if (len == 3 && memcmp(line, "log", 3) == 0) {
		check_log(text, codex_log_line_lift);
		check_log(text, sidecar_log_line_lift);
	}
	if (len == 6 && memcmp(line, "config", 6) == 0) {
		check_config(said);
		check_identity(rest, left);
	}
	if (len == 7 && memcmp(line, "catalog", 7) == 0)
		check_catalog(rest, left);
	json_decref(said);
	return 0;
}
