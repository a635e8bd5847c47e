/* ecosystem_builtin: the app-servers and the proxy that are run when there is no ecosystem file. */
#include "supervisor/ecosystem_builtin.h"

#include <assert.h>
#include <string.h>

/* To say goodbye to its clients, or to codex, after the drain. */
#define ENDING_MS 5000

static const char text[] =
	"{\"apps\":[{\"name\":\"app-server\",\"script\":\"codex\",\"args\":[\"app-server\"]},"
	"{\"name\":\"proxy\",\"script\":\"codex-proxy\"}]}";

static void
set_drain(struct ecosystem_app *a, int64_t drain_ms)
{
	a->drain_timeout_ms = drain_ms;
	a->kill_timeout_ms = drain_ms + ENDING_MS;
}

struct ecosystem *
ecosystem_builtin(const struct settings *s)
{
	struct ecosystem *e = ecosystem_parse(text, strlen(text), 1);

	if (e == NULL)
		return NULL;
	assert(e->errors == 0 && e->count == 2);
	e->apps[0].instances = (unsigned)s->instances;
	e->apps[0].numbered = true;
	set_drain(&e->apps[0], s->proxy_timeout_ms);
	set_drain(&e->apps[1], s->drain_timeout_ms);
	e->apps[0].max_memory_bytes = s->app_server_max_memory_bytes;
	e->apps[1].max_memory_bytes = s->proxy_max_memory_bytes;
	return e;
}
