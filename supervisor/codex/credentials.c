/* credentials: whose login is in auth.json, and when that changes. */
#include "supervisor/codex/credentials.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/paths.h"

#define AUTH_MAX    ((size_t)1 << 20) /* a few KB of tokens */
#define DEBOUNCE_MS 250               /* a file is written in several steps */
#define RETRY_MS    500               /* a folder that is not there cannot be watched */
/* Symbolic links: to a mounted secret, which is one to ..data, which is one to a folder. */
#define HOPS_MAX    4

struct watch {
	uv_fs_event_t event;
	char name[NAME_MAX + 1]; /* what is of interest in that folder */
};

struct credentials {
	char *path;
	credentials_fn fn;
	void *arg;
	char *text;     /* of the last login that was seen; NULL: none */
	char *identity; /* of the same */
	bool is_chatgpt;
	struct login login;
	bool gone; /* what was there is not */
	struct watch watches[HOPS_MAX];
	uv_timer_t timer;
	unsigned open;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* --- what is in it -------------------------------------------------------------------------- */

int
credentials_identify(char **out, bool *is_chatgpt, const char *text, size_t len)
{
	bool no_memory;
	json_auto_t *auth = json_load(text, len, 0, NULL, &no_memory);
	const json_t *tokens = json_get_object(auth, "tokens");
	const char *mode = json_get_string(auth, "auth_mode");
	const char *key = json_get_string(auth, "OPENAI_API_KEY");
	const char *account = json_get_string(tokens, "account_id");

	if (auth == NULL && no_memory)
		return -ENOMEM;
	if (mode == NULL)
		mode = tokens != NULL ? "chatgpt" : "apikey"; /* as older ones of codex wrote it */
	if (!json_is_object(auth) || (tokens == NULL && key == NULL))
		return -EBADMSG;
	if (asprintf(out, "%s\n%s\n%s", mode, account != NULL ? account : "",
	             key != NULL ? key : "") < 0)
		return -ENOMEM;
	*is_chatgpt = tokens != NULL && strcmp(mode, "apikey") != 0;
	return 0;
}

static void
take_date(struct credentials *c, const char *text, size_t len)
{
	struct err err = {.code = 0};

	c->login = (struct login){.kind = LOGIN_UNKNOWN};
	if (login_parse(&c->login, text, len, &err) < 0)
		log_info("%s: %s: until when the login is good is not known", c->path, err.text);
}

static void look_in(struct credentials *c, uint64_t ms);

/* True: the file has another text than the last time. */
static bool
take(struct credentials *c, bool *other_login)
{
	AUTO_FREE char *text = NULL;
	char *identity = NULL;
	size_t len;
	int r = file_read(&text, &len, c->path, AUTH_MAX, NULL);

	if (r == 0 && c->text != NULL && strcmp(c->text, text) == 0) {
		bool back = c->gone;

		c->gone = *other_login = false;
		return back; /* who was started meanwhile has none */
	}
	if (r == 0)
		r = credentials_identify(&identity, &c->is_chatgpt, text, len);
	if (r == -ENOMEM)
		look_in(c, RETRY_MS);
	if (r < 0 || identity == NULL) {
		c->gone = r != -ENOMEM;
		log_debug("%s: no login to be read there: %s", c->path, strerror(-r));
		if (c->text == NULL)
			c->login.kind = r == -ENOENT ? LOGIN_NONE : LOGIN_UNKNOWN;
		return false;
	}
	take_date(c, text, len);
	*other_login = c->identity == NULL || strcmp(c->identity, identity) != 0;
	free(c->identity);
	free(c->text);
	c->gone = false;
	c->identity = identity;
	c->text = text;
	text = NULL;
	return true;
}

/* --- watching ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void
look_in(struct credentials *c, uint64_t ms)
{
	(void)uv_timer_start(&c->timer, on_timer, ms, 0); /* on_timer is not NULL */
}

