/* settings: every environment variable of the three programs, read and checked. */
#include "common/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/json.h"

#define SHOWN_MAX       80 /* of a wrong value: enough to recognise it */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct load {
	struct settings *out;
	unsigned owners;
	FILE *complaints;
	int wrong;
	bool no_memory;
};

/* --- the table's kinds ---------------------------------------------------------------------- */

static void *
field(struct settings *s, const struct setting *row)
{
	return (char *)s + row->offset;
}

static void complain(struct load *l, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
complain(struct load *l, const char *name, const char *fmt, ...)
{
	va_list ap;

	l->wrong++;
	if (l->complaints == NULL)
		return;
	/* stderr has no better place to report its own failure to */
	(void)fprintf(l->complaints, "%s: ", name);
	va_start(ap, fmt);
	(void)vfprintf(l->complaints, fmt, ap);
	va_end(ap);
	(void)fputc('\n', l->complaints);
}

/* A wrong value, on one line whatever it holds. */
static void
show(char *out, size_t size, const char *value)
{
	size_t n = 0;

	for (; value[n] != '\0' && n + 4 < size; n++)
		out[n] = (unsigned char)value[n] < 0x20 || value[n] == 0x7F ? '?' : value[n];
	(void)snprintf(out + n, size - n, "%s", value[n] != '\0' ? "..." : "");
}

static bool
parse_boolean(const char *text, bool *out)
{
	static const char *const words[][2] = {
		{"0",     "1"   },
                {"false", "true"},
                {"no",    "yes" },
                {"off",   "on"  }
        };

	for (size_t i = 0; i < NELEM(words); i++) {
		for (int yes = 0; yes < 2; yes++) {
			if (strcasecmp(text, words[i][yes]) == 0) {
				*out = yes == 1;
				return true;
			}
		}
	}
	return false;
}

static bool
parse_integer(const char *text, int64_t min, int64_t max, int64_t *out)
{
	long long value;
	char *end;

	if (isspace((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < min || value > max)
		return false;
	*out = value;
	return true;
}

static bool
parse_choice(const char *text, const char *choices, int64_t *out)
{
	size_t len = strlen(text);

	for (int64_t i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && strncmp(choices, text, n) == 0) {
			*out = i;
			return true;
		}
		if (choices[n] == '\0')
			return false;
		choices += n + 1;
	}
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= 0x20 || *text == 0x7F)
			return false;
	return true;
}

/* Wrong strings are kept too: the rules across settings ask whether one was given. */
static void
take_string(struct load *l, const struct setting *row, const char *text)
{
	char **out = field(l->out, row);
	char shown[SHOWN_MAX];

	*out = strdup(text);
	if (*out == NULL) {
		l->no_memory = true;
		return;
	}
	show(shown, sizeof(shown), text);
	if (row->kind == SETTING_PATH && text[0] != '/')
		complain(l, row->name, "\"%s\" is not an absolute path", shown);
	if (row->kind == SETTING_SECRET && !is_printable(text))
		complain(l, row->name, "holds white space or control characters");
}

static void
take(struct load *l, const struct setting *row, const char *text)
{
	char shown[SHOWN_MAX];

	show(shown, sizeof(shown), text);
	switch (row->kind) {
	case SETTING_STRING:
	case SETTING_SECRET:
	case SETTING_PATH:
		take_string(l, row, text);
		return;
	case SETTING_INTEGER:
		if (!parse_integer(text, row->min, row->max, field(l->out, row)))
			complain(l, row->name,
			         "\"%s\" is not a whole number from %" PRId64 " to %" PRId64, shown,
			         row->min, row->max);
		return;
	case SETTING_BOOLEAN:
		if (!parse_boolean(text, field(l->out, row)))
			complain(l, row->name, "\"%s\" is neither 1 nor 0", shown);
		return;
	case SETTING_CHOICE:
		if (!parse_choice(text, row->choices, field(l->out, row)))
			complain(l, row->name, "\"%s\" is none of %s", shown, row->choices);
		return;
	}
}

/* --- rules across settings, and for single strings ------------------------------------------- */

/* 127.example.com is a name, and may lead anywhere. */
static bool
is_loopback(const char *host)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       strcmp(host, "[::1]") == 0;
}

