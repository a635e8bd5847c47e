/* Settings: what is taken is what it says, whatever the environment holds; and the small languages
 * in them: lists, URLs, times, sizes, cron.
 *
 * Input: NAME=value, one a line. */
#include "common/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "healthcheck/target.h"
#include "proxy/api/models.h"
#include "proxy/codex/rpc_url.h"
#include "proxy/fetch_hosts.h"
#include "supervisor/cron.h"
#include "supervisor/quantity.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX 32

static struct {
	char *lines[LINES_MAX];
	size_t count;
} environment;

static const char *
get(void *arg, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < environment.count; i++)
		if (strncmp(environment.lines[i], name, len) == 0 &&
		    environment.lines[i][len] == '=')
			return environment.lines[i] + len + 1;
	return NULL;
}

/* --- each value by itself -------------------------------------------------------------------- */

static void
check_quantity(const char *text)
{
	int64_t ms = -1, bytes = -1;
	int r = quantity_parse_ms(text, &ms), q = quantity_parse_bytes(text, &bytes);

	HOLDS(r == 0 || r == -EINVAL || r == -ERANGE);
	HOLDS(r == 0 ? ms >= 0 && isdigit((unsigned char)text[0]) : ms == -1);
	HOLDS(q == 0 ? bytes >= 0 && isdigit((unsigned char)text[0]) : bytes == -1);
}

static void
check_cron(const char *text)
{
	static const time_t now = 1795418970;
	const char *why = NULL;
	struct cron c;
	time_t next;
	struct tm tm;

	if (cron_parse(&c, text, &why) < 0) {
		HOLDS(why != NULL && why[0] != '\0');
		return;
	}
	next = cron_next(&c, now);
	HOLDS(next == -1 || next > now);
	if (next == -1 || localtime_r(&next, &tm) == NULL)
		return;
	HOLDS(c.minutes >> tm.tm_min & 1 && c.hours >> tm.tm_hour & 1 &&
	      c.months >> (tm.tm_mon + 1) & 1);
	HOLDS((c.days >> tm.tm_mday & 1) || (c.weekdays >> tm.tm_wday & 1));
	HOLDS(cron_next(&c, next - 60) == next);
}

static void
check_rpc_url(const char *text)
{
	struct rpc_url url;
	struct err err = {.code = 0};

	if (rpc_url_parse(&url, text, &err) < 0) {
		HOLDS(err.text[0] != '\0');
		return;
	}
	HOLDS(url.tcp ? strncmp(text, "ws://", 5) == 0 : strncmp(text, "unix:///", 8) == 0);
	HOLDS(url.tcp ? url.port >= 1 && url.port <= 65535 : url.address[0] == '/');
	HOLDS(url.address[0] != '\0' && url.path[0] == '/' && url.host[0] != '\0');
	rpc_url_free(&url);
}

static void
check_target(const char *text)
{
	struct target t;
	struct err err = {.code = 0};

	if (target_from_url(&t, text, "/readyz", &err) < 0) {
		HOLDS(err.text[0] != '\0');
		return;
	}
	HOLDS(strncasecmp(t.url, "http", 4) == 0 && t.unix_path == NULL);
	HOLDS(strlen(t.url) >= 7 && strcmp(t.url + strlen(t.url) - 7, "/readyz") == 0);
	target_free(&t);
}

static void
check_models(const char *text)
{
	struct models *m = models_new(text, NULL);

	HOLDS(m != NULL);
	models_free(m);
}

/* --- all of them together --------------------------------------------------------------------- */

/* Nothing but this machine can be meant. */
static bool
is_this_machine(const char *host)
{
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	    strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

static void
check_hosts(const char *list, const char *host)
{
	enum fetch_host what;

	if (list == NULL || host == NULL)
		return;
	what = fetch_host_check(list, host, 443);
	if (what == FETCH_HOST_LITERAL)
		HOLDS(strcasestr(list, host) != NULL);
	if (what == FETCH_HOST_NAMED && strchr(list, '*') == NULL)
		HOLDS(strcasestr(list, host) != NULL);
	HOLDS(fetch_host_check(list, "", 443) == FETCH_HOST_REFUSED || strchr(list, '*') != NULL);
}

static void
check_taken(const struct settings *s, unsigned owners)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		const void *at = (const char *)s + row->offset;
		int64_t number;

		if ((row->owners & owners) == 0)
			continue;
		memcpy(&number, at, row->kind == SETTING_INTEGER ? sizeof(number) : 0);
		if (row->kind == SETTING_INTEGER)
			HOLDS(number >= row->min && number <= row->max);
		if (row->kind == SETTING_PATH && *(char *const *)at != NULL)
			HOLDS((*(char *const *)at)[0] == '/');
	}
	if ((owners & SETTING_PROXY) == 0)
		return;
	/* nobody but this machine is let in without a key */
	HOLDS(s->api_key != NULL || s->api_key_file != NULL || s->api_keys_file != NULL ||
	      s->listen_unix != NULL || (s->no_auth && is_this_machine(s->host)));
	HOLDS((s->tls_cert != NULL) == (s->tls_key != NULL));
	check_models(s->model_aliases);
	check_hosts(s->image_fetch_hosts, s->host);
}

/* What another setting says too is shown as that one's. */
static bool
is_said_elsewhere(const char *key)
{
	for (size_t i = 0; i < environment.count; i++) {
		const char *line = environment.lines[i];
		bool is_its_own = key > line && key <= line + strlen(line);

		if (!is_its_own && strstr(line, key) != NULL)
			return true;
	}
	return strstr("CODEX_PROXY_API_KEY_FILE", key) != NULL;
}

/* Every mistake is a line that names a setting, and shows no secret. */
static void
check_complaints(const char *text, int wrong)
{
	const char *key = get(NULL, "CODEX_PROXY_API_KEY");
	int lines = 0;

	for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
		HOLDS(strchr(at, '\n') != NULL && strncmp(at, "CODEX_", 6) == 0);
		lines++;
	}
	HOLDS(lines == wrong);
	HOLDS(key == NULL || strlen(key) < 8 || strstr(text, key) == NULL ||
	      is_said_elsewhere(key));
}

static void
load(unsigned owners)
{
	/* one for all inputs: a new one each time took half of the time */
	static FILE *complaints;
	static char *text;
	static size_t len;
	struct settings s;
	int wrong;

	if (complaints == NULL)
		complaints = open_memstream(&text, &len);
	HOLDS(complaints != NULL);
	rewind(complaints);
	wrong = settings_load(&s, owners, get, NULL, complaints);
	(void)fputc('\0', complaints);
	(void)fflush(complaints);
	HOLDS(wrong >= 0);
	check_complaints(text, wrong);
	if (wrong == 0)
		check_taken(&s, owners);
	settings_free(&s);
}

static void
check_value(const char *value)
{
	check_quantity(value);
	check_cron(value);
	check_rpc_url(value);
	check_target(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len;

	if (environment.count == 0)
		(void)setenv("TZ", "UTC0", 1); /* for cron: the same everywhere */
	environment.count = 0;
	while (environment.count < LINES_MAX && fuzz_line(&rest, &left, &line, &len)) {
		char *copy = strndup(line, len), *equals;

		HOLDS(copy != NULL);
		environment.lines[environment.count++] = copy;
		equals = strchr(copy, '=');
		if (equals != NULL && environment.count <= 4)
			check_value(equals + 1);
	}
	load(SETTING_PROXY);
	load(SETTING_SUPERVISOR);
	load(SETTING_HEALTHCHECK);
	for (size_t i = 0; i < environment.count; i++)
		free(environment.lines[i]);
	return 0;
}