static void
on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct watch *w = (struct watch *)event; /* its first member */

	/* "..data" and its like are how Kubernetes swaps all files of a folder */
	if (status < 0 || name == NULL || strcmp(name, w->name) == 0 || strncmp(name, "..", 2) == 0)
		look_in(event->data, DEBOUNCE_MS);
}

/* Where a link leads to, into path; false: it is none. */
static bool
follow(char path[PATH_MAX])
{
	char target[PATH_MAX], next[2 * PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *slash = strrchr(path, '/');

	if (n <= 0 || slash == NULL)
		return false;
	target[n] = '\0';
	(void)snprintf(next, sizeof(next), "%.*s/%s", (int)(slash - path), path, target);
	if (snprintf(path, PATH_MAX, "%s", target[0] == '/' ? target : next) >= PATH_MAX)
		return false;
	return true;
}

/* Anew each time: a folder may have been replaced by another one of the same name. */
static int
watch_all(struct credentials *c)
{
	char path[PATH_MAX];
	bool more = snprintf(path, sizeof(path), "%s", c->path) < (int)sizeof(path);
	int first = more ? 0 : -ENAMETOOLONG;

	for (int i = 0; i < HOPS_MAX; i++) {
		struct watch *w = &c->watches[i];
		char *slash = strrchr(path, '/');
		int r;

		(void)uv_fs_event_stop(&w->event); /* one that does not run: no harm */
		if (!more || slash == NULL)
			continue;
		(void)snprintf(w->name, sizeof(w->name), "%.255s", slash + 1);
		*slash = '\0';
		r = uv_fs_event_start(&w->event, on_event, path[0] != '\0' ? path : "/", 0);
		*slash = '/';
		if (i == 0)
			first = r;
		more = follow(path);
	}
	return first;
}

static void
on_timer(uv_timer_t *timer)
{
	struct credentials *c = timer->data;
	bool other_login = false;

	if (watch_all(c) < 0)
		look_in(c, RETRY_MS);
	if (take(c, &other_login)) {
		log_info("%s: %s", c->path,
		         other_login ? "another login" : "new tokens, or there again");
		c->fn(c->arg, other_login);
	}
}

/* --- life ----------------------------------------------------------------------------------- */

int
credentials_new(struct credentials **out, uv_loop_t *loop, const char *codex_home,
                credentials_fn fn, void *arg, struct err *err)
{
	struct credentials *c = calloc(1, sizeof(*c));
	bool other_login;
	int r;

	if (c == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	c->path = paths_join(codex_home, "auth.json");
	if (c->path == NULL) {
		free(c);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->fn = fn;
	c->arg = arg;
	(void)uv_timer_init(loop, &c->timer); /* cannot fail, like those below */
	c->timer.data = c;
	for (int i = 0; i < HOPS_MAX; i++) {
		(void)uv_fs_event_init(loop, &c->watches[i].event);
		c->watches[i].event.data = c;
	}
	c->open = 1 + HOPS_MAX;
	r = watch_all(c);
	if (r < 0) {
		log_warning("%s cannot be watched: %s; looking again every %d ms", codex_home,
		            strerror(-r), RETRY_MS);
		look_in(c, RETRY_MS);
	}
	(void)take(c, &other_login); /* what there is at the start is no change */
	*out = c;
	return 0;
}

bool
credentials_is_chatgpt(const struct credentials *c)
{
	return c->is_chatgpt;
}

struct login
credentials_login(const struct credentials *c)
{
	return c->login;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct credentials *c = handle->data;
	void (*fn)(void *arg) = c->on_closed;
	void *arg = c->on_closed_arg;

	if (--c->open > 0)
		return;
	free(c->path);
	free(c->text);
	free(c->identity);
	free(c);
	if (fn != NULL)
		fn(arg);
}

void
credentials_close(struct credentials *c, void (*fn)(void *arg), void *arg)
{
	c->on_closed = fn;
	c->on_closed_arg = arg;
	for (int i = 0; i < HOPS_MAX; i++)
		uv_close((uv_handle_t *)&c->watches[i].event, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}