static void
check_key(struct load *l)
{
	const struct settings *s = l->out;

	if (s->api_key != NULL || s->api_key_file != NULL || s->api_keys_file != NULL ||
	    s->listen_unix != NULL)
		return;
	if (!s->no_auth)
		complain(l, "CODEX_PROXY_API_KEY",
		         "is needed (or CODEX_PROXY_API_KEY_FILE, CODEX_PROXY_API_KEYS_FILE, "
		         "CODEX_PROXY_LISTEN_UNIX, or CODEX_PROXY_NO_AUTH=1 on a loopback host)");
	else if (!is_loopback(s->host))
		complain(l, "CODEX_PROXY_NO_AUTH",
		         "without a key anybody could use the login: only with a loopback "
		         "CODEX_PROXY_HOST");
}

/* Checked by both who read it: neither must start the other in vain. */
static void
check_agent(struct load *l)
{
	const struct settings *s = l->out;

	if (s->profile != PROFILE_AGENT)
		return;
	if (s->workspace == NULL)
		complain(l, "CODEX_WORKSPACE", "is needed with CODEX_PROFILE=agent");
	else if (strpbrk(s->workspace, "*?[]") != NULL)
		complain(l, "CODEX_WORKSPACE", "a folder of that name cannot be protected");
	if (s->history_mode == HISTORY_TRANSCRIPT)
		complain(l, "CODEX_HISTORY_MODE",
		         "transcript is not available with CODEX_PROFILE=agent");
}

/* It goes into JSON: without a check here every single request would fail. */
static void
check_text(struct load *l, const char *name, const char *text)
{
	if (text != NULL && !json_is_text(text, strlen(text)))
		complain(l, name, "is not UTF-8");
}

static void
check_aliases(struct load *l)
{
	const char *at = l->out->model_aliases;

	while (at != NULL && *at != '\0') {
		size_t len = strcspn(at, ",");
		const char *equals = memchr(at, '=', len);

		if (equals == NULL || equals == at || equals + 1 == at + len ||
		    memchr(equals + 1, '=', (size_t)(at + len - equals - 1)) != NULL) {
			complain(l, "CODEX_MODEL_ALIASES",
			         "is not a list of alias=model, with commas between them");
			return;
		}
		at += len + (at[len] == ',');
	}
}

static void
check_tls(struct load *l)
{
	const struct settings *s = l->out;

	if (s->tls_cert != NULL && s->tls_key == NULL)
		complain(l, "CODEX_PROXY_TLS_KEY", "is needed with CODEX_PROXY_TLS_CERT");
	if (s->tls_cert == NULL && s->tls_key != NULL)
		complain(l, "CODEX_PROXY_TLS_CERT", "is needed with CODEX_PROXY_TLS_KEY");
}

/* As browsers send them: a path, or a slash at the end, would never match. */
static bool
is_origin(const char *text, size_t len)
{
	const char *host = memmem(text, len, "://", 3);

	if ((len == 1 && text[0] == '*') || (len == 4 && memcmp(text, "null", 4) == 0))
		return true;
	if (host == NULL || host == text || host + 3 == text + len)
		return false;
	host += 3;
	return memchr(host, '/', (size_t)(text + len - host)) == NULL &&
	       memchr(text, ' ', len) == NULL;
}

/* example.com, *.example.com, 192.0.2.7, [::1], each with :PORT or without, and * alone. */
static bool
is_fetch_host(const char *text, size_t len)
{
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t n = 0;

	if (len > 2 && text[0] == '[')
		n = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.") + 1;
	else if (len > 0 && text[0] == '*')
		n = 1 + (text[1] == '.' ? strspn(text + 1, name) : 0);
	else
		n = strspn(text, name);
	if (n == 0 || n > len || (text[0] == '[' && text[n - 1] != ']') ||
	    (text[0] == '*' && n == 2))
		return false;
	return n == len || (text[n] == ':' && len - n <= 6 &&
	                    strspn(text + n + 1, "0123456789") == len - n - 1 && len - n > 1);
}

/* A list with commas between its elements, and spaces around them. */
static void
check_list(struct load *l, const char *name, const char *at,
           bool (*is_element)(const char *text, size_t len), const char *complaint)
{
	while (at != NULL && *at != '\0') {
		size_t len, used;

		at += strspn(at, " ");
		used = len = strcspn(at, ",");
		while (len > 0 && at[len - 1] == ' ')
			len--;
		if (!is_element(at, len)) {
			complain(l, name, "%s", complaint);
			return;
		}
		at += used + (at[used] == ',');
	}
}

static void
check_socket_path(struct load *l, const char *name, const char *path)
{
	if (path != NULL && strlen(path) > SOCKET_PATH_MAX)
		complain(l, name, "longer than the %zu bytes that a unix socket's path may have",
		         SOCKET_PATH_MAX);
}

static void
check_server_url(struct load *l)
{
	const char *url = l->out->app_server_url;
	bool unix_url = url != NULL && strncmp(url, "unix:///", 8) == 0;

	/* not shown: a ws:// URL may hold a password */
	if (url != NULL && !unix_url && (strncmp(url, "ws://", 5) != 0 || url[5] == '\0'))
		complain(l, "CODEX_APP_SERVER_URL", "is neither unix:///PATH nor ws://HOST:PORT");
	if (unix_url)
		check_socket_path(l, "CODEX_APP_SERVER_URL", url + strlen("unix://"));
}

static void
check_rules(struct load *l)
{
	const struct settings *s = l->out;

	if ((l->owners & SETTING_PROXY) != 0) {
		check_key(l);
		check_agent(l);
		check_aliases(l);
		check_text(l, "CODEX_MODEL_ALIASES", l->out->model_aliases);
		check_text(l, "CODEX_DEFAULT_MODEL", l->out->default_model);
		check_text(l, "CODEX_DEFAULT_EFFORT", l->out->default_effort);
		check_text(l, "CODEX_WORKSPACE", l->out->workspace);
		check_list(
			l, "CODEX_CORS_ORIGINS", l->out->cors_origins, is_origin,
			"is neither * nor a list of origins such as https://example.com:8443, with "
			"commas between them");
		check_list(l, "CODEX_IMAGE_FETCH_HOSTS", l->out->image_fetch_hosts, is_fetch_host,
		           "is not a list of hosts such as example.com, *.example.com or "
		           "192.0.2.7:8443, "
		           "with commas between them");
		check_tls(l);
		check_server_url(l);
		if (s->base_instructions != NULL && s->base_instructions[0] != '/' &&
		    strcmp(s->base_instructions, "codex") != 0)
			complain(l, "CODEX_BASE_INSTRUCTIONS",
			         "is neither \"codex\" nor the absolute path of a file");
	}
	if ((l->owners & (SETTING_PROXY | SETTING_HEALTHCHECK)) != 0)
		check_socket_path(l, "CODEX_PROXY_LISTEN_UNIX", s->listen_unix);
	check_socket_path(l, "CODEX_CONTROL_SOCKET", s->control_socket);
}

/* --- the whole ------------------------------------------------------------------------------ */

static const char *
get_from_environment(void *arg, const char *name)
{
	return getenv(name);
}

int
settings_load(struct settings *out, unsigned owners, settings_get_fn get, void *arg,
              FILE *complaints)
{
	struct load l = {.out = out, .owners = owners, .complaints = complaints};

	if (get == NULL)
		get = get_from_environment;
	*out = (struct settings){.api_key = NULL};
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		const char *text = (row->owners & owners) != 0 ? get(arg, row->name) : NULL;

		if (text == NULL || text[0] == '\0')
			text = row->fallback;
		if (text != NULL)
			take(&l, row, text);
	}
	if (!l.no_memory)
		check_rules(&l);
	if (l.no_memory || l.wrong > 0)
		settings_free(out);
	return l.no_memory ? -ENOMEM : l.wrong;
}

void
settings_free(struct settings *s)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		char **text = field(s, row);

		switch (row->kind) {
		case SETTING_SECRET:
			if (*text != NULL)
				explicit_bzero(*text, strlen(*text));
			free(*text);
			break;
		case SETTING_STRING:
		case SETTING_PATH:
			free(*text);
			break;
		case SETTING_INTEGER:
		case SETTING_BOOLEAN:
		case SETTING_CHOICE:
			break;
		}
	}
	*s = (struct settings){.api_key = NULL};
}

void
settings_help(FILE *out, unsigned owners)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		if ((row->owners & owners) == 0)
			continue;
		(void)fprintf(out, "  %-31s %-10s %s", row->name,
		              row->fallback != NULL ? row->fallback : "-", row->help);
		if (row->kind == SETTING_CHOICE)
			(void)fprintf(out, " (%s)", row->choices);
		(void)fputc('\n', out);
	}
}
